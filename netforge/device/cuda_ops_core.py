"""What all families of CUDA operations share: launches, working memory, values that come from the host."""

from __future__ import annotations

from collections.abc import Hashable
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.launch import Launcher, Scratch

Array = Any  # a CuPy array

NOTHING_FOUND = np.iinfo(np.int32).max
"""What searches for a first index start from."""


class CudaCore:
    """Access to a GPU for operations. xp: CuPy. launch: of kernels. scratch: shared working memory."""

    xp: ModuleType
    launch: Launcher
    scratch: Scratch

    def __init__(self, xp: ModuleType, processors: int) -> None:
        self.xp = xp
        self.scratch = Scratch(xp)
        self.launch = Launcher(xp, processors, self.scratch)
        self._constants: dict[Hashable, Array] = {}
        self._first: Array | None = None

    def constant(self, values: tuple[float, ...], dtype: npt.DTypeLike) -> Array:
        """An array of numbers that never change, copied from the host once."""
        key = (values, np.dtype(dtype).name)
        if key not in self._constants:
            self._constants[key] = self.xp.asarray(np.array(values, dtype))
        return self._constants[key]

    def first_index(self) -> Array:
        """Where kernels leave the first index that they look for; NOTHING_FOUND between operations."""
        if self._first is None:
            self._first = self.xp.full((1,), NOTHING_FOUND, np.int32)
        return self._first

    def found(self, values: Array | None, count: int, dtype: npt.DTypeLike, report: Array | None) -> int:
        """Hand over what a search among `count` elements left in `first_index`.

        With a report it stays on the device and the answer is -1; without, the host waits for the index.
        """
        first = self.first_index()
        if report is not None:
            self.launch.grid("report_first", dtype, (1,), first, report, values, count)
            return -1
        index = int(first.get()[0])
        first.fill(NOTHING_FOUND)
        return index if index < count else -1


def not_a_number(ignore: int | None) -> float:
    """The label to ignore as kernels take it: NaN, which equals nothing, where there is none."""
    return float("nan") if ignore is None else float(ignore)
