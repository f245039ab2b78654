"""Images from files, arrays and sources, brought to the form of those that a net was trained on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from netforge.data.formats.picture import PictureForm, make_picture, read_picture, without_warnings
from netforge.data.source import Pixels, Source
from netforge.errors import DataError, ShapeError

if TYPE_CHECKING:
    from PIL.Image import Image

ImagePath: TypeAlias = "str | os.PathLike[str]"
Picture: TypeAlias = "ImagePath | Image"
Images: TypeAlias = "Source | Picture | Sequence[Picture] | npt.ArrayLike"
"""A source; the path of an image file, a Pillow image, or several of both; an array (n, C, H, W), (n, H, W, C) or
(n, H, W), or (C, H, W), (H, W, C) or (H, W) of one image."""


@dataclass(frozen=True)
class StoredForm:
    """How the images that a net was trained on are stored: shape (C, H, W), the order of three channels, and whether
    their values are known to be bytes, 0 to 255."""

    shape: tuple[int, int, int]
    color_order: str = "RGB"
    bytes_only: bool = False

    def batches(self, images: Images, size: int) -> Iterator[Pixels]:
        """The images in this form, at most `size` at a time, each (n, C, H, W).

        Sources and arrays must have the shape already. A source's channels, and the red, green and blue of an array
        (n, H, W, 3), are put into this order; arrays (n, C, H, W) have it. Files and Pillow images are turned into grey
        or colour and resized, see `read`. Raises ShapeError or DataError for what cannot be used, such as fractions
        from 0 to 1 for a net that has learned from bytes.
        """
        if isinstance(images, Source):
            yield from self._of_source(images, size)
        elif is_picture(images):
            yield self.read(images)[None]
        elif is_pictures(images):
            for start in range(0, len(images), size):
                yield np.stack([self.read(picture) for picture in images[start : start + size]])
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
        try:
            array = np.asarray(images)
        except ValueError:  # of a list of arrays
            raise ShapeError("images have several shapes", mend=f"give all of them the shape {self.shape}") from None
        channels, height, width = self.shape
        layouts = [(height, width)] if channels == 1 else [self.shape, (height, width, channels)]
        if self.bytes_only and array.dtype.kind == "f" and _are_shares(array):
            raise DataError(
                "the values of the images lie between 0 and 1, the net was trained on bytes, 0 to 255",
                mend="multiply them by 255",
            )
        if array.dtype.kind in "fiub":
            for layout in (self.shape, (height, width, channels), *layouts):
                if layout in (array.shape, array.shape[1:]):
                    return self._as_planes(array.reshape(-1, *layout))
        many = " or ".join(f"(n, {', '.join(map(str, layout))})" for layout in layouts)
        raise ShapeError(f"images have shape {array.shape} and type {array.dtype}, expected numbers of shape {many}")

    def _as_planes(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Images (n, C, H, W), (n, H, W, C) or (n, H, W) as (n, C, H, W)."""
        if images.ndim == 3 or images.shape[1:] == self.shape:
            return images.reshape(-1, *self.shape)
        swap = self.shape[0] == 3 and self.color_order == "BGR"
        return (images[..., ::-1] if swap else images).transpose(0, 3, 1, 2)

    def read(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """The image in a file (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP), or one of Pillow's, in this form, (C, H, W).

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
        form = PictureForm(channels, (height, width))
        with without_warnings():
            if isinstance(picture, str | os.PathLike):
                pixels = read_picture(Path(picture), form)
            else:
                pixels = make_picture(picture, form, "image")
        return pixels[::-1] if channels == 3 and self.color_order == "BGR" else pixels


def _are_shares(values: npt.NDArray[Any]) -> bool:
    """Whether all lie from 0 to 1, and not all on the ends: what bytes become when they are divided by 255."""
    between = (values > 0) & (values < 1)
    return bool(between.any()) and bool((between | (values == 0) | (values == 1)).all())


def is_picture(images: Any) -> TypeGuard[Picture]:
    """Whether it is the path of a file, or an image of Pillow's."""
    if isinstance(images, str | os.PathLike):
        return True
    if "PIL.Image" not in sys.modules:  # then nobody can have made one
        return False
    from PIL.Image import Image

    return isinstance(images, Image)


def is_pictures(images: Images) -> TypeGuard[Sequence[Picture]]:
    """Whether images are given as paths of files or as images of Pillow's."""
    return isinstance(images, Sequence) and bool(images) and all(map(is_picture, images))
