"""Files that hold messages: text that is read with care, bytes of weights and states, and paths named in prototxt."""

from __future__ import annotations

import difflib
import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from netforge.errors import SchemaError, did_you_mean
from netforge.schema.tokens import SourceText

M = TypeVar("M", bound=Message)

LARGEST_TEXT_BYTES = 16 * 2**20
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_MYCAFFE_TAG = b"mycaffe.ai"
_MYCAFFE_TRAILER_BYTES = 256 + 10 + 32 + 8 + 10


def resolve_path(path: str | Path, folder: Path | None) -> Path:
    """The file that `path` names: relative paths are looked up from the current folder, then from `folder`.

    folder: where the file lies that names the path. Raises SchemaError, naming both places, where there is nothing.
    """
    wanted = Path(path).expanduser()
    tried = [wanted] if wanted.is_absolute() or folder is None else [wanted, folder / wanted]
    for candidate in tried:
        if _exists(candidate):
            return candidate
    for candidate in tried:
        if os.path.islink(candidate):
            raise SchemaError(
                f"this is a symbolic link to {os.readlink(candidate)}, which leads to no file",
                where=str(candidate),
                mend="put the file there, or correct the link",
            )
    places = " nor as ".join(dict.fromkeys(str(_absolute(c)) for c in tried))
    raise SchemaError(f'there is no file "{path}": not found as {places}', mend=_mend_missing(tried))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # names that no file can have: too long, with a NUL
        return False


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(str(path).replace("\0", "\\0")))


def _mend_missing(tried: list[Path]) -> str:
    for candidate in tried:
        try:
            neighbours = [p.name for p in islice(candidate.parent.iterdir(), 1000)]
        except (OSError, ValueError):
            continue
        mend = did_you_mean(candidate.name, filter(partial(_stems_are_alike, candidate.name), neighbours))
        if mend and mend.startswith("did"):
            return mend
    return "correct the path, or start netforge in the folder that it is relative to"


def _stems_are_alike(name: str, other: str) -> bool:
    """Whether names resemble each other by more than their ending, which most files of a folder share."""
    one, two = Path(name).stem.lower(), Path(other).stem.lower()
    return bool(difflib.get_close_matches(one, [two])) or two.startswith(one)


def read_text(path: Path, what: str) -> SourceText:
    """The text of a prototxt; `what` it should hold, "a net" or "a solver", is named in messages.

    Raises SchemaError where it is missing, a folder, not readable, too large, or not text in UTF-8.
    """
    file = str(path)
    if path.is_dir():
        raise SchemaError(
            f"this is a folder, where the file of {what} is expected", where=file, mend="name a file in it"
        )
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_TEXT_BYTES + 1)
    except OSError as error:
        raise SchemaError(f"cannot be read: {error.strerror}", where=file, mend="check its path and rights") from None
    if len(data) > LARGEST_TEXT_BYTES:
        limit = f"{LARGEST_TEXT_BYTES >> 20} MB"
        raise SchemaError(f"more than {limit} are too much for {what} in text form", where=file, mend=_WEIGHTS)
    return SourceText(decode_text_file(data, file, what), file)


def decode_text_file(data: bytes, file: str, what: str) -> str:
    """UTF-8 text of `data`, without a byte order mark; raises SchemaError that says what it is instead."""
    if data.startswith(_HDF5_MAGIC):
        raise SchemaError(f"this is an HDF5 file, where {what} in text form is expected", where=file, mend=_WEIGHTS)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SchemaError("this text is in UTF-16", where=file, mend="save the file as UTF-8")
    if b"\0" in data[:65536]:
        raise SchemaError(f"this is a binary file, where {what} in text form is expected", where=file, mend=_WEIGHTS)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SchemaError(
            f"byte 0x{data[error.start]:02x} in line {line} is not UTF-8",
            where=file,
            mend="save the file as UTF-8; weights and states are given elsewhere",
        ) from None


_WEIGHTS = "weights are given with --weights, states with --snapshot"


def parse_binary(cls: type[M], data: bytes, where: str) -> M:
    """A message from bytes; what MyCaffe writes behind a file of weights is cut off.

    where: the file or record that the bytes come from. Raises SchemaError where they are damaged.
    """
    try:
        return cls.FromString(_without_trailer(data))
    except DecodeError:
        raise SchemaError(
            f"{len(data)} bytes are no {cls.DESCRIPTOR.name}: the data is cut short or of another kind",
            where=where,
            mend="copy or write the file again",
        ) from None


def _without_trailer(data: bytes) -> bytes:
    tail = data[-_MYCAFFE_TRAILER_BYTES:]
    if tail.endswith(_MYCAFFE_TAG) and tail.startswith(bytes(256) + _MYCAFFE_TAG):
        return data[:-_MYCAFFE_TRAILER_BYTES]
    return data
