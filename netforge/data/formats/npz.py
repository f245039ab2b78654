"""Arrays in .npz files, read without trust: nothing is unpickled, and no size is believed before it is checked."""

from __future__ import annotations

import ast
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from netforge.data.formats.packed import expands_too_far, file_size, most_expanded
from netforge.errors import DataError, UnknownNameError, did_you_mean

MAGIC = b"\x93NUMPY"
LENGTH_FORMATS = {1: "<H", 2: "<I", 3: "<I"}  # of the header's length, by version of the format
MOST_DEFLATED = 1032  # no deflate stream grows more than this
LONGEST_HEADER = 10_000
LARGEST_WHOLE = 1 << 30
BLOCK_BYTES = 1 << 22
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FETCH_AGAIN = "fetch or write the file again"


@dataclass(frozen=True)
class ArrayHeader:
    """What an array says of itself, checked against the bytes that the file holds for it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


class Npz:
    """The arrays of an .npz file, as `numpy.savez` and `numpy.savez_compressed` write it; a context manager.

    path: for messages too. keys: names of the arrays. Every method raises DataError, naming file and array, where the
    file is damaged, claims more than it holds, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = file_size(path)
        with self._explained():
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    mend = "save images and labels in one file with numpy.savez"
                    raise DataError("this is an .npy file, which holds a single array", mend=mend)
            self._archive = zipfile.ZipFile(path)
        names = self._archive.namelist()
        self.keys = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *raised: object) -> None:
        self._archive.close()

    def where(self, key: str) -> str:
        """The place of an array, for messages."""
        return f"{self.path}, array {key!r}"

    def header(self, key: str) -> ArrayHeader:
        """Shape and type of an array."""
        with self._array(key) as (_, header):
            return header

    def whole(self, key: str) -> npt.NDArray[Any]:
        """A whole array of any shape; raises DataError where it takes more than 1 GiB or is cut short."""
        with self._array(key) as (stream, header):
            if header.nbytes > LARGEST_WHOLE:
                raise DataError(
                    f"the array takes {header.nbytes:,} bytes, more than {LARGEST_WHOLE:,}",
                    where=self.where(key),
                    mend="name the array of one number an image",
                )
            return self._read(stream, key, header.dtype, header.shape)

    def blocks(self, key: str) -> Iterator[npt.NDArray[Any]]:
        """The array (n, ...) in pieces of some MiB, one after the other along the first axis."""
        with self._array(key) as (stream, header):
            item_bytes = math.prod(header.shape[1:]) * header.dtype.itemsize
            step = max(1, BLOCK_BYTES // max(1, item_bytes))
            for start in range(0, header.shape[0], step):
                count = min(step, header.shape[0] - start)
                yield self._read(stream, key, header.dtype, (count, *header.shape[1:]))

    def _read(self, stream: IO[bytes], key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        size = math.prod(shape) * dtype.itemsize
        data = bytearray()
        while len(data) < size:
            with self._explained(key):
                piece = stream.read(min(BLOCK_BYTES, size - len(data)))
            if not piece:
                raise DataError("the array is cut short", where=self.where(key), mend=FETCH_AGAIN)
            data += piece
        return np.frombuffer(data, dtype).reshape(shape)

    @contextmanager
    def _array(self, key: str) -> Iterator[tuple[IO[bytes], ArrayHeader]]:
        """The bytes of an array behind its header, and the header."""
        member = self._member(key)
        with self._explained(key):
            stream = self._archive.open(member)
        with stream:
            with self._explained(key):
                length, header = read_header(stream)
            if length + header.nbytes != member.file_size:
                raise DataError(
                    f"the header asks for {header.nbytes:,} bytes, the file holds {member.file_size - length:,}",
                    where=self.where(key),
                    mend=FETCH_AGAIN,
                )
            yield stream, header

    def _member(self, key: str) -> zipfile.ZipInfo:
        """The entry of an array in the archive, its sizes checked against that of the file."""
        if key not in self.keys:
            mend = did_you_mean(key, self.keys) or f"known are {', '.join(map(repr, self.keys))}"[:500]
            raise UnknownNameError(f"there is no array {key!r} here", where=str(self.path), mend=mend)
        member = self._archive.getinfo(f"{key}.npy")
        if member.compress_type not in COMPRESSIONS:
            raise DataError(
                "the array is compressed in a way that numpy does not write",
                where=self.where(key),
                mend="write the file with numpy.savez_compressed",
            )
        expansion = MOST_DEFLATED if member.compress_type == zipfile.ZIP_DEFLATED else 1
        if member.compress_size > self._size or member.file_size > member.compress_size * expansion:
            raise DataError(
                f"the archive claims {member.file_size:,} bytes, more than the file can hold",
                where=self.where(key),
                mend=FETCH_AGAIN,
            )
        if member.file_size > most_expanded(self._size):
            raise expands_too_far(self.where(key))
        return member

    @contextmanager
    def _explained(self, key: str | None = None) -> Iterator[None]:
        """What Python's reader of archives complains about becomes a DataError."""
        where = str(self.path) if key is None else self.where(key)
        try:
            yield
        except DataError as error:
            raise error.at(where) from None
        except OSError as error:
            found = f"the file cannot be read: {error.strerror or error}"
            raise DataError(found, where=where, mend="check its rights and the disk") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
            # RuntimeError: an encrypted archive, or, as NotImplementedError, one of a kind that is not known
            found = f"this is no .npz file, or it is damaged: {str(error).rstrip('.') or 'it ends too early'}"
            raise DataError(found, where=where, mend=FETCH_AGAIN) from error


HEADER = re.compile(
    r"\{'descr': ('[^']{1,40}'), 'fortran_order': (True|False), 'shape': (\((?:\d{1,18}(?:, ?\d{1,18})*,?)?\)),? *\}\s*"
)


def read_header(stream: IO[bytes]) -> tuple[int, ArrayHeader]:
    """The header of an array in NumPy's .npy format, and its length.

    Numbers and texts only, in C order: raises DataError for Python objects and Fortran's order, ValueError where it
    is no such header.
    """
    start = stream.read(8)
    if start[:6] != MAGIC or len(start) < 8 or start[6] not in LENGTH_FORMATS:
        raise ValueError("no array in NumPy's format")
    length_format = LENGTH_FORMATS[start[6]]
    length_bytes = stream.read(struct.calcsize(length_format))
    (length,) = struct.unpack(length_format, length_bytes)
    text = stream.read(length) if length <= LONGEST_HEADER else b""
    match = HEADER.fullmatch(text.decode("latin-1"))
    if match is None:
        raise ValueError("the header of the array is not one of numbers or texts; lists of objects are not read")
    try:
        dtype = np.dtype(ast.literal_eval(match[1]))
    except (TypeError, SyntaxError) as error:
        raise ValueError(f"the type {match[1]} is not known") from error
    shape: tuple[int, ...] = ast.literal_eval(match[3])
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise DataError(
            f"the array holds {dtype}, which is neither numbers nor texts",
            mend="save it as numbers, such as numpy.array(it, numpy.uint8)",
        )
    if match[2] == "True" and len(shape) > 1:
        raise DataError("the array is in Fortran's order", mend="save numpy.ascontiguousarray(it) instead")
    return len(start) + len(length_bytes) + length, ArrayHeader(shape, dtype)
