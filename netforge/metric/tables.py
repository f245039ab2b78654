"""Which classes are taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.metric.arrays import Floats, Integers, as_labels

UNKNOWN = -1
"""What stands for "no known class" among predicted labels."""


@dataclass(frozen=True)
class Mixup:
    """`count` images of class `label` were taken for class `predicted`; share: of all images of `label`."""

    label: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """counts[i, j]: images of class labels[i] that were taken for class predicted[j].

    labels: (L,) the classes that occur, ascending. predicted: (P,) all classes that occur or were predicted, ascending;
    UNKNOWN (-1) is the first where it was predicted.
    """

    labels: Integers
    predicted: Integers
    counts: Integers

    @property
    def totals(self) -> Integers:
        """Images of each class, (L,)."""
        totals: Integers = self.counts.sum(axis=1)
        return totals

    @property
    def right(self) -> Integers:
        """Images of each class that were taken for it, (L,)."""
        same = self.predicted[None] == self.labels[:, None]
        right: Integers = np.where(same, self.counts, 0).sum(axis=1)
        return right

    @property
    def accuracy(self) -> float:
        """The share of all images that were taken for their own class."""
        return float(self.right.sum() / self.totals.sum())

    @property
    def class_accuracies(self) -> Floats:
        """The share of each class's images that were taken for it, (L,)."""
        return self.right / self.totals

    def mixups(self, most: int | None = None) -> list[Mixup]:
        """The wrong answers other than UNKNOWN, the most frequent first, then by label; at most `most` of them."""
        wrong = self.counts * ((self.predicted[None] != self.labels[:, None]) & (self.predicted != UNKNOWN))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [
            Mixup(int(self.labels[i]), int(self.predicted[j]), int(wrong[i, j]), float(wrong[i, j] / self.totals[i]))
            for i, j in zip(rows, columns, strict=True)
            if wrong[i, j]
        ]


def confusion(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Confusion:
    """Count which classes were taken for which.

    labels: (n,) integers from 0. predicted: (n,) integers, UNKNOWN (-1) for images that were given no class. Raises
    ShapeError where their numbers differ.
    """
    truth = as_labels(labels, np.size(labels))
    answers = as_labels(predicted, len(truth), "predicted labels")
    known, rows = np.unique(truth, return_inverse=True)
    columns = np.union1d(known, answers)
    counts = np.zeros((len(known), len(columns)), np.int64)
    np.add.at(counts, (rows, np.searchsorted(columns, answers)), 1)
    return Confusion(known, columns, counts)
