"""What a file of weights holds, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class StoredBlob:
    """An array in a file: its shape, and a function that reads its values in that shape."""

    shape: tuple[int, ...]
    read: Callable[[], npt.NDArray[Any]]


@dataclass(frozen=True)
class StoredLayer:
    """The weights that a file holds for one layer, by their number; HDF5 files leave out weights that are shared."""

    name: str
    blobs: dict[int, StoredBlob]
