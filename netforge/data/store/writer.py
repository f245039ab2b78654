"""Writing sources into the image database, within one transaction (`ImageDatabase.write`)."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.store.boxes import Boxes, write_boxes
from netforge.data.store.label_columns import Column, LabelColumns
from netforge.errors import DataError, counted

ROW_BYTES = 1 << 20
LONGEST_NAME = 200


class PixelDigest:
    """The stamp of a source's pixels: a digest of their shape, type and bytes."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        self.dtype = dtype.newbyteorder("<")
        self._hash = hashlib.blake2b(repr((*shape, self.dtype.str)).encode(), digest_size=16)

    def update(self, data: bytes) -> None:
        """Add the bytes of further images."""
        self._hash.update(data)

    @property
    def stamp(self) -> str:
        """The digest, in hexadecimal."""
        return self._hash.hexdigest()


def label_stamp(*columns: npt.NDArray[np.int64]) -> str:
    """A digest of which images are in use and of their labels, groups and boosts: of the rows of `LabelColumns`."""
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        digest.update(np.ascontiguousarray(column, "<i8").tobytes())
    return digest.hexdigest()


def check_name(name: str) -> None:
    """Raise DataError where `name` cannot name a source: one printable line of at most 200 characters.

    A name that begins with "-" would be taken for an option wherever a command names a source.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip() or name[0] == "-":
        raise DataError(
            f"{name[:LONGEST_NAME]!r} cannot name a source",
            mend=f"a name has 1 to {LONGEST_NAME} printable characters, no space at either end and no - at its start",
        )


def check_class_name(name: str, where: str | None = None, mend: str | None = None) -> None:
    """Raise DataError where `name` cannot name a class: one printable line of at most 200 characters."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        mend = mend or f"a name has 1 to {LONGEST_NAME} printable characters"
        raise DataError(f"{name[:LONGEST_NAME]!r} cannot name a class", where=where, mend=mend)


def name_is_taken(name: str, where: str) -> DataError:
    """The error for a name that another source has."""
    return DataError(f'there is a source "{name}" already', where=where, mend="write --replace to replace it")


def checked_columns(
    name: str, count: int, *, origins: Sequence[str | None] | None, **columns: npt.ArrayLike | None
) -> dict[str, Column]:
    """The columns that are given, as int64; raises DataError where one, or `origins`, has not `count` entries."""
    numbers = {kind: np.asarray(column, np.int64) for kind, column in columns.items() if column is not None}
    for kind, column in numbers.items():
        if column.shape != (count,) or count == 0:
            found = f"{counted(count, 'image')} and {column.size:,} {kind.replace('_', ' ')}"
            raise DataError(f'source "{name}" has {found}')
    if origins is not None and len(origins) != count:
        raise DataError(f'source "{name}" has {counted(count, "image")} and {len(origins):,} origins')
    return numbers


