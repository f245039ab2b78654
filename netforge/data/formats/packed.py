"""Files read without trust, plain or gzipped: the one home of limits on what comes out of a packed file."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from netforge.errors import DataError

ALWAYS_EXPANDED = 1 << 28  # so many bytes may come out of any packed file, however small it is
MOST_EXPANSION = 100  # times the size of a larger one; packed images grow to less than 20 times
PIECE_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
FETCH_AGAIN = "fetch or make the file again"
_DAMAGED = (
    EOFError,
    NotImplementedError,  # a version of the zip format that is not known
    RecursionError,  # headers of headers of headers
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def open_file(path: Path) -> IO[bytes]:
    """A file as a stream, unpacked where it is gzipped.

    Raises DataError, naming the file, where it is missing, damaged, or expands to more than `most_bytes` says, here or
    while it is read.
    """
    size = file_size(path)
    where = str(path)
    with explained(where), ExitStack() as closing:
        file = closing.enter_context(path.open("rb"))
        zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        stream = gunzipped(file, size, where) if zipped else guarded(file, size, where)
        closing.pop_all()
        return stream


def most_bytes(path: Path) -> int:
    """How many bytes `open_file` gives at most; raises DataError as it does."""
    size = file_size(path)
    with explained(str(path)), path.open("rb") as file:
        return most_expanded(size) if file.read(len(GZIP_MAGIC)) == GZIP_MAGIC else size


def most_expanded(size: int) -> int:
    """How many bytes may come out of a packed file of `size` bytes."""
    return max(ALWAYS_EXPANDED, size * MOST_EXPANSION)


def gunzipped(file: IO[bytes], size: int, where: str) -> IO[bytes]:
    """What is gzipped in a stream of `size` bytes; the stream is closed with it.

    Reading raises DataError, with `where`, where it is damaged or once it has given more than it may.
    """
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=file))
    return guarded(stream, most_expanded(size), where, file)


def guarded(stream: IO[bytes] | io.RawIOBase, most: int, where: str, *others: IO[bytes]) -> IO[bytes]:
    """A stream whose errors are DataErrors with `where`, also that of giving more than `most` bytes.

    others: closed with it.
    """
    return io.BufferedReader(_Guarded(stream, most, where, others), PIECE_BYTES)


class _Guarded(io.RawIOBase):
    """See `guarded`."""

    def __init__(self, stream: Any, most: int, where: str, others: tuple[IO[bytes], ...]) -> None:
        self._stream, self._left, self._where, self._others = stream, most, where, others

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with explained(self._where):
            count = int(self._stream.readinto(buffer))
        self._left -= count
        if self._left < 0:
            raise expands_too_far(self._where)
        return count

    def close(self) -> None:
        for stream in (self._stream, *self._others):
            stream.close()
        super().close()


class Part(io.RawIOBase):
    """Some bytes of a file that others read too."""

    def __init__(self, file: IO[bytes], lock: threading.Lock, start: int, size: int) -> None:
        self._file, self._lock = file, lock
        self._place, self._end = start, start + size

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes; their number."""
        with self._lock:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), self._end - self._place))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def unpacked(stream: IO[bytes], where: str) -> IO[bytes]:
    """What a stream gives, in a temporary file that has no name, at its start.

    Raises DataError, with `where`, where there is no room for it.
    """
    with ExitStack() as closing:
        file = cast(IO[bytes], closing.enter_context(tempfile.TemporaryFile()))
        while piece := stream.read(PIECE_BYTES):
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                found = f"it cannot be unpacked into {tempfile.gettempdir()}: {error.strerror or error}"
                mend = "name another folder for temporary files in TMPDIR"
                raise DataError(found, where=where, mend=mend) from error
        file.seek(0)
        closing.pop_all()
        return file


def expands_too_far(where: str) -> DataError:
    """The error for a packed file out of which more comes than may."""
    found = f"the packed file grows to more than {MOST_EXPANSION} times its size and {ALWAYS_EXPANDED >> 20} MiB"
    return DataError(found, where=where, mend="unpack it yourself, if you trust it")


def file_size(path: str | Path) -> int:
    """Size in bytes of a file; raises DataError where there is none: a folder, a device or a pipe is no file."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the path
        raise DataError("there is no such file", where=str(path), mend="correct its path") from None
    except OSError as error:
        raise _unreadable(error, str(path)) from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise DataError(f"there is no such file: this is {kind}", where=str(path), mend="name a file")
    return found.st_size


def is_folder(path: Path) -> bool:
    """Whether there is a folder; raises DataError where that cannot be said."""
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(error, str(path)) from error


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raises what Python's readers of files and archives complain about as a DataError that says where.

    For reading alone: in a block that does more, this would hide its mistakes.
    """
    try:
        yield
    except DataError as error:
        raise error.at(where) from None
    except _DAMAGED as error:  # before OSError, of which BadGzipFile is one
        text = str(error).rstrip(".") or "it ends too early"
        raise DataError(f"the file is damaged or cut short: {text}", where=where, mend=FETCH_AGAIN) from error
    except OSError as error:
        raise _unreadable(error, where) from error


def _unreadable(error: OSError, where: str) -> DataError:
    found = f"the file cannot be read: {error.strerror or error}"
    return DataError(found, where=where, mend="check its name and rights, and the disk")
