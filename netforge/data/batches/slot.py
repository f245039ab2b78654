"""Page-locked memory in which a batch travels to a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.batches.reader import Drawn
from netforge.device.transfers import Event, Transfers

Array = Any  # a NumPy or a CuPy array
Part = tuple[tuple[int, ...], npt.DTypeLike]  # shape and type of an array

ALIGNMENT = 16


class Slot:
    """Page-locked memory for one batch; it is filled, sent and filled again.

    number: which of the slots this is. memory: what goes over for each batch, carved into choices (images, 4), see
    `transform_images`, and values, one array for each further top. pixels: images that go over too, or None.
    drawn: the batch's images and labels. copied: the event behind the copy of pixels. busy: the event to wait for
    before the memory is written again.
    """

    def __init__(self, transfers: Transfers, parts: Sequence[Part], pixels: Part | None, number: int) -> None:
        self.number = number
        self._transfers = transfers
        self.memory = transfers.page_locked((size_of(parts),), np.uint8)
        self.choices, *self.values = carve(self.memory, parts)
        self.pixels = transfers.page_locked(*pixels) if pixels else None
        self.drawn: Drawn | None = None
        self.copied: Event | None = None
        self.busy: Event | None = None

    def wait(self) -> None:
        """Wait until the memory may be written."""
        if self.busy is not None:
            self._transfers.wait(self.busy)
        self.copied = self.busy = None


def size_of(parts: Sequence[Part]) -> int:
    """Bytes that `carve` needs for these shapes and types."""
    return sum(_aligned(_bytes_of(part)) for part in parts)


def carve(memory: Array, parts: Sequence[Part]) -> list[Array]:
    """Bytes (count,) as arrays of these shapes and types, one behind the other."""
    found, start = [], 0
    for part in parts:
        shape, dtype = part
        found.append(memory[start : start + _bytes_of(part)].view(dtype).reshape(shape))
        start += _aligned(_bytes_of(part))
    return found


def _bytes_of(part: Part) -> int:
    shape, dtype = part
    return math.prod(shape) * np.dtype(dtype).itemsize


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT
