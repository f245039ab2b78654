"""Batches on a GPU: few numbers a batch come from the host, and the GPU makes its input of them and of stored images.

Everything that the host does for a batch, the prefetch thread does into a slot of page-locked memory. A slot is used
again when the GPU has done all work that needs it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.batches.prefetch import Prefetcher
from netforge.data.batches.reader import BatchReader, Drawn
from netforge.data.batches.slot import Part, Slot, carve, size_of
from netforge.data.batches.stores import Store, find_store
from netforge.data.source import Indices
from netforge.device.base import Device
from netforge.device.operations.transform import CHOICES
from netforge.device.transfers import Transfers

Array = Any  # a CuPy array
LabelRule = Callable[[Indices], npt.NDArray[Any]]


class Loader:
    """What the prefetch thread does: it fills slots. label_of: labels (N, images_per_item) to those of the top."""

    def __init__(self, reader: BatchReader, store: Store, slots: Sequence[Slot], label_of: LabelRule) -> None:
        self._reader, self._store, self._label_of = reader, store, label_of
        self._free: SimpleQueue[Slot] = SimpleQueue()
        for slot in slots:
            self.give_back(slot)

    def give_back(self, slot: Slot) -> None:
        """Let a slot be filled again, once its event has come."""
        self._free.put(slot)

    def make(self, number: int) -> Slot:
        """A slot with batch `number`."""
        slot = self._free.get()  # never waits: one slot more than batches are made ahead, and one is in use at most
        try:
            slot.wait()
            indices = self._reader.draw(number)
            labels = self._store.fill(slot, number, indices.reshape(-1)).reshape(indices.shape)
            slot.drawn = indices, labels
            for values, found in zip(slot.values, (self._label_of(labels), indices), strict=False):
                values[...] = found.reshape(values.shape)
        except BaseException:
            self.give_back(slot)
            raise
        return slot


class DeviceBatches:
    """The batches of a Data layer on a GPU, as `HostBatches` elsewhere.

    label_of: labels (N, images_per_item) to those of the top; it must not lead back to this object, or the thread that
    calls it keeps both. depth: batches that a background thread makes ahead.
    """

    def __init__(
        self, device: Device, transfers: Transfers, reader: BatchReader, label_of: LabelRule, depth: int
    ) -> None:
        self._device, self._transfers, self._reader = device, transfers, reader
        self._label_of, self._depth = label_of, depth
        self._ahead: Prefetcher[Slot] | None = None
        self._slot: Slot | None = None

    @property
    def residence(self) -> str:
        """Where the images lie, for people. They are brought there now, if they were not before."""
        return self._store.residence

    @cached_property
    def _store(self) -> Store:
        with self._device.running():
            return find_store(self._device, self._transfers, self._reader, self._depth + 1)

    def feed(self, position: int, tops: Sequence[Array]) -> Drawn:
        """Bring the numbers of batch `position` to the GPU. tops: the arrays that `forward` will get."""
        ahead = self._ahead or self._start(tops)
        self._let_go()
        slot = ahead.get(position)
        if slot.copied is not None:
            self._transfers.after(slot.copied)
        self._transfers.copy(slot.memory, self._memory)
        self._slot = slot
        assert slot.drawn is not None  # the slot was filled
        return slot.drawn

    def forward(self, tops: Sequence[Array]) -> None:
        """Make the input, and write all tops."""
        store, ops = self._store, self._device.ops
        out = tops[0].reshape(self._reader.images, *self._reader.transformer.shape)
        ops.transform_images(store.images, self._noise, self._choices, self._mean, store.transform, out)
        for top, values in zip(tops[1:], self._values, strict=True):
            ops.copy(values, top)

    def close(self) -> None:
        """End the background thread, and wait for copies; `feed` begins anew."""
        if self._ahead is not None:
            with self._device.running():
                self._let_go()
            _end(self._ahead, self._transfers)

    def _let_go(self) -> None:
        """Give the slot in use back for when all work that was queued so far is done."""
        if self._slot is not None:
            slot, self._slot = self._slot, None
            slot.busy = self._transfers.record()
            self._loader.give_back(slot)

    def _start(self, tops: Sequence[Array]) -> Prefetcher[Slot]:
        reader, transfers, store = self._reader, self._transfers, self._store
        self._mean, self._noise = (
            None if image is None else self._device.from_host(image) for image in (store.mean, store.noise)
        )
        parts: list[Part] = [((reader.images, CHOICES), np.int32), *((top.shape, top.dtype) for top in tops[1:])]
        self._memory = transfers.empty((size_of(parts),), np.uint8)
        self._choices, *self._values = carve(self._memory, parts)
        slots = [Slot(transfers, parts, store.pixels, number) for number in range(self._depth + 1)]
        self._loader = Loader(reader, store, slots, self._label_of)
        self._ahead = Prefetcher(self._loader.make, self._depth, discard=self._loader.give_back)
        weakref.finalize(self, _end, self._ahead, transfers).atexit = False
        return self._ahead


def _end(ahead: Prefetcher[Slot], transfers: Transfers) -> None:
    """What comes before the memory of slots may be freed: nothing starts to copy any more, and no copy is under way."""
    ahead.close()
    transfers.finish()
