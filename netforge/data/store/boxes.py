"""The boxes of annotated images: where on an image something is, and what."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.source import LARGEST_LABEL
from netforge.errors import DataError, counted

Corners = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """Boxes of the images of a source, by ascending image; within one, in the order of the annotation.

    image: (n,) numbers of the images. label: (n,) of what is in the box. corners: (n, 4) xmin, ymin, xmax, ymax in
    shares of the image's sides, 0 at the left and the top. difficult: (n,) true where it is hard to see; such boxes are
    left out where detection is judged.
    """

    image: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    corners: Corners
    difficult: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def none(cls) -> Boxes:
        """No boxes."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.bool_))

    @classmethod
    def joined(cls, parts: Sequence[Boxes], starts: Sequence[int]) -> Boxes:
        """The boxes of several sources as those of one, in which the images of each begin at the number in `starts`."""
        return cls(
            np.concatenate([part.image + start for part, start in zip(parts, starts, strict=True)]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.difficult for part in parts]),
        )

    def of_images(self, numbers: npt.NDArray[np.int64]) -> Boxes:
        """The boxes of the images with these numbers, ascending, which become 0, 1, ..."""
        places = np.searchsorted(numbers, self.image)
        kept = places < len(numbers)
        kept[kept] = numbers[places[kept]] == self.image[kept]
        return Boxes(places[kept], self.label[kept], self.corners[kept], self.difficult[kept])

    def check(self, name: str, count: int) -> None:
        """Raise DataError where these cannot be the boxes of a source `name` of `count` images."""
        n = len(self)
        shapes = [column.shape for column in (self.label, self.difficult, self.corners)]
        if shapes != [(n,), (n,), (n, 4)]:
            raise DataError(f'the boxes of source "{name}" differ in number: {n} images, others {shapes}')
        if n and not (self.image.min() >= 0 and self.image.max() < count and (np.diff(self.image) >= 0).all()):
            raise DataError(
                f'boxes of source "{name}" are not in the order of its {counted(count, "image")}',
                mend="give them by ascending numbers of images, from 0",
            )
        corners = self.corners
        right = ((corners >= 0) & (corners <= 1)).all(1) & (corners[:, :2] < corners[:, 2:]).all(1)  # false for NaN
        right &= np.abs(self.label) <= LARGEST_LABEL
        if not right.all():
            first = int(np.flatnonzero(~right)[0])
            raise DataError(
                f'box {first} of source "{name}" has corners {corners[first].tolist()} and label {self.label[first]}',
                mend="give xmin < xmax and ymin < ymax from 0 to 1, and a whole label",
            )


def write_boxes(connection: sqlite3.Connection, source: int, boxes: Boxes) -> None:
    """Store the boxes of source number `source`, whose images have just been stored."""
    first = np.searchsorted(boxes.image, boxes.image)
    connection.executemany(
        "INSERT INTO boxes (source, position, number, label, xmin, ymin, xmax, ymax, difficult)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (source, image, number, label, *corners, difficult)
            for image, number, label, corners, difficult in zip(
                boxes.image.tolist(),
                (np.arange(len(boxes)) - first).tolist(),
                boxes.label.tolist(),
                boxes.corners.tolist(),
                boxes.difficult.astype(np.int64).tolist(),
                strict=True,
            )
        ),
    )


def read_boxes(connection: sqlite3.Connection, source: int, where: str) -> Boxes:
    """The boxes of the images in use of source number `source`, images counted as an opened source counts them.

    where: the database, for messages. Raises DataError where a value is no number.
    """
    in_use = connection.execute("SELECT position FROM images WHERE source = ? AND active ORDER BY position", (source,))
    positions = np.fromiter((position for (position,) in in_use), np.int64)
    rows = connection.execute(
        "SELECT position, label, xmin, ymin, xmax, ymax, difficult FROM boxes WHERE source = ?"
        " ORDER BY position, number",
        (source,),
    )
    try:
        table = np.fromiter((value for row in rows for value in row), np.float64).reshape(-1, 7)
    except (TypeError, ValueError) as error:
        mend = "import the source again with --replace"
        raise DataError(f"a box is damaged: {error}", where=where, mend=mend) from None
    image, label = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return Boxes(image, label, np.ascontiguousarray(table[:, 2:6]), table[:, 6] != 0).of_images(positions)
