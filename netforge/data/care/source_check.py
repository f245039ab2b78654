"""Whether one source of an image database is whole: its rows, its pixels and labels, and its files in the cache."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from netforge.data.care.finding import REPLACE, RESTORE, Finding
from netforge.data.store.cache import REMOVE
from netforge.data.store.database import ImageDatabase, SourceInfo
from netforge.data.store.drafts import Progress
from netforge.data.store.writer import PixelDigest, label_stamp
from netforge.errors import counted

MOST_NAMED = 5
PIECE_BYTES = 1 << 22
MOST_SIDE = 1 << 31

# What may be wrong with a row (SQL), and what is said of it.
WRONG_IMAGES = (
    ("typeof(position) <> 'integer' OR position < 0", "a position that is no number from 0 up"),
    ("typeof(label) <> 'integer'", "a label that is no whole number"),
    ("typeof(original_label) <> 'integer'", "an original label that is no whole number"),
    ("group_number IS NOT NULL AND typeof(group_number) <> 'integer'", "a group that is no whole number"),
    ("typeof(boost) <> 'integer'", "a boost that is no whole number"),
    ("auto NOT IN (0, 1)", "a mark of an auto label that is neither 0 nor 1"),
    ("active NOT IN (0, 1)", "a mark of use that is neither 0 nor 1"),
    ("origin IS NOT NULL AND typeof(origin) <> 'text'", "an origin that is no text"),
)
WRONG_BOXES = (
    (
        "coalesce(NOT (0 <= xmin AND xmin <= xmax AND xmax <= 1 AND 0 <= ymin AND ymin <= ymax AND ymax <= 1), 1)",
        "sides that do not lie within it in the shares 0 to 1",
    ),
    ("typeof(label) <> 'integer'", "a label that is no whole number"),
    ("difficult NOT IN (0, 1)", "a mark of difficulty that is neither 0 nor 1"),
    (
        "NOT EXISTS (SELECT 1 FROM images i WHERE i.source = boxes.source AND i.position = boxes.position)",
        "no image there",
    ),
)


class SourceCheck:
    """The checks of one source, within the snapshot that is open; each is an iterator over what it finds."""

    def __init__(self, database: ImageDatabase, connection: sqlite3.Connection, info: SourceInfo) -> None:
        self._database = database
        self._connection = connection
        self._info = info
        self.where = f'{database.path}, source "{info.name}"'

    def _say(self, found: str, mend: str = REPLACE, *, harmless: bool = False) -> Finding:
        return Finding(self.where, found, mend, harmless)

    def impossible(self) -> Finding | None:
        """What cannot stand in the row of `sources`; None where the other checks can go on."""
        info = self._info
        texts = (info.name, info.stamp, info.label_stamp, info.created)
        if not all(isinstance(text, str) for text in texts) or not isinstance(info.count, int):
            return self._say("its name, its count or its digests are damaged", RESTORE)
        if not all(isinstance(size, int) and 0 < size < MOST_SIDE for size in info.shape):
            return self._say(f"its images have the impossible shape {info.shape}", RESTORE)
        if info.dtype not in ("uint8", "float32") or info.color_order not in ("RGB", "BGR"):
            return self._say(f"its images are said to be {info.dtype} {info.color_order}", RESTORE)
        return None

    def checks(self, progress: Progress) -> list[Iterator[Finding]]:
        """All of them, for a source that is not `impossible`; progress: called with the number of further images."""
        return [
            self._images(),
            self._pixels(progress),
            self._labels(),
            self._mean(),
            self._classes(),
            self._wrong_rows("boxes", WRONG_BOXES, "box", "boxes"),
            self._edits(),
            self._cached_pixels(),
            self._cached_labels(),
        ]

    def _wrong_rows(
        self, table: str, rules: Sequence[tuple[str, str]], one: str, many: str | None = None
    ) -> Iterator[Finding]:
        """Count the rows that break each of the rules, in one pass."""
        sums = ", ".join(f"sum({rule}), min(CASE WHEN {rule} THEN position END)" for rule, _ in rules)
        row = self._one(f"SELECT {sums} FROM {table} WHERE source = ?")
        for (_, words), count, first in zip(rules, row[::2], row[1::2], strict=True):
            if count:
                yield self._say(f"{counted(count, one, many)} with {words}, the first at image {first}")

    def _one(self, query: str) -> tuple[int | None, ...]:
        row: tuple[int | None, ...] = self._connection.execute(query, (self._info.id,)).fetchone()
        return row

    def _images(self) -> Iterator[Finding]:
        """Types, positions that are dense, and the number of images in use."""
        yield from self._wrong_rows("images", WRONG_IMAGES, "image")
        total, first, last, active = self._one(
            "SELECT count(*), min(position), max(position), total(active = 1) FROM images WHERE source = ?"
        )
        if not total:
            yield self._say("it has no images")
        elif (first, last) != (0, total - 1):
            yield self._say(f"{counted(total, 'image')} stand at positions {first} to {last}: some are missing")
        if active != self._info.count:
            yield self._say(f"{counted(self._info.count, 'image')} in use are noted, {active:,.0f} are there")

    def _pixels(self, progress: Progress) -> Iterator[Finding]:
        """Whole images, one after the other, one for each row of `images`, with the digest that was noted."""
        info = self._info
        digest = PixelDigest(info.shape, np.dtype(info.dtype))
        size = math.prod(info.shape) * digest.dtype.itemsize
        count = 0
        query = "SELECT first, data FROM pixels WHERE source = ? ORDER BY first"
        for first, data in self._connection.execute(query, (info.id,)):
            if not isinstance(data, bytes) or len(data) % size or first != count:
                yield self._say(f"the pixels of image {count} and of those after it are damaged")
                return
            digest.update(data)
            count += len(data) // size
            progress(len(data) // size)
        (images,) = self._one("SELECT count(*) FROM images WHERE source = ?")
        if count != images:
            yield self._say(f"it has {counted(images or 0, 'image')}, and pixels of {count:,}")
        elif digest.stamp != info.stamp:
            yield self._say("the pixels are damaged: their digest is not the one noted when they were stored")

    def _labels(self) -> Iterator[Finding]:
        """The digest of what nets see of the labels."""
        if label_stamp(*self._database.label_columns(self._info)) != self._info.label_stamp:
            yield self._say("the labels are damaged: their digest is not the one noted when they were last changed")

    def _mean(self) -> Iterator[Finding]:
        """A mean image, where there is one, has the shape of the images and values that are numbers."""
        row = self._connection.execute("SELECT data FROM means WHERE source = ?", (self._info.id,)).fetchone()
        if row is None:
            return
        size = 4 * math.prod(self._info.shape)
        if not isinstance(row[0], bytes) or len(row[0]) != size:
            found = len(row[0]) if isinstance(row[0], bytes) else 0
            yield self._say(f"the mean image has {found:,} bytes, expected {size:,} for the shape {self._info.shape}")
        elif not np.isfinite(np.frombuffer(row[0], "<f4")).all():
            yield self._say("the mean image has values that are no finite numbers")

    def _classes(self) -> Iterator[Finding]:
        """Classes that have a name, but no image."""
        rows = self._connection.execute(
            "SELECT label, name FROM classes WHERE source = ?1"
            " AND label NOT IN (SELECT label FROM images WHERE source = ?1)",
            (self._info.id,),
        )
        empty = [f"{label} ({name})" for label, name in islice(rows, MOST_NAMED + 1)]
        if empty:
            named = ", ".join(empty[:MOST_NAMED]) + (", ..." if len(empty) > MOST_NAMED else "")
            yield self._say(f"classes without images: {named}", "this does no harm", harmless=True)

    def _edits(self) -> Iterator[Finding]:
        """Edits that could not be taken back."""
        (count,) = self._one(
            "SELECT count(*) FROM image_edits e JOIN edits ON edits.id = e.edit WHERE edits.source = ? AND NOT EXISTS"
            " (SELECT 1 FROM images i WHERE i.source = edits.source AND i.position = e.position)"
        )
        if count:
            yield self._say(f"the history has {counted(count, 'change')} of images that are not there")

    def _cached_pixels(self) -> Iterator[Finding]:
        """The file of the pixels, where there is one, has the digest in its name."""
        found = self._database.cache.peek(self._info.pixel_key)
        if found is None:
            return
        digest = PixelDigest(self._info.shape, np.dtype(self._info.dtype))
        right = found.ndim == 4 and found.shape[1:] == self._info.shape and found.dtype == digest.dtype
        if right:
            with self._database.cache.path(self._info.pixel_key).open("rb") as file:
                file.seek(-found.nbytes, os.SEEK_END)  # read, not mapped: what is mapped counts as memory in use
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
        if not right or digest.stamp != self._info.stamp:
            yield self._damaged_file("pixels", self._info.pixel_key)

    def _cached_labels(self) -> Iterator[Finding]:
        """The file of the labels, where there is one, has the digest in its name."""
        found = self._database.cache.peek(self._info.label_key)
        if found is None:
            return
        right = found.ndim == 2 and found.dtype == np.int64 and label_stamp(*found) == self._info.label_stamp
        if not right:
            yield self._damaged_file("labels", self._info.label_key)

    def _damaged_file(self, kind: str, key: str) -> Finding:
        return Finding(str(self._database.cache.path(key)), f"the cached {kind} are not those of the source", REMOVE)
