"""What a source holds, in numbers: images of each class, labels that were changed, and the pixels, read as a stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.labels.query import Query, parse
from netforge.data.source import Source
from netforge.data.sources.opening import open_images
from netforge.data.store.builtin import make_builtin
from netforge.data.store.database import ImageDatabase
from netforge.errors import DataError

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassCounts:
    """The images of one class. count: in use. auto: in use, and labelled by a net. changed: in use, and imported with
    another label. disabled: not in use.
    """

    label: int
    name: str
    count: int
    auto: int = 0
    changed: int = 0
    disabled: int = 0


@dataclass(frozen=True)
class Census:
    """How many images there are of what.

    classes: in the order of their labels. groups: different groups of images in use; None where images have none.
    boxes: in use.
    """

    classes: tuple[ClassCounts, ...]
    groups: int | None = None
    boxes: int = 0

    @property
    def count(self) -> int:
        """Images in use."""
        return sum(entry.count for entry in self.classes)

    @property
    def smallest(self) -> ClassCounts:
        """The class with the fewest images in use, the first of several."""
        return min(self.classes, key=lambda entry: entry.count)

    @property
    def largest(self) -> ClassCounts:
        """The class with the most images in use, the first of several."""
        return max(self.classes, key=lambda entry: entry.count)


@dataclass(frozen=True)
class PixelStatistics:
    """Values of pixels, for each channel (C,): their smallest, largest, mean and standard deviation.

    dtype: as they are stored. mean_image: (C, H, W).
    """

    dtype: str
    minimum: Numbers
    maximum: Numbers
    mean: Numbers
    deviation: Numbers
    mean_image: npt.NDArray[np.float32]


def census(source: str, where: str | None = None, *, database: Path | None = None) -> Census:
    """Count the images of a source, or of those that a query means.

    source: as `open_source` takes it. Of an LMDB, which has nothing but labels, all records are read.
    Raises what `open_images` raises.
    """
    with ImageDatabase(database) as images:
        make_builtin(images, source)
        if source in images:
            return _stored_census(images, source, parse(where or "active or disabled"))
    opened = open_images(source, where, database=database)
    labels, counts = np.unique(opened.labels, return_counts=True)
    rows = zip(labels.tolist(), counts.tolist(), strict=True)
    return Census(tuple(ClassCounts(label, opened.class_name(label), count) for label, count in rows))


def _stored_census(images: ImageDatabase, source: str, query: Query) -> Census:
    with images.snapshot() as connection:
        info = images.find(source)
        names, values = images.class_names(info), query.parameters(info.id)
        query.check(connection, info.id)
        rows = connection.execute(
            "SELECT label, sum(active), sum(active AND auto), sum(active AND label != original_label),"
            f" sum(NOT active) {query.rows} GROUP BY label ORDER BY label",
            values,
        ).fetchall()
        (groups,) = connection.execute(
            f"SELECT count(DISTINCT group_number) {query.rows} AND active", values
        ).fetchone()
        (boxes,) = connection.execute(
            f"SELECT count(*) FROM boxes WHERE source = :source AND position IN"
            f" (SELECT position {query.rows} AND active)",
            values,
        ).fetchone()
    if not rows:
        raise DataError(f"no image meets the query '{query.text}'", where=source, mend="ask for others")
    classes = tuple(ClassCounts(label, names.get(label, str(label)), *counts) for label, *counts in rows)
    return Census(classes, groups or None, boxes)


def pixel_statistics(source: Source, progress: Callable[[int], None] | None = None) -> PixelStatistics:
    """Look at all images of a source once, a block at a time, in bounded memory.

    progress: called with the number of images of each block. Sums of blocks are joined without loss of digits (Chan,
    Golub and LeVeque 1983).
    """
    channels = source.shape[0]
    total = np.zeros(source.shape)
    minimum, maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
    mean, squares, count, dtype = np.zeros(channels), np.zeros(channels), 0, ""
    for numbers in source.block_numbers():
        pixels, _ = source.read(numbers)
        dtype = pixels.dtype.name
        values = pixels.astype(np.float64)
        minimum = np.minimum(minimum, values.min((0, 2, 3)))
        maximum = np.maximum(maximum, values.max((0, 2, 3)))
        summed = values.sum(0)
        total += summed
        own = summed.mean((1, 2)) / len(values)
        values -= own[:, None, None]
        share = len(values) / (count + len(values))
        step = own - mean
        squares += np.einsum("nchw,nchw->c", values, values) + step**2 * count * share * (summed[0].size)
        mean += step * share
        count += len(values)
        if progress is not None:
            progress(len(values))
    deviation = np.sqrt(squares / (count * total[0].size))
    return PixelStatistics(dtype, minimum, maximum, mean, deviation, (total / count).astype(np.float32))


def as_plain(counts: Census, pixels: PixelStatistics | None) -> dict[str, object]:
    """Both as lists, numbers and texts, for JSON."""
    found: dict[str, object] = {
        "images": counts.count,
        "groups": counts.groups,
        "boxes": counts.boxes,
        "classes": [vars(entry) for entry in counts.classes],
    }
    if pixels is not None:
        values = {name: getattr(pixels, name).tolist() for name in ("minimum", "maximum", "mean", "deviation")}
        found["pixels"] = {"dtype": pixels.dtype, **values}
    return found
