"""Where the images of batches lie on a GPU: all of a source, or those of the batches that are made ahead."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.batches.reader import BatchReader
from netforge.data.batches.resident import (
    ResidentImages,
    bring,
    bytes_of,
    in_mebibytes,
    pixel_type,
    same_type,
    too_large,
)
from netforge.data.batches.slot import Part, Slot
from netforge.data.source import Indices
from netforge.device.base import Device
from netforge.device.operations.transform import ImageTransform
from netforge.device.transfers import Transfers

Array = Any  # a CuPy array
Image = npt.NDArray[np.float32]


class Store(Protocol):
    """Images on a GPU, and how a batch chooses among them.

    images: (any number, C, H, W). transform, mean, noise: what `transform_images` does to them. pixels: shape and type
    of the images that a slot holds; None where it holds none. residence: where the images lie, for people.
    """

    images: Array
    transform: ImageTransform
    mean: Image | None
    noise: Image | None
    pixels: Part | None
    residence: str

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Write the choices of batch `number`, of images `indices` (n,), into a slot, and return their labels (n,)."""


def find_store(device: Device, transfers: Transfers, reader: BatchReader, slots: int) -> Store:
    """All images of the reader's source where they fit and need nothing that only the host does; else room for slots.

    Raises DataError where a record is damaged, DeviceError where memory runs out.
    """
    source, setting = reader.source, reader.transformer.host_only
    if setting is not None:
        return Finished(reader, transfers, slots, f"{setting} is done there")
    reason = too_large(device, transfers, source)
    if reason is not None:
        return Streamed(reader, transfers, slots, reason)
    residence = f"{source.name}, {in_mebibytes(bytes_of(source))} on {device.name}"
    return Resident(reader, bring(device, transfers, source), residence)


class Resident:
    """All images of the source."""

    pixels: Part | None = None

    def __init__(self, reader: BatchReader, stored: ResidentImages, residence: str) -> None:
        self._reader, self._stored = reader, stored
        self.residence = residence
        self.images = stored.images
        self.transform, self.mean, self.noise = _steps(reader)

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Choose among all images."""
        slot.choices[:, 0] = indices
        slot.choices[:, 1:] = self._reader.transformer.choices(number, len(indices))
        return self._reader.labels_of(indices)


class Streamed:
    """Of each slot the images as they are stored."""

    def __init__(self, reader: BatchReader, transfers: Transfers, slots: int, reason: str) -> None:
        self._reader, self._source = reader, reader.source
        self.residence = _streamed(reader, reason)
        self.transform, self.mean, self.noise = _steps(reader)
        self._dtype = pixel_type(self._source)
        self._ring = Ring(transfers, slots, (reader.images, *self._source.shape), self._dtype)
        self.images, self.pixels = self._ring.images, self._ring.pixels

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Read the images and send them on their way."""
        pixels, labels = self._reader.fetch(indices)
        places = self._ring.send(slot, same_type(pixels, self._dtype, self._source))
        slot.choices[:, 0] = np.where(indices < 0, indices, places)
        slot.choices[:, 1:] = self._reader.transformer.choices(number, len(indices))
        return labels


class Finished:
    """Of each slot the input that the host has made."""

    transform = ImageTransform()
    mean: Image | None = None
    noise: Image | None = None

    def __init__(self, reader: BatchReader, transfers: Transfers, slots: int, reason: str) -> None:
        self._reader = reader
        self.residence = _streamed(reader, reason)
        self._ring = Ring(transfers, slots, (reader.images, *reader.transformer.shape), np.float32)
        self.images, self.pixels = self._ring.images, self._ring.pixels

    def fill(self, slot: Slot, number: int, indices: Indices) -> Indices:
        """Make the input and send it on its way."""
        data, labels = self._reader.make(number, indices)
        slot.choices[:, 0] = self._ring.send(slot, data)
        slot.choices[:, 1:] = 0
        return labels


class Ring:
    """Memory of a GPU for the images (n, C, H, W) of some slots, one behind the other."""

    def __init__(self, transfers: Transfers, slots: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._transfers = transfers
        self.pixels: Part | None = shape, dtype
        self.images = transfers.empty((slots * shape[0], *shape[1:]), dtype)

    def send(self, slot: Slot, pixels: npt.NDArray[Any]) -> Indices:
        """Copy a slot's images to their places, beside the GPU's work; the numbers of those places."""
        assert slot.pixels is not None
        first, end = slot.number * len(pixels), (slot.number + 1) * len(pixels)
        slot.pixels[...] = pixels
        slot.copied = slot.busy = self._transfers.copy_beside(slot.pixels, self.images[first:end])
        return np.arange(first, end)


def _steps(reader: BatchReader) -> tuple[ImageTransform, Image | None, Image | None]:
    return reader.transformer.on_device, reader.transformer.mean, reader.noise_image


def _streamed(reader: BatchReader, reason: str) -> str:
    return f"{reader.source.name} is streamed from the host: {reason}"
