"""Turned images as classes of their own: four times the classes of a small source (Santoro et al. 2016)."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt

from netforge.data.source import Indices, Pixels, Source
from netforge.errors import DataError

TURNS = 4


class QuarterTurns(Source):
    """Another source, followed by the same images turned left by one, two and three quarters.

    Image i of the n images, turned t times, is image i + t * n. Its label is the image's own plus t times one more than
    the largest label: with labels 0 .. C-1 the classes C .. 4C-1 are added. The mean is that of all four turns.

    header_only: the source's labels are not looked at, and classes have no names. Raises DataError where images are not
    square or a label is negative.
    """

    def __init__(self, source: Source, *, header_only: bool = False) -> None:
        _, height, width = source.shape
        if height != width:
            raise DataError(
                f'quarter turns need square images, but those of "{source.name}" have {height} x {width} pixels',
                mend="import square images, or remove quarter_turns",
            )
        self._source = source
        self.name = source.name
        self.shape = source.shape
        self.count = TURNS * source.count
        self.color_order = source.color_order
        self.shuffled = source.shuffled
        self._span = 0 if header_only else self._distance()
        self.class_names = {} if header_only else self._turned_names()

    def _turned_names(self) -> dict[int, str]:
        named = self._source.class_names.items()
        turned = {k + t * self._span: f"{name} turned {90 * t}" for t in range(1, TURNS) for k, name in named}
        return dict(named) | turned

    def _distance(self) -> int:
        """How far apart the labels of a class and of its next turn are."""
        labels = self._source.labels
        if labels.min() < 0:
            raise DataError(
                f'quarter turns need labels from 0 on, but "{self.name}" has a label {int(labels.min())}',
                mend="map it to another label with label_mapping, or remove quarter_turns",
            )
        return int(labels.max()) + 1

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Gather the images and turn them."""
        turns, own = np.divmod(indices, self._source.count)
        upright, labels = self._source.read(own)
        pixels = np.empty_like(upright)
        for turn in range(TURNS):
            chosen = turns == turn
            pixels[chosen] = np.rot90(upright[chosen], turn, axes=(2, 3))
        return pixels, labels + turns * self._span

    def stored(self, indices: Indices) -> tuple[Source, Indices]:
        """The images before they were turned."""
        return self._source.stored(indices % self._source.count)

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        return np.concatenate([self._source.labels + turn * self._span for turn in range(TURNS)])

    @property
    def labels_are_cheap(self) -> bool:
        """As the other source has it."""
        return self._source.labels_are_cheap

    @property
    def identity(self) -> Hashable:
        """Equal where the images before they were turned are."""
        return "quarter turns", self._source.identity

    @property
    def groups(self) -> Indices | None:
        """The group of every image, that of the image before it was turned."""
        groups = self._source.groups
        return None if groups is None else np.tile(groups, TURNS)

    @property
    def boosts(self) -> Indices | None:
        """The boost of every image, that of the image before it was turned."""
        boosts = self._source.boosts
        return None if boosts is None else np.tile(boosts, TURNS)

    @property
    def mean(self) -> npt.NDArray[np.float32] | None:
        """The mean image of all four turns."""
        mean = self._source.mean
        if mean is None:
            return None
        turned = np.stack([np.rot90(mean, turn, axes=(1, 2)) for turn in range(TURNS)])
        average: npt.NDArray[np.float32] = turned.mean(0)
        return average
