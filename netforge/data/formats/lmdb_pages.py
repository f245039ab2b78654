"""The records of an LMDB's data file, read without trust.

The library that nets read through maps the file and follows the numbers in it: damage there can end the process. Here
every number is checked before it is followed, at the cost of a slower pass. What the pages hold is described in LMDB's
own mdb.c: two pages of metadata, of which the newer one counts; then branches, leaves, and runs of overflow pages that
each hold one large value. Only what Caffe makes is read: one table, one value for each key.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netforge.errors import DataError

DATA_FILE = "data.mdb"
MAGIC, VERSION = 0xBEEFC0DE, 1
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
KINDS = BRANCH | LEAF | OVERFLOW | META | 0x60  # the last two bits: pages of tables with several values for a key
BIG_VALUE, OTHER_VALUE = 1, 6
NO_PAGE = (1 << 64) - 1
DEEPEST = 32
PAGE_SIZES = [1 << bits for bits in range(9, 17)]

_PAGE = struct.Struct("<QHHHH")  # number, padding, flags, end of the pointers, begin of the nodes
_META = struct.Struct(
    "<II16x48x4xHH24xQQQQ"
)  # magic, version; flags, depth, entries, root of the table; last page; age
_NODE = struct.Struct("<HHHH")  # low and high half of size or page, flags, length of the key
_SIZE_AT = 16 + 24  # of the page size
_HEAD = _PAGE.size


@dataclass(frozen=True)
class _Table:
    flags: int
    depth: int
    entries: int
    root: int
    last_page: int
    age: int


def data_file(path: Path) -> Path:
    """The data file of an LMDB, whose folder or data file is named."""
    return path / DATA_FILE if path.is_dir() else path


def records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of an LMDB, its folder or its data file, in the order of the keys.

    Raises DataError, naming the page, at the first number that cannot be, and where keys are out of order or missing.
    """
    file = data_file(path)
    with _mapped(file) as data:
        yield from _Pages(file, data).records()


@contextmanager
def _mapped(file: Path) -> Iterator[mmap.mmap]:
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise DataError(f"the LMDB cannot be read: {error}", where=str(file), mend="make it again") from error


class _Pages:
    """The pages of one file."""

    def __init__(self, file: Path, data: mmap.mmap) -> None:
        self._file = file
        self._data = data
        self._page_size = int.from_bytes(data[_SIZE_AT : _SIZE_AT + 4], "little")
        if self._page_size not in PAGE_SIZES or len(data) < 2 * self._page_size:
            raise self._damaged(0, "this is no page of metadata")
        self._table = max(self._meta(0), self._meta(1), key=lambda table: table.age)
        if (self._table.last_page + 1) * self._page_size > len(data):
            found = f"the file is cut short: {len(data):,} bytes of {(self._table.last_page + 1) * self._page_size:,}"
            raise self._damaged(0, found)

    def _damaged(self, page: int, found: str) -> DataError:
        return DataError(f"the LMDB is damaged: {found}", where=f"{self._file}, page {page}", mend="make it again")

    def _meta(self, page: int) -> _Table:
        start = page * self._page_size
        _, _, flags, _, _ = _PAGE.unpack_from(self._data, start)
        magic, version, *table = _META.unpack_from(self._data, start + _HEAD)
        if (magic, version) != (MAGIC, VERSION) or not flags & META:
            raise self._damaged(page, "this is no page of metadata")
        return _Table(*table)

    def _open(self, page: int, kind: int) -> tuple[int, int]:
        """Begin of a page in the file, and the end of its pointers or, of overflow, the number of pages."""
        if not 2 <= page <= self._table.last_page:
            raise self._damaged(page, f"there is no such page among {self._table.last_page + 1}")
        start = page * self._page_size
        number, _, flags, lower, upper = _PAGE.unpack_from(self._data, start)
        if number != page or flags & KINDS != kind:
            raise self._damaged(page, f"it says that it is page {number} with flags {flags:#x}, expected {kind:#x}")
        if kind == OVERFLOW:
            return start, lower | upper << 16
        if not _HEAD <= lower <= upper <= self._page_size or lower % 2:
            raise self._damaged(page, f"its free space is from {lower} to {upper}")
        return start, lower

    def _nodes(self, page: int, kind: int) -> Iterator[tuple[int, int, bytes, int]]:
        """Size or page, flags, key, and begin of the value of each node."""
        start, lower = self._open(page, kind)
        for (pointer,) in struct.iter_unpack("<H", self._data[start + _HEAD : start + lower]):
            if not lower <= pointer <= self._page_size - _NODE.size:
                raise self._damaged(page, f"a node begins at {pointer}")
            low, high, flags, length = _NODE.unpack_from(self._data, start + pointer)
            value = pointer + _NODE.size + length
            if value > self._page_size:
                raise self._damaged(page, f"a key has {length} bytes")
            key = self._data[start + value - length : start + value]
            if kind == BRANCH:
                yield low | high << 16 | flags << 32, 0, key, 0
            else:
                yield low | high << 16, flags, key, start + value

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """All records of the table, in order."""
        table = self._table
        if table.root == NO_PAGE:
            if table.entries:
                raise self._damaged(0, f"it has no root, but {table.entries} entries")
            return
        if table.flags or not 0 < table.depth <= DEEPEST:
            raise self._damaged(0, f"its table has flags {table.flags:#x} and depth {table.depth}")
        count, last = 0, b""
        for page in self._leaves(table.root, table.depth):
            for size, flags, key, begin in self._nodes(page, LEAF):
                if count and key <= last:
                    raise self._damaged(page, f"key {key!r} stands behind {last!r}")
                yield key, self._value(page, size, flags, begin)
                count, last = count + 1, key
        if count != table.entries:
            raise self._damaged(0, f"{count:,} records are there, {table.entries:,} are noted")

    def _leaves(self, root: int, depth: int) -> Iterator[int]:
        """The numbers of the leaves below a page, from left to right."""
        seen = 0
        stack = [iter((root,))]
        while stack:
            page = next(stack[-1], None)
            if page is None:
                stack.pop()
            elif len(stack) == depth:
                yield page
            else:
                seen += 1
                if seen > self._table.last_page:
                    raise self._damaged(page, "its branches go round in a circle")
                stack.append(iter([child for child, _, _, _ in self._nodes(page, BRANCH)]))

    def _value(self, page: int, size: int, flags: int, begin: int) -> bytes:
        if flags & OTHER_VALUE:
            raise self._damaged(page, f"a node has flags {flags:#x}")
        inside = 8 if flags & BIG_VALUE else size
        if begin + inside > (page + 1) * self._page_size:
            raise self._damaged(page, f"a value has {inside} bytes")
        if not flags & BIG_VALUE:
            return self._data[begin : begin + size]
        first = int.from_bytes(self._data[begin : begin + 8], "little")
        start, pages = self._open(first, OVERFLOW)
        if first + pages > self._table.last_page + 1 or _HEAD + size > pages * self._page_size:
            raise self._damaged(first, f"a value of {size} bytes stands in {pages} pages")
        return self._data[start + _HEAD : start + _HEAD + size]
