"""How well classes stand apart: silhouette, nearest neighbours, distances within and between classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError
from netforge.metric.arrays import Floats, as_labels, as_points
from netforge.metric.distances import distance_blocks


@dataclass(frozen=True)
class Clusters:
    """Measures of n labelled points, by Euclidean distances (not squared ones).

    silhouette: mean over all points, from -1 to 1 (Rousseeuw 1987); the larger, the tighter and farther apart classes
    are. neighbour_accuracy: the share of points whose nearest other point has their class. within: mean distance of
    two points of one class, NaN where no class has two. between: mean distance of two points of two classes.
    """

    silhouette: float
    neighbour_accuracy: float
    within: float
    between: float


def clusters(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> Clusters:
    """Measure how classes stand apart in embeddings (n, D) with labels (n,).

    The silhouette of a point is (b - a) / max(a, b): a is its mean distance to the others of its class, b the smallest
    of its mean distances to another class (Rousseeuw 1987, equations 2 to 6); of the only point of a class it is 0.
    Memory stays within a few blocks of distances. Raises DataError for points of one class, or that are not finite.
    """
    points = as_points(embeddings)
    known, of, counts = np.unique(as_labels(labels, len(points)), return_inverse=True, return_counts=True)
    if len(known) < 2:
        raise DataError(
            f"all {len(points)} points are of class {known[0]}, so nothing stands apart",
            mend="take points of two classes or more",
        )
    member = np.zeros((len(points), len(known)))
    member[np.arange(len(points)), of] = 1
    silhouettes, hits = np.empty(len(points)), 0
    within = between = 0.0
    for rows, block in distance_blocks(points, points):
        own, numbers = of[rows], np.arange(len(block))
        np.sqrt(block, out=block)
        block[numbers, np.arange(len(points))[rows]] = 0  # to itself; rounding leaves a trace
        sums = block @ member
        silhouettes[rows] = _silhouettes(sums, own, counts)
        inside = sums[numbers, own].sum()
        within, between = within + inside, between + sums.sum() - inside
        block[numbers, np.arange(len(points))[rows]] = np.inf
        hits += int((of[block.argmin(axis=1)] == own).sum())
    pairs = float((counts * (counts - 1)).sum())
    others = float(len(points) ** 2 - (counts**2).sum())
    mean_within = within / pairs if pairs else float("nan")
    return Clusters(float(silhouettes.mean()), hits / len(points), mean_within, between / others)


def _silhouettes(sums: Floats, own: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Floats:
    """Silhouettes (m,) from the sums of distances (m, L) to each class."""
    numbers = np.arange(len(sums))
    inside = sums[numbers, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[numbers, own] = np.inf
    nearest = means.min(axis=1)
    largest = np.maximum(inside, nearest)
    found = np.divide(nearest - inside, largest, out=np.zeros(len(sums)), where=largest > 0)
    silhouettes: Floats = np.where(counts[own] > 1, found, 0.0)
    return silhouettes
