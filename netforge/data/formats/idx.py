"""IDX files, the format of MNIST and USPS: sizes, then bytes; plain or gzipped."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from netforge.data.formats.packed import most_bytes, open_file
from netforge.errors import DataError

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049
PIECE_BYTES = 1 << 22


def read_idx(path: Path, magic: int) -> npt.NDArray[np.uint8]:
    """The array in an IDX file: (count, height, width) for IMAGES_MAGIC, (count,) for LABELS_MAGIC.

    The header is checked against the size of the file before memory is taken. Raises DataError, naming the file, where
    it is missing, of another kind, too short, too long, or damaged.
    """
    with open_file(path) as stream:
        return _read(stream, path, magic, most_bytes(path))


def _read(stream: IO[bytes], path: Path, magic: int, most: int) -> npt.NDArray[np.uint8]:
    kind = "images" if magic == IMAGES_MAGIC else "labels"
    axes = magic & 0xFF
    header = stream.read(4 + 4 * axes)
    found = int.from_bytes(header[:4], "big")
    if len(header) < 4 + 4 * axes or found != magic:
        raise DataError(
            f"this is no IDX file of {kind}: it begins with {found}, expected {magic}",
            where=str(path),
            mend="check that the file is what its name says",
        )
    shape = struct.unpack(f">{axes}I", header[4:])
    expected = math.prod(shape)
    if min(shape) < 1 or len(header) + expected > most:
        raise DataError(
            f"the header asks for {' x '.join(map(str, shape))} bytes, more than the file holds",
            where=str(path),
            mend="fetch it again",
        )
    data = bytearray()
    while len(data) <= expected and (piece := stream.read(min(PIECE_BYTES, expected + 1 - len(data)))):
        data += piece
    if len(data) != expected:
        found_text = "more" if len(data) > expected else f"only {len(data)}"
        raise DataError(
            f"the header asks for {expected} bytes of {kind}, the file holds {found_text}",
            where=str(path),
            mend="fetch it again",
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
