"""Blobs: the arrays between layers, and the weights inside them.

A blob knows its shape from the moment a net is built; its `data` and `diff` arrays appear on the device when they are
first touched, and stay at that address as long as the shape fits into them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from netforge.device.base import Device
from netforge.errors import ShapeError

Array = Any  # a NumPy or a CuPy array

MOST_ELEMENTS = 1 << 42
"""A blob with more elements (16 TiB in float32) is taken for a mistake in a file."""


Limit = Callable[[], int | None]
"""What is known about the largest value in a storage: see `Storage.below`."""


def unlimited() -> None:
    """The limit of values about which nothing is known."""


class Storage:
    """Memory for one or several blobs: allocated when first touched, zeroed, then filled by `fill`.

    device, dtype: where, and of what. fill: called once with the flat array after it was allocated.
    A storage may be a window of another one: `parent` from element `offset` on.
    below: where the layer that writes the values knows that they are whole numbers from 0 to below - 1, as labels are,
    so that nobody has to read them back from a device to find the largest; None where that is unknown. limit: finds it
    out when somebody asks, which may take a pass over a data source.
    changes: how often any storage has got other memory, or any blob another shape or storage; while it stays the same,
    all arrays are where they were.
    """

    changes: ClassVar[int] = 0

    def __init__(
        self,
        device: Device,
        dtype: npt.DTypeLike,
        *,
        fill: Callable[[Array], None] | None = None,
    ) -> None:
        self.device = device
        self.dtype = np.dtype(dtype)
        self.fill = fill
        self.size = 0
        self.parent: Storage | None = None
        self.offset = 0
        self.limit: Limit = unlimited
        self._array: Array | None = None

    def reserve(self, size: int) -> None:
        """Make room for `size` elements.

        Memory that is too small is given up with its content, and a window that outgrows its place leaves its parent.
        """
        if size > self.size:
            self.size = size
            self._array = None
            self.parent = None
            Storage.changes += 1

    def move_into(self, parent: Storage, offset: int) -> None:
        """Become the window `parent[offset : offset + size]`; raises ShapeError where memory is in use already."""
        if self._array is not None:
            raise ShapeError("memory that is in use cannot move into another buffer")
        parent.reserve(offset + self.size)
        self.parent, self.offset = parent, offset

    def take_in(self, moves: Sequence[tuple[Storage, int, int]], *, size: int) -> None:
        """Grow to `size` elements and make storages windows: (storage, offset, size) each. They keep what they hold."""
        held = [storage._array for storage, _, _ in moves]
        self.reserve(size)
        for storage, offset, count in moves:
            storage.parent, storage.offset, storage.size, storage._array = self, offset, count, None
        Storage.changes += 1
        if any(array is not None for array in held):
            copies = [array.copy() if array is not None else None for array in held]
            for (storage, _, count), content in zip(moves, copies, strict=True):
                if content is not None:
                    storage.array[: len(content)] = content[:count]

    @property
    def below(self) -> int | None:
        """One more than the largest value there can be, None where that is unknown."""
        return self.limit()

    @property
    def allocated(self) -> bool:
        """Whether memory has been taken."""
        return self._array is not None

    @property
    def array(self) -> Array:
        """The flat array of `size` elements."""
        if self._array is None:
            Storage.changes += 1
            if self.parent is None:
                self._array = self.device.zeros((self.size,), self.dtype)
            else:
                self._array = self.parent.array[self.offset : self.offset + self.size]
            if self.fill is not None:
                self.fill(self._array)
        return self._array


class Blob:
    """An array of activations (`data`) with its gradient (`diff`), both of `shape`, on one device.

    name: for messages. learnable: whether a solver may change it (weights only).
    resizable: whether a weight takes the shape found in a file of weights (Decode's centroids do).
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (),
        *,
        device: Device,
        dtype: npt.DTypeLike = np.float32,
        name: str = "",
        fill: Callable[[Array], None] | None = None,
        learnable: bool = True,
        resizable: bool = False,
    ) -> None:
        self.name = name
        self.device = device
        self.dtype = np.dtype(dtype)
        self.learnable = learnable
        self.resizable = resizable
        self.data_storage = Storage(device, dtype, fill=fill)
        self.diff_storage = Storage(device, dtype)
        self._views: dict[str, tuple[Array, Array]] = {}
        self.shape: tuple[int, ...] = ()
        self.reshape(shape)

    def __repr__(self) -> str:
        return f"Blob({self.name!r}, shape={self.shape}, dtype={self.dtype}, device={self.device.name})"

    def reshape(self, *shape: int | tuple[int, ...]) -> None:
        """Take another shape, given as a tuple or as separate numbers; no array is made.

        Raises ShapeError where a dimension is negative, there are more than 32, or elements are too many to be meant.
        """
        dims = tuple(int(d) for part in shape for d in (part if isinstance(part, tuple | list) else (part,)))
        if any(d < 0 for d in dims) or len(dims) > 32:
            raise ShapeError(f'blob "{self.name}" cannot have shape {dims}', mend="use 0 or more, and at most 32 axes")
        if math.prod(dims) > MOST_ELEMENTS:
            count = f"{math.prod(dims):.1e} elements"
            raise ShapeError(
                f'blob "{self.name}" of shape {dims} would have {count}, more than any device holds',
                mend="look for a size, a pad or a number of outputs with too many digits",
            )
        if dims != self.shape:
            Storage.changes += 1
        self.shape = dims
        self._views.clear()
        self.data_storage.reserve(self.count)
        self.diff_storage.reserve(self.count)

    @property
    def count(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def data(self) -> Array:
        """The values, an array of `shape` on the device; write into it, do not replace it."""
        return self._view("data", self.data_storage)

    @property
    def diff(self) -> Array:
        """The gradient of the loss with respect to `data`, an array of `shape` on the device."""
        return self._view("diff", self.diff_storage)

    def _view(self, which: str, storage: Storage) -> Array:
        flat = storage.array
        cached = self._views.get(which)
        if cached is None or cached[0] is not flat:
            cached = (flat, flat[: self.count].reshape(self.shape))
            self._views[which] = cached
        return cached[1]

    def share_data(self, other: Blob) -> None:
        """Use the memory of `other.data` from now on, under this blob's own shape."""
        self.data_storage = other.data_storage
        self._share_checked(other)

    def share_diff(self, other: Blob) -> None:
        """Use the memory of `other.diff` from now on, under this blob's own shape."""
        self.diff_storage = other.diff_storage
        self._share_checked(other)

    def _share_checked(self, other: Blob) -> None:
        if self.count > other.count:
            raise ShapeError(
                f'blob "{self.name}" {self.shape} does not fit into the memory of "{other.name}" {other.shape}'
            )
        Storage.changes += 1
        self._views.clear()
