"""Images of no class, made of images of known classes."""

from __future__ import annotations

import numpy as np

from netforge.data.sampling import ClassIndex, random_words
from netforge.data.source import Indices, Pixels, Source
from netforge.device.random import RandomStream
from netforge.errors import DataError


class Blends(Source):
    """`count` images, each the mean of two images of different classes of a source, drawn at random.

    They stand in for unknown images where none are at hand: what lies half way between two classes looks like images of
    the same kind, and is of neither class (so Zhou, Ye and Zhan 2021, "Learning Placeholders for Open-Set
    Recognition", make theirs). Labels are -1. Raises DataError where all images are of one class, or make
    fewer blends.
    """

    def __init__(self, source: Source, count: int, *, seed: int = 0) -> None:
        classes = ClassIndex(source.labels)
        if len(classes.labels) < 2:
            raise DataError(
                "all images are of one class, so none can be blended with another",
                where=source.name,
                mend="give unknown images as well",
            )
        pairs = (source.count**2 - int((classes.sizes**2).sum())) // 2
        if count > pairs:
            raise DataError(
                f"{count:,} blends are asked for, and its images make {pairs:,} different ones",
                where=source.name,
                mend="give more images, or unknown ones as well",
            )
        stream = RandomStream(seed, "blends")
        rounds = -(-count // source.count)
        first = np.concatenate([np.argsort(random_words(stream, r, source.count)) for r in range(rounds)])[:count]
        self._source = source
        self._first, self._second = first, classes.different(first, random_words(stream, rounds, count))
        self.name = f"blends of two images of {source.name}"
        self.shape, self.color_order = source.shape, source.color_order
        self.count = count
        self.class_names = {}

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Blend the images."""
        first, second = (self._source.read(rows[indices])[0] for rows in (self._first, self._second))
        mean = (first.astype(np.float32) + second) / 2
        return mean.astype(first.dtype), np.full(len(indices), -1)

    @property
    def labels(self) -> Indices:
        """-1 for every image."""
        return np.full(self.count, -1)
