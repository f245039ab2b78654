"""Batches on a GPU: few numbers a batch come from the host, and the GPU makes its input of them and of stored images.

The images lie on the GPU, all of a source (`netforge.data.resident`) or those of the batches that are made ahead: then
they are copied beside the work of the batches before. Everything that the host does for a batch, the prefetch thread
does into a slot of page-locked memory. A slot is used again when the GPU has done all work that needs it.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.batches import BatchReader
from netforge.data.prefetch import Prefetcher
from netforge.data.resident import ResidentImages, bring, bytes_of, in_mebibytes, pixel_type, same_type, too_large
from netforge.data.source import Indices
from netforge.device.base import Device
from netforge.device.operations.transform import CHOICES, ImageTransform
from netforge.device.transfers import Event, Transfers

Array = Any  # a CuPy array
Part = tuple[tuple[int, ...], npt.DTypeLike]

ALIGNMENT = 16


class Slot:
    """Page-locked memory for one batch.

    memory: what goes over for each batch, carved into choices (images, 4), see `transform_images`, and values, one
    array for each further top. pixels: images that go over too, which lie on the GPU from image number `first` on.
    copied: the event behind their copy. busy: the event that must be waited for before the memory is written again.
    """

    def __init__(self, transfers: Transfers, parts: Sequence[Part], pixels: Part | None, number: int) -> None:
        self.memory = transfers.page_locked((size_of(parts),), np.uint8)
        self.choices, *self.values = carve(self.memory, parts)
        self.pixels = transfers.page_locked(*pixels) if pixels else None
        self.first = number * len(self.choices)
        self.copied: Event | None = None
        self.busy: Event | None = None

    def wait(self) -> None:
        """Wait until the memory may be written."""
        if self.busy is not None:
            self.busy.synchronize()
        self.copied = self.busy = None


def size_of(parts: Sequence[Part]) -> int:
    """Bytes that `carve` needs for these shapes and types."""
    return sum(_aligned(math.prod(shape) * np.dtype(dtype).itemsize) for shape, dtype in parts)


def carve(memory: Array, parts: Sequence[Part]) -> list[Array]:
    """Bytes as arrays of these shapes and types, one behind the other."""
    found, start = [], 0
    for shape, dtype in parts:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        found.append(memory[start : start + size].view(dtype).reshape(shape))
        start += _aligned(size)
    return found


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


class Home(Protocol):
    """Where the stored images of batches lie on the GPU.

    images: (any number, C, H, W). transform, mean, noise: what `transform_images` does to them. pixels: shape and type
    of the images that a slot holds; None where they are on the GPU already.
    """

    images: Array
    transform: ImageTransform
    mean: npt.NDArray[np.float32] | None
    noise: npt.NDArray[np.float32] | None
    pixels: Part | None

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Write the choices of batch `number`, of images `indices` (n,), into a slot, and return their labels (n,)."""


class Resident:
    """All images of the source lie on the GPU."""

    pixels: Part | None = None

    def __init__(self, reader: BatchReader, stored: ResidentImages) -> None:
        self._reader, self._stored = reader, stored
        self.images = stored.images
        self.transform, self.mean = reader.transformer.on_device, reader.transformer.mean
        self.noise = reader.noise_image

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Choose among all images."""
        slot.choices[:, 0] = indices
        slot.choices[:, 1:] = self._reader.transformer.choices(number, len(indices))
        return self._reader.labels_of(indices)


class Streamed:
    """The GPU holds the images of as many batches as there are slots, as they are stored."""

    def __init__(self, reader: BatchReader, transfers: Transfers, slots: int) -> None:
        self._reader, self._transfers = reader, transfers
        self.transform, self.mean = reader.transformer.on_device, reader.transformer.mean
        self.noise = reader.noise_image
        self.pixels: Part | None = (reader.images, *reader.source.shape), pixel_type(reader.source)
        self.images = transfers.empty((slots * reader.images, *reader.source.shape), self.pixels[1])

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Read the images and send them on their way."""
        pixels, labels = self._reader.fetch(indices)
        self._send(slot, same_type(pixels, self.images.dtype, self._reader.source))
        slot.choices[:, 0] = np.where(indices < 0, indices, slot.first + np.arange(len(indices)))
        slot.choices[:, 1:] = self._reader.transformer.choices(number, len(indices))
        return labels

    def _send(self, slot: Slot, pixels: npt.NDArray[Any]) -> None:
        assert slot.pixels is not None
        slot.pixels[...] = pixels
        place = self.images[slot.first : slot.first + len(pixels)]
        slot.copied = slot.busy = self._transfers.copy_beside(slot.pixels, place)


