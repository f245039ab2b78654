"""Writing sources into the image database, within one transaction (`ImageDatabase.write`)."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

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
    """A digest of which images are in use, of their labels, and of their groups where they have some."""
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        digest.update(np.ascontiguousarray(column, "<i8").tobytes())
    return digest.hexdigest()


def check_name(name: str) -> None:
    """Raise DataError where `name` cannot name a source: one printable line of at most 200 characters."""
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise DataError(
            f"{name[:LONGEST_NAME]!r} cannot name a source",
            mend=f"a name has 1 to {LONGEST_NAME} printable characters, and no space at either end",
        )


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
        class_names: dict[int, str] | None = None,
        color_order: str = "RGB",
        replace: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Add a source and return the mean of its images, float32 (C, H, W).

        blocks: arrays (n, C, H, W) of one shape and type, uint8 or float32, which together make up the images, so that
        a large source never lies in memory as a whole. labels: (count,) integers. original_labels: those of the first
        import, where they differ. groups: (count,) integers, see `Source.groups`. color_order: of three channels.
        replace: remove a source of that name first.

        Raises DataError where the name is taken, the blocks do not fit together, or labels or groups are missing.
        """
        check_name(name)
        if replace:
            self.remove(name)
        elif self.has(name):
            raise DataError(
                f'there is a source "{name}" already', where=self._where, mend="write --replace to replace it"
            )
        source = self._claim(name, color_order)
        pixels = _PixelRows(self._connection, source, name)
        for block in blocks:
            pixels.add(block)
        columns = {"labels": labels, "original labels": labels if original_labels is None else original_labels}
        if groups is not None:
            columns["groups"] = groups
        stamp = self._add_images(source, name, pixels.count, columns)
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

    def _add_images(self, source: int, name: str, count: int, columns: dict[str, npt.ArrayLike]) -> str:
        """Write the rows of `images`; columns: labels, original labels and, maybe, groups. Returns the label stamp."""
        numbers = {kind: np.asarray(column, np.int64) for kind, column in columns.items()}
        for kind, column in numbers.items():
            if column.shape != (count,) or count == 0:
                raise DataError(f'source "{name}" has {count} images and {column.size} {kind}')
        labels, originals = numbers["labels"], numbers["original labels"]
        grouped = [numbers["groups"]] if "groups" in numbers else []
        groups = grouped[0].tolist() if grouped else itertools.repeat(None, count)
        self._connection.executemany(
            "INSERT INTO images (source, position, original_label, label, group_number) VALUES (?, ?, ?, ?, ?)",
            zip(itertools.repeat(source), range(count), originals.tolist(), labels.tolist(), groups, strict=False),
        )
        return label_stamp(np.arange(count), labels, *grouped)

    def _claim(self, name: str, color_order: str) -> int:
        """A row of `sources` for that name, its sizes to be filled in; the number of the source."""
        cursor = self._connection.execute(
            "INSERT INTO sources"
            " (name, channels, height, width, dtype, color_order, count, stamp, label_stamp, created)"
            " VALUES (?, 0, 0, 0, 'uint8', ?, 0, '', '', ?)",
            (name, color_order, datetime.now(UTC).isoformat(timespec="seconds")),
        )
        return int(cursor.lastrowid or 0)

    def set_mean(self, name: str, mean: npt.NDArray[np.float32]) -> None:
        """Store the mean image of the training images that a source belongs to, float32 (C, H, W)."""
        self._connection.execute(
            "INSERT OR REPLACE INTO means (source, data) SELECT id, ? FROM sources WHERE name = ?",
            (np.ascontiguousarray(mean, "<f4").tobytes(), name),
        )


class _PixelRows:
    """Cuts blocks of images into rows of about `ROW_BYTES`, and sums the images up.

    kind: channels, height, width and type of the images. count, total: number and sum of them so far.
    """

    def __init__(self, connection: sqlite3.Connection, source: int, name: str) -> None:
        self._connection = connection
        self._source = source
        self._name = name
        self._digest: PixelDigest | None = None
        self.kind: tuple[int, int, int, str] = (0, 0, 0, "uint8")
        self.count = 0
        self.total: npt.NDArray[np.float64] = np.zeros(())

    @property
    def stamp(self) -> str:
        """The digest of all that was added."""
        return self._digest.stamp if self._digest else ""

    def add(self, block: npt.NDArray[Any]) -> None:
        """Store further images (n, C, H, W)."""
        if block.ndim != 4 or block.dtype.name not in ("uint8", "float32"):
            raise DataError(
                f'images of source "{self._name}" have shape {block.shape} and type {block.dtype}',
                mend="give arrays (count, channels, height, width) of uint8 or float32",
            )
        shape = (block.shape[1], block.shape[2], block.shape[3])
        kind = (*shape, block.dtype.name)
        if self._digest is None:
            self.kind = kind
            self._digest = PixelDigest(shape, block.dtype)
            self.total = np.zeros(shape)
        if kind != self.kind:
            raise DataError(f'images of source "{self._name}" differ in shape or type: {self.kind} and {kind}')
        step = max(1, ROW_BYTES // max(1, block[:1].nbytes))
        for start in range(0, len(block), step):
            part = np.ascontiguousarray(block[start : start + step], self._digest.dtype)
            data = part.tobytes()
            self._digest.update(data)
            self.total += part.sum(axis=0, dtype=np.float64)
            self._connection.execute("INSERT INTO pixels VALUES (?, ?, ?)", (self._source, self.count, data))
            self.count += len(part)
