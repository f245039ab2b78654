"""Mean images in files, as Caffe's compute_image_mean writes them (.binaryproto)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.atomic import write_whole
from netforge.data.formats.packed import explained, file_size
from netforge.errors import DataError
from netforge.schema import messages, parse_binary

LARGEST_FILE = 1 << 29


def read_mean(path: Path) -> npt.NDArray[np.float32]:
    """The mean image (C, H, W) in a serialized BlobProto, of shape (C, H, W) or (1, C, H, W).

    Raises DataError where the file cannot be read or its sizes contradict its content, SchemaError where it is no
    BlobProto.
    """
    if file_size(path) > LARGEST_FILE:
        raise DataError(f"the mean file has more than {LARGEST_FILE:,} bytes", where=str(path), mend="name another one")
    with explained(str(path)):
        data = path.read_bytes()
    blob = parse_binary(messages.BlobProto, data, str(path))
    old_shape = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else old_shape
    values = np.array(blob.data or blob.double_data, np.float32)
    if len(shape) == 4 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != len(values):
        raise DataError(
            f"the mean file holds {len(values)} values of shape {shape}, expected one image (channels, height, width)",
            where=str(path),
            mend="name a file that holds the mean of the images",
        )
    if not np.isfinite(values).all():
        raise DataError("a value of the mean file is not finite", where=str(path), mend="make it again")
    return values.reshape(shape)


def write_mean(path: Path, mean: npt.NDArray[np.float32]) -> None:
    """Write a mean image (C, H, W) as Caffe's compute_image_mean does: a BlobProto of shape 1, C, H, W.

    Raises DataError where the file cannot be written.
    """
    channels, height, width = mean.shape
    blob = messages.BlobProto(num=1, channels=channels, height=height, width=width)
    blob.data.extend(np.ravel(mean).tolist())
    write_whole(path, lambda partial: partial.write_bytes(blob.SerializeToString()), what="the mean file")