class Finished(Streamed):
    """The GPU holds the input of as many batches as there are slots, which the host has made."""

    def __init__(self, reader: BatchReader, transfers: Transfers, slots: int) -> None:
        self._reader, self._transfers = reader, transfers
        self.transform, self.mean, self.noise = ImageTransform(), None, None
        self.pixels = (reader.images, *reader.transformer.shape), np.float32
        self.images = transfers.empty((slots * reader.images, *reader.transformer.shape), np.float32)

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Make the input and send it on its way."""
        data, labels = self._reader.make(number, indices)
        self._send(slot, data)
        slot.choices[:] = 0
        slot.choices[:, 0] = slot.first + np.arange(len(indices))
        return labels


class Loader:
    """What the prefetch thread does: it fills slots. label_of: labels (N, images_per_item) to those of the top."""

    def __init__(
        self, reader: BatchReader, home: Home, slots: Sequence[Slot], label_of: Callable[[Indices], npt.NDArray[Any]]
    ) -> None:
        self._reader, self._home, self._label_of = reader, home, label_of
        self.free: SimpleQueue[Slot] = SimpleQueue()
        for slot in slots:
            self.free.put(slot)

    def make(self, number: int) -> Slot:
        """A slot with batch `number`."""
        slot = self.free.get()  # never waits: there are more slots than batches in the making, waiting and in use
        try:
            slot.wait()
            indices = self._reader.draw(number)
            labels = self._home.fill(slot, number, indices.reshape(-1)).reshape(indices.shape)
            for values, found in zip(slot.values, (self._label_of(labels), indices), strict=False):
                values[...] = found.reshape(values.shape)
        except BaseException:
            self.free.put(slot)
            raise
        return slot


class DeviceBatches:
    """The batches of a Data layer on a GPU; see `HostBatches`. depth: batches that are made ahead."""

    def __init__(
        self,
        device: Device,
        transfers: Transfers,
        reader: BatchReader,
        label_of: Callable[[Indices], npt.NDArray[Any]],
        depth: int,
    ) -> None:
        self._device, self._transfers, self._reader = device, transfers, reader
        self._label_of, self._depth = label_of, depth
        self._ahead: Prefetcher[Slot] | None = None
        self._slot: Slot | None = None

    @property
    def residence(self) -> str:
        """Where the images lie, for people; decided when it is first asked for, by the memory that is free then."""
        source, reason = self._reader.source, self._reason
        if reason is not None:
            return f"{source.name} streamed from the host: {reason}"
        return f"{source.name}, {in_mebibytes(bytes_of(source))} on {self._device.name}"

    @cached_property
    def _reason(self) -> str | None:
        """Why images are streamed; None where they lie on the GPU."""
        setting = self._reader.transformer.host_only
        if setting is not None:
            return f"{setting} is done there"
        return too_large(self._device, self._transfers, self._reader.source)

    def feed(self, position: int, tops: Sequence[Array]) -> None:
        """Bring the numbers of batch `position` to the GPU. tops: the arrays that `forward` will get."""
        ahead = self._ahead or self._start(tops)
        if self._slot is not None:
            self._let_go(self._slot)
        slot = ahead.get(position)
        if slot.copied is not None:
            self._transfers.after(slot.copied)
        self._transfers.copy(slot.memory, self._memory)
        self._slot = slot

    def forward(self, tops: Sequence[Array]) -> None:
        """Make the input, and write all tops."""
        out = tops[0].reshape(self._reader.images, *self._reader.transformer.shape)
        home, ops = self._home, self._device.ops
        ops.transform_images(home.images, self._noise, self._choices, self._mean, home.transform, out)
        for top, values in zip(tops[1:], self._values, strict=True):
            ops.copy(values, top)

    def close(self) -> None:
        """End the background thread; `feed` starts another one."""
        if self._ahead is None:
            return
        self._ahead.close()
        if self._slot is not None:
            self._let_go(self._slot)
        self._transfers.finish()

    def _let_go(self, slot: Slot) -> None:
        """Give a slot back for when all work that was queued so far is done."""
        self._slot = None
        slot.busy = self._transfers.record()
        self._loader.free.put(slot)

    def _start(self, tops: Sequence[Array]) -> Prefetcher[Slot]:
        reader, transfers, count = self._reader, self._transfers, self._depth + 1
        self._home = self._find_home(count)
        self._mean, self._noise = (
            None if image is None else self._device.from_host(image) for image in (self._home.mean, self._home.noise)
        )
        parts: list[Part] = [((reader.images, CHOICES), np.int32), *((top.shape, top.dtype) for top in tops[1:])]
        self._memory = transfers.empty((size_of(parts),), np.uint8)
        self._choices, *self._values = carve(self._memory, parts)
        slots = [Slot(transfers, parts, self._home.pixels, number) for number in range(count)]
        self._loader = Loader(reader, self._home, slots, self._label_of)
        self._ahead = Prefetcher(self._loader.make, self._depth, discard=self._loader.free.put)
        weakref.finalize(self, transfers.finish).atexit = False
        return self._ahead

    def _find_home(self, slots: int) -> Home:
        reader = self._reader
        if self._reason is None:
            return Resident(reader, bring(self._device, self._transfers, reader.source))
        if reader.transformer.host_only is not None:
            return Finished(reader, self._transfers, slots)
        return Streamed(reader, self._transfers, slots)
