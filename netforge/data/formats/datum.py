"""Caffe's records: a Datum holds one image, as bytes, as floats, or as an encoded image file, and its label."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from netforge.data.formats.picture import opened
from netforge.errors import DataError
from netforge.schema import messages


def decode_datum(record: bytes, where: str, color_order: str = "BGR") -> tuple[npt.NDArray[Any], int]:
    """The image (C, H, W), uint8 or float32, and the label of a serialized Datum.

    color_order: in which the channels of encoded images come out, "BGR" as Caffe's do, or "RGB"; raw values stay as
    they are. Raises DataError, with `where`, for a record that is damaged or whose sizes contradict its content.
    """
    datum = _parse(record, where)
    if datum.encoded:
        image = decode_image(datum.data, where)
        return (image if color_order == "BGR" else _swapped(image)), datum.label
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) < 1:
        raise DataError(
            f"the Datum has shape {shape}; each size must be at least 1", where=where, mend="make the record again"
        )
    expected = datum.channels * datum.height * datum.width
    if datum.data:
        values: npt.NDArray[Any] = np.frombuffer(datum.data, np.uint8)
    else:
        values = np.array(datum.float_data, np.float32)
    if len(values) != expected:
        raise DataError(
            f"the Datum has {len(values)} values, but its shape {shape} asks for {expected}",
            where=where,
            mend="make the record again",
        )
    return values.reshape(shape), datum.label


def _swapped(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image with B and R in each other's place."""
    return image if len(image) < 3 else image[[2, 1, 0, 3][: len(image)]]


def decode_label(record: bytes, where: str) -> int:
    """The label of a serialized Datum, its image left alone; raises DataError where the record is none."""
    return int(_parse(record, where).label)


def is_encoded(record: bytes) -> bool:
    """Whether a serialized Datum that `decode_datum` takes holds an image file."""
    return bool(messages.Datum.FromString(record).encoded)


def _parse(record: bytes, where: str) -> messages.Datum:
    try:
        return messages.Datum.FromString(record)
    except DecodeError as error:
        raise DataError("the record is no Datum", where=where, mend="make the database again") from error


def decode_image(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """The pixels (C, H, W) of an encoded image file: 1 channel, or B, G, R, or B, G, R, alpha.

    Raises DataError for a file that is damaged, too large, or not of 8 bits a channel.
    """
    mend = "make the record again"
    with opened(io.BytesIO(data), where, mend) as image:
        mode = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}.get(image.mode, image.mode)
        if mode not in ("L", "RGB", "RGBA"):
            raise DataError(f"the image is of mode {image.mode}, expected grey or colour", where=where, mend=mend)
        pixels = np.asarray(image.convert(mode))
    if pixels.ndim == 2:
        return pixels[None]
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]].transpose(2, 0, 1))
