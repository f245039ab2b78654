"""Label queries: how often training drew the images of each label of a source.

What is counted is the label in use in the source, whatever a net makes of it: with `label_mapping` the label before
that, with `quarter_turns` that of the image before it was turned, and of a pair both images. The noise image is
none of the source's and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.source import Indices, Source

FOLDED_AT = 32_768  # images: batches are kept aside until so many have come, and are then counted at once


@dataclass(frozen=True)
class LabelQueryCounts:
    """How often images of each label of a source were drawn.

    source: its name. labels: (L,) in ascending order, those that the source has and those that were drawn. counts: (L,)
    images drawn. images: (L,) how many the source has; None where that is not known without reading all of it.
    database: file of the image database that holds the source; None where it lies elsewhere.
    """

    source: str
    labels: Indices
    counts: Indices
    images: Indices | None
    database: Path | None = None

    @property
    def hit_percent(self) -> npt.NDArray[np.float64]:
        """The share of each label in all draws, in percent; 0 before the first draw."""
        percent: npt.NDArray[np.float64] = 100.0 * self.counts / max(1, int(self.counts.sum()))
        return percent

    @property
    def epochs(self) -> npt.NDArray[np.float64] | None:
        """How many times over each label's images were drawn; infinite for a label that no image has any more."""
        if self.images is None:
            return None
        with np.errstate(divide="ignore"):
            return np.divide(self.counts, self.images)


class LabelQueries:
    """Counts the draws of one layer from a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stored, _ = source.stored(np.zeros(1, np.int64))
        self._waiting: list[tuple[Indices, Indices]] = []
        self._size = 0
        self._labels: Indices = np.zeros(0, np.int64)
        self._counts: Indices = np.zeros(0, np.int64)

    def add(self, images: Indices, labels: Indices) -> None:
        """Count a batch: numbers of images in the source, -1 for the noise image, and their labels there.

        The arrays are kept for a while and must not be written to.
        """
        self._waiting.append((images.reshape(-1), labels.reshape(-1)))
        self._size += images.size
        if self._size >= FOLDED_AT:
            self._fold()

    @property
    def counts(self) -> LabelQueryCounts:
        """What was drawn so far."""
        self._fold()
        labels, counts, images = self._labels, self._counts, None
        if self._stored.labels_are_cheap:
            labels, counts, images = side_by_side((labels, counts), self._sizes)
        return LabelQueryCounts(self._stored.name, labels, counts, images, self._stored.database)

    @cached_property
    def _sizes(self) -> tuple[Indices, Indices]:
        """The labels of the source, and how many images have each."""
        labels, sizes = np.unique(self._stored.labels, return_counts=True)
        return labels, sizes

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        self._fold()
        return {"query_labels": self._labels, "query_counts": self._counts}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; a state from before labels were counted starts at 0."""
        self._waiting.clear()
        self._size = 0
        none = np.zeros(0, np.int64)
        self._labels = np.array(state.get("query_labels", none), np.int64)
        self._counts = np.array(state.get("query_counts", none), np.int64)

    def _fold(self) -> None:
        if self._waiting:
            images, labels = (np.concatenate(kind) for kind in zip(*self._waiting, strict=True))
            if self._stored is not self._source and self._stored.labels_are_cheap:
                labels = self._stored.labels[self._source.stored(images)[1]]
            self._labels, self._counts = summed((self._labels, self._counts), counts_of(labels[images >= 0]))
            self._waiting.clear()
            self._size = 0


def counts_of(labels: Indices) -> tuple[Indices, Indices]:
    """The labels that there are, in ascending order, and how often each comes."""
    if len(labels) and 0 <= labels.min() <= labels.max() < FOLDED_AT:
        counts = np.bincount(labels)
        found = np.flatnonzero(counts)
        return found, counts[found]
    found, counts = np.unique(labels, return_counts=True)
    return found, counts


def summed(*tables: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
    """Several tables of labels (L,) and counts (L,) as one: all labels in ascending order, their counts added up."""
    labels, where = np.unique(np.concatenate([table[0] for table in tables]), return_inverse=True)
    counts = np.zeros(len(labels), np.int64)
    np.add.at(counts, where, np.concatenate([table[1] for table in tables]))
    return labels, counts


def side_by_side(one: tuple[Indices, Indices], other: tuple[Indices, Indices]) -> tuple[Indices, Indices, Indices]:
    """The labels of two tables in ascending order, and the counts of each table for them; 0 where it has none."""
    labels, counts = summed(one, (other[0], np.zeros_like(other[1])))
    _, others = summed((one[0], np.zeros_like(one[1])), other)
    return labels, counts, others


def by_source(found: Iterable[LabelQueryCounts]) -> list[LabelQueryCounts]:
    """One entry for each source: the counts of layers that draw from the same one are added up."""
    groups: dict[tuple[str, Path | None], list[LabelQueryCounts]] = {}
    for entry in found:
        groups.setdefault((entry.source, entry.database), []).append(entry)
    merged = []
    for (name, database), entries in groups.items():
        labels, counts = summed(*((entry.labels, entry.counts) for entry in entries))
        first = entries[0]
        images = first.images
        if images is not None:
            _, _, images = side_by_side((labels, counts), (first.labels, images))
        merged.append(LabelQueryCounts(name, labels, counts, images, database))
    return merged
