"""Images that lie in a GPU's memory as long as somebody uses them, the same ones for all layers and nets."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import numpy.typing as npt

from netforge.data.source import Source
from netforge.device.base import Device
from netforge.device.transfers import CHUNK_BYTES, Transfers
from netforge.errors import DataError

Array = Any  # a CuPy array

SHARE = 0.5
"""Of the memory that is free, what the images of a source may take; the rest is for nets."""


class ResidentImages:
    """All images of a source on a GPU: images (count, C, H, W), as the source stores them."""

    def __init__(self, images: Array) -> None:
        self.images = images


_known: WeakKeyDictionary[Device, WeakValueDictionary[Hashable, ResidentImages]] = WeakKeyDictionary()


def pixel_type(source: Source) -> np.dtype[Any]:
    """The type of a source's pixels, found by reading its first image."""
    return source.images[0].dtype


def bytes_of(source: Source) -> int:
    """What all images of a source take."""
    return int(source.count) * int(np.prod(source.shape)) * pixel_type(source).itemsize


def too_large(device: Device, transfers: Transfers, source: Source) -> str | None:
    """Why a source cannot lie on a device; None where it can, or does already."""
    if source.identity in _on(device):
        return None
    size, free = bytes_of(source), transfers.free_bytes()
    if size <= SHARE * free:
        return None
    return f"{in_mebibytes(size)} are more than half of the {in_mebibytes(free)} that are free on {device.name}"


def bring(device: Device, transfers: Transfers, source: Source) -> ResidentImages:
    """The images of a source on a device, copied there where nobody did it before.

    Raises DataError where a record is damaged, DeviceError where memory runs out.
    """
    found = _on(device).get(source.identity)
    if found is None:
        found = _on(device)[source.identity] = ResidentImages(_upload(transfers, source))
    return found


def in_mebibytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**20:,.1f} MiB"


def same_type(pixels: npt.NDArray[Any], dtype: np.dtype[Any], source: Source) -> npt.NDArray[Any]:
    """`pixels` of any shape, which must have the type of the source's first image: a GPU holds images of one type.

    Raises DataError where they have another.
    """
    if pixels.dtype != dtype:
        raise DataError(
            f"some images hold {pixels.dtype} and others {dtype}",
            where=source.name,
            mend="make the source again with images of one type, or train on the CPU",
        )
    return pixels


def _on(device: Device) -> WeakValueDictionary[Hashable, ResidentImages]:
    return _known.setdefault(device, WeakValueDictionary())


def _upload(transfers: Transfers, source: Source) -> Array:
    """Read a source from its first to its last image, and copy what was read while the next part is being read."""
    dtype, image_bytes = pixel_type(source), bytes_of(source) // source.count
    part = min(source.count, max(1, CHUNK_BYTES // image_bytes))
    images = transfers.empty((source.count, *source.shape), dtype)
    buffers = [transfers.page_locked((part, *source.shape), dtype) for _ in range(2)]
    copied: list[Any] = [None, None]
    for number, start in enumerate(range(0, source.count, part)):
        pixels = same_type(source.images[start : start + part], dtype, source)
        turn = number % 2
        if copied[turn] is not None:
            transfers.wait(copied[turn])
        buffer = buffers[turn][: len(pixels)]
        buffer[...] = pixels
        transfers.copy(buffer, images[start : start + len(pixels)])
        copied[turn] = transfers.record()
    for event in filter(None, copied):
        transfers.wait(event)
    return images
