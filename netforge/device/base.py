"""What every device offers: arrays, and one flat list of operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from netforge.device.operations import Ops
from netforge.device.transfers import Transfers
from netforge.errors import DeviceError


class Graph(Protocol):
    """Work that a device has recorded and can repeat."""

    def launch(self) -> None:
        """Queue all of it once more, on the same addresses; returns before it is done."""


class Device(ABC):
    """A place where arrays live and operations run.

    name: "cpu" or "cuda:N". xp: the array module (NumPy or CuPy). ops: the operations (`netforge.device.operations`).
    can_capture: whether `capture` works here.
    """

    name: str
    xp: ModuleType
    ops: Ops
    can_capture: ClassVar[bool] = False

    @abstractmethod
    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """A new array of zeros on this device; raises DeviceError where memory runs out."""

    @abstractmethod
    def from_host(self, array: npt.NDArray[Any]) -> Any:
        """A copy of a NumPy array on this device."""

    @abstractmethod
    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """The values as a NumPy array (the same array where the device is the host)."""

    @abstractmethod
    def describe(self) -> list[str]:
        """What this device is and which libraries run its operations, as lines for people."""

    def check(self) -> None:  # noqa: B027 (a host works)
        """Raise DeviceError where this device cannot run a net after all."""

    def running(self) -> AbstractContextManager[None]:
        """The context in which a net runs on this device; may be nested."""
        return nullcontext()

    def transfers(self) -> Transfers | None:
        """How arrays come here beside the work that runs here; None where the host's arrays are the device's."""
        return None

    def synchronize(self) -> None:  # noqa: B027 (a host has nothing to wait for)
        """Wait until all work that was queued is done."""

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` queues, without doing it.

        Arrays that it uses must stay where they are for as long as the graph is launched; what it allocates and frees
        is kept with the graph. Raises DeviceError, with the reason, where `work` needs the host or takes memory that
        outlives it, and where the device cannot record at all.
        """
        raise DeviceError(f'device "{self.name}" does not record work')


def host_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A NumPy array of zeros whose first element lies on a 64-byte border, as vector units like it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64))
    raw = np.zeros(size * dtype.itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * dtype.itemsize].view(dtype).reshape(shape)
