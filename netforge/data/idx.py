"""IDX files, the format of MNIST and USPS: sizes, then bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049
MOST_EXPANSION = 1032  # no deflate stream grows more than this
PIECE_BYTES = 1 << 22


def read_idx(path: Path, magic: int) -> npt.NDArray[np.uint8]:
    """The array in an IDX file: (count, height, width) for IMAGES_MAGIC, (count,) for LABELS_MAGIC.

    The header is checked against the size of the file before memory is taken. Raises DataError, naming the file, where
    it is missing, of another kind, too short, too long, or damaged.
    """
    size = file_size(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _read(raw, path, magic, size)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read(cast(IO[bytes], stream), path, magic, size * MOST_EXPANSION)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip file is damaged or cut short: {error}", where=str(path), mend="fetch it again"
        ) from error
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", where=str(path), mend="check its rights and the disk"
        ) from error


def file_size(path: Path) -> int:
    """Size in bytes; raises DataError where there is no such file."""
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), mend="correct its path")
    return path.stat().st_size


def _read(stream: IO[bytes], path: Path, magic: int, most_bytes: int) -> npt.NDArray[np.uint8]:
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
    if min(shape) < 1 or len(header) + expected > most_bytes:
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
