"""Arrays taken as images and as numbers of images: which axis is what, and what the values mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.source import LARGEST_LABEL
from netforge.errors import DataError

COLOURS = (1, 3)
LARGEST_SIDE = 1 << 14


def image_layout(shape: Sequence[int], dtype: np.dtype[Any], where: str, layout: str | None = None) -> str:
    """The layout of an array of images: "NHW", "NHWC" or "NCHW".

    layout: of four axes, where they could be read in two ways. Raises DataError, with `where`, where the array can be
    none of images.
    """
    if len(shape) not in (3, 4) or 0 in shape or dtype.kind not in "biuf":
        raise DataError(
            f"the array has shape {tuple(shape)} and type {dtype}: these are no images",
            where=where,
            mend="name an array (n, H, W), (n, H, W, C) or (n, C, H, W) of bytes, or of floats from 0 to 1",
        )
    if len(shape) == 3:
        layout = "NHW"
    elif layout is None:
        possible = [name for name, axis in (("NHWC", 3), ("NCHW", 1)) if shape[axis] in COLOURS]
        if len(possible) != 1:
            raise DataError(
                f"it is not clear which axis of {tuple(shape)} holds the colours",
                where=where,
                mend="say so with --layout NHWC or --layout NCHW",
            )
        layout = possible[0]
    if max(shape[layout.index("H")], shape[layout.index("W")]) > LARGEST_SIDE:
        raise DataError(f"images of shape {tuple(shape[1:])} have sides above {LARGEST_SIDE:,} pixels", where=where)
    return layout


def as_planes(images: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """Images of a layout as (n, C, H, W)."""
    if layout == "NHW":
        return images[:, None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if layout == "NHWC" else images


def as_bytes(
    images: npt.NDArray[Any], where: str, numbers: npt.NDArray[np.int64], white: float | None = None
) -> npt.NDArray[np.uint8]:
    """Pixels (n, ...) as bytes 0 .. 255, from numbers 0 .. white, or truth values.

    where, numbers (n,): the array and the number of each image in it, for messages. white: None means 255 for whole
    numbers and 1 for floats. Raises DataError where a value is out of range or not a number.
    """
    if images.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    limit = (1 if images.dtype.kind == "f" else 255) if white is None else white
    if images.dtype == np.uint8 and limit == 255:
        return images
    right = (images >= 0) & (images <= limit)  # false for NaN
    if not right.all():
        place = np.argwhere(~right)[0]
        raise DataError(
            f"image {numbers[place[0]]} has the value {images[tuple(place)]}, "
            f"expected 0 to {limit:g} for {images.dtype}",
            where=where,
            mend="scale the pixels to 0..1, or save them as uint8",
        )
    return (
        images.astype(np.uint8)
        if limit == 255 and images.dtype.kind in "iu"
        else np.rint(images * (255.0 / limit)).astype(np.uint8)
    )


def check_whole_numbers(shape: Sequence[int], dtype: np.dtype[Any], count: int, where: str) -> None:
    """Raise DataError, with `where`, where an array holds not one whole number for each of `count` images."""
    if tuple(shape) != (count,) or dtype.kind not in "iu":
        raise DataError(
            f"the array has shape {tuple(shape)} and type {dtype}, expected a whole number for each of the "
            f"{count:,} images",
            where=where,
        )


def as_numbers(values: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
    """Labels or groups (n,) as int64; raises DataError, with `where`, for one that a net takes for another."""
    wrong = np.flatnonzero((values > LARGEST_LABEL) | (values < -LARGEST_LABEL))
    if len(wrong):
        raise DataError(
            f"number {wrong[0]} of the array is {values[wrong[0]]}",
            where=where,
            mend=f"give labels and groups between {-LARGEST_LABEL:,} and {LARGEST_LABEL:,}",
        )
    return values.astype(np.int64)