class Writer:
    """Adds and removes sources; nothing is visible to others before the transaction ends.

    dropped_stamps: digests of what was removed, whose cache files may go.
    """

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self.dropped_stamps: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether there is a source of that name."""
        return self._connection.execute("SELECT 1 FROM sources WHERE name = ?", (name,)).fetchone() is not None

    def remove(self, name: str) -> bool:
        """Remove a source with all that belongs to it; False where there is none of that name."""
        row = self._connection.execute("SELECT id, stamp, label_stamp FROM sources WHERE name = ?", (name,)).fetchone()
        if row is None:
            return False
        self.dropped_stamps.update(row[1:])
        self._connection.execute("DELETE FROM sources WHERE id = ?", row[:1])
        return True

    def add(
        self,
        name: str,
        blocks: Iterable[npt.NDArray[Any]],
        labels: npt.ArrayLike,
        *,
        original_labels: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        auto: npt.ArrayLike | None = None,
        boosts: npt.ArrayLike | None = None,
        origins: Sequence[str | None] | None = None,
        class_names: dict[int, str] | None = None,
        color_order: str = "RGB",
        replace: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Add a source and return the mean of its images, float32 (C, H, W).

        blocks: arrays (n, C, H, W) of one shape and type, uint8 or float32, which together make up the images, so that
        a large source never lies in memory as a whole. labels: (count,) integers. original_labels: those of the first
        import, where they differ. groups: (count,) integers, see `Source.groups`. auto: (count,), 1 where a net gave
        the label. boosts: (count,) integers. origins: the file or record that each image came from. color_order: of
        three channels. replace: remove a source of that name first.

        Raises DataError where the name is taken, the blocks do not fit together, or labels or groups are missing.
        """
        check_name(name)
        if replace:
            self.remove(name)
        elif self.has(name):
            raise name_is_taken(name, self._where)
        source = self._claim(name, color_order)
        pixels = PixelRows(name, partial(self._add_pixels, source))
        for block in blocks:
            pixels.add(block)
        originals = labels if original_labels is None else original_labels
        columns = checked_columns(
            name,
            pixels.count,
            labels=labels,
            original_labels=originals,
            groups=groups,
            auto=auto,
            boosts=boosts,
            origins=origins,
        )
        stamp = self._add_images(source, pixels.count, columns, origins)
        self._connection.execute(
            "UPDATE sources SET channels = ?, height = ?, width = ?, dtype = ?, count = ?, stamp = ?, label_stamp = ?"
            " WHERE id = ?",
            (*pixels.kind, pixels.count, pixels.stamp, stamp, source),
        )
        self._connection.executemany(
            "INSERT INTO classes (source, label, name) VALUES (?, ?, ?)",
            ((source, label, text) for label, text in (class_names or {}).items()),
        )
        return (pixels.total / pixels.count).astype(np.float32)

    def _add_pixels(self, source: int, first: int, data: bytes) -> None:
        self._connection.execute("INSERT INTO pixels VALUES (?, ?, ?)", (source, first, data))

    def _add_images(
        self, source: int, count: int, columns: dict[str, Column], origins: Sequence[str | None] | None
    ) -> str:
        """Write the rows of `images`; returns the label stamp."""
        numbers = {kind: column.tolist() for kind, column in columns.items()}
        rows = zip(
            repeat(source, count),
            range(count),
            numbers["original_labels"],
            numbers["labels"],
            numbers.get("auto", repeat(0, count)),
            numbers.get("boosts", repeat(0, count)),
            numbers.get("groups", repeat(None, count)),
            repeat(None, count) if origins is None else origins,
            strict=True,
        )
        self._connection.executemany(
            "INSERT INTO images (source, position, original_label, label, auto, boost, group_number, origin)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        kept = LabelColumns(np.arange(count), columns["labels"], columns.get("groups"), columns.get("boosts"))
        return label_stamp(*kept.rows)

    def _claim(self, name: str, color_order: str) -> int:
        """A row of `sources` for that name, its sizes to be filled in; the number of the source."""
        cursor = self._connection.execute(
            "INSERT INTO sources"
            " (name, channels, height, width, dtype, color_order, count, stamp, label_stamp, created)"
            " VALUES (?, 0, 0, 0, 'uint8', ?, 0, '', '', ?)",
            (name, color_order, datetime.now(UTC).isoformat(timespec="seconds")),
        )
        return int(cursor.lastrowid or 0)

    def add_boxes(self, name: str, boxes: Boxes) -> None:
        """Add the boxes of the images of a source that was added before."""
        (source,) = self._connection.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()
        write_boxes(self._connection, source, boxes)

    def set_mean(self, name: str, mean: npt.NDArray[np.float32]) -> None:
        """Store the mean image of the training images that a source belongs to, float32 (C, H, W)."""
        self._connection.execute(
            "INSERT OR REPLACE INTO means (source, data) SELECT id, ? FROM sources WHERE name = ?",
            (np.ascontiguousarray(mean, "<f4").tobytes(), name),
        )

    def set_label_queries(self, name: str, run: str, labels: Sequence[int], counts: Sequence[int]) -> None:
        """Store how many images of each label a training run has drawn from a source."""
        where = "source = (SELECT id FROM sources WHERE name = ?) AND run = ?"
        self._connection.execute(f"DELETE FROM queries WHERE {where}", (name, run))
        self._connection.executemany(
            "INSERT INTO queries (source, run, label, count) SELECT id, ?, ?, ? FROM sources WHERE name = ?",
            ((run, label, count, name) for label, count in zip(labels, counts, strict=True)),
        )


class PixelRows:
    """Cuts blocks of images into rows of about `ROW_BYTES`, checks that they fit together, and sums the images up.

    insert: called with the position of the first image of a row, and the bytes of the row.
    shape, dtype: of the images, (C, H, W). count, total: number and sum of them so far.
    """

    def __init__(self, name: str, insert: Callable[[int, bytes], None]) -> None:
        self._name = name
        self._insert = insert
        self._digest: PixelDigest | None = None
        self.shape: tuple[int, int, int] = (0, 0, 0)
        self.dtype = "uint8"
        self.count = 0
        self.total: npt.NDArray[np.float64] = np.zeros(())

    @property
    def kind(self) -> tuple[int, int, int, str]:
        """Channels, height, width and type of the images."""
        return (*self.shape, self.dtype)

    @property
    def stamp(self) -> str:
        """The digest of all that was added."""
        return self._digest.stamp if self._digest else ""

    def add(self, block: npt.NDArray[Any]) -> None:
        """Store further images (n, C, H, W); raises DataError where they differ in shape or type from those before."""
        if block.ndim != 4 or block.dtype.name not in ("uint8", "float32"):
            raise DataError(
                f'images of source "{self._name}" have shape {block.shape} and type {block.dtype}',
                mend="give arrays (count, channels, height, width) of uint8 or float32",
            )
        shape, dtype = (block.shape[1], block.shape[2], block.shape[3]), block.dtype.name
        if self._digest is None:
            self.shape, self.dtype = shape, dtype
            self._digest = PixelDigest(shape, block.dtype)
            self.total = np.zeros(shape)
        if (*shape, dtype) != self.kind:
            found = (*shape, dtype)
            raise DataError(f'images of source "{self._name}" differ in shape or type: {self.kind} and {found}')
        step = max(1, ROW_BYTES // max(1, block[:1].nbytes))
        for start in range(0, len(block), step):
            part = np.ascontiguousarray(block[start : start + step], self._digest.dtype)
            data = part.tobytes()
            self._digest.update(data)
            self.total += part.sum(axis=0, dtype=np.float64)
            self._insert(self.count, data)
            self.count += len(part)
