"""Images from files, arrays and sources, brought to the form of those that a net was trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from netforge.data.picture import PictureForm, read_picture, without_warnings
from netforge.data.source import Pixels, Source
from netforge.errors import ShapeError

ImagePath: TypeAlias = "str | os.PathLike[str]"
Images: TypeAlias = "Source | ImagePath | Sequence[ImagePath] | npt.ArrayLike"
"""A source; the path of an image file, or paths; an array (n, C, H, W) or (n, H, W), or (C, H, W) or (H, W) of one."""


@dataclass(frozen=True)
class StoredForm:
    """How the images that a net was trained on are stored: shape (C, H, W), and the order of three channels."""

    shape: tuple[int, int, int]
    color_order: str = "RGB"

    def batches(self, images: Images, size: int) -> Iterator[Pixels]:
        """The images in this form, at most `size` at a time, each (n, C, H, W).

        Sources and arrays must have the shape already; a source's channels are put into this order. Files are turned
        into grey or colour and resized, see `read_file`. Raises ShapeError or DataError for what cannot be used.
        """
        if isinstance(images, Source):
            yield from self._of_source(images, size)
        elif isinstance(images, str | os.PathLike):
            yield self.read_file(images)[None]
        elif is_paths(images):
            for start in range(0, len(images), size):
                yield np.stack([self.read_file(path) for path in images[start : start + size]])
        else:
            array = self._as_array(images)
            for start in range(0, len(array), size):
                yield array[start : start + size]

    def _of_source(self, source: Source, size: int) -> Iterator[Pixels]:
        if source.shape != self.shape:
            raise ShapeError(
                f"its images have shape {source.shape}, those that the net was trained on {self.shape}",
                where=source.name,
                mend="give a source of that shape",
            )
        swap = self.shape[0] == 3 and source.color_order != self.color_order
        for start in range(0, source.count, size):
            pixels, _ = source.read(np.arange(start, min(start + size, source.count)))
            yield pixels[:, ::-1] if swap else pixels

    def _as_array(self, images: Any) -> npt.NDArray[Any]:
        array = np.asarray(images)
        plane = self.shape[1:]
        with_channel = (*array.shape[:-2], 1, *array.shape[-2:])
        for shape in (array.shape, (1, *array.shape), with_channel, (1, *with_channel)):
            fits = len(shape) == 4 and shape[1:] == self.shape and array.shape[-2:] == plane
            if fits and array.dtype.kind in "fiub":
                return array.reshape(shape)
        raise ShapeError(
            f"images have shape {array.shape} and type {array.dtype}, expected numbers of shape (n, *{self.shape})"
        )

    def read_file(self, path: ImagePath) -> npt.NDArray[np.uint8]:
        """The image in a file (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP) in this form, (C, H, W).

        It is read as `netforge data import images` reads it: upright, on white where it is clear, colour made grey
        (ITU-R BT.601) or grey colour as the net asks, and resized, stretched where its sides are in another
        proportion. Raises DataError for files that are missing, damaged or too large, ShapeError where the net takes
        neither grey nor colour.
        """
        channels, height, width = self.shape
        if channels not in (1, 3):
            raise ShapeError(
                f"the net takes images of {channels} channels, which image files do not have",
                mend="give a source or an array",
            )
        with without_warnings():
            pixels = read_picture(Path(path), PictureForm(channels, (height, width)))
        return pixels[::-1] if channels == 3 and self.color_order == "BGR" else pixels


def is_paths(images: Images) -> TypeGuard[Sequence[ImagePath]]:
    """Whether images are given as paths of files."""
    return isinstance(images, Sequence) and bool(images) and all(isinstance(p, str | os.PathLike) for p in images)
