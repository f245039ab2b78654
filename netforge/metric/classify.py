"""Classes from embeddings: means of classes, the nearest of them, and the k nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.errors import SettingsError
from netforge.metric.arrays import Floats, Integers, as_labels, as_points, check_least
from netforge.metric.distances import distance_blocks


@dataclass(frozen=True)
class Centroids:
    """The mean of each class. labels: (L,) ascending. points: (L, D) float64. counts: (L,) items behind each."""

    labels: Integers
    points: Floats
    counts: Integers


def centroids(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> Centroids:
    """c_l = mean of the embeddings of class l (the prototype of Snell, Swersky and Zemel 2017, equation 1).

    embeddings: (n, D). labels: (n,) integers. Raises ShapeError or DataError where they cannot be used.
    """
    points = as_points(embeddings)
    known, of, counts = np.unique(as_labels(labels, len(points)), return_inverse=True, return_counts=True)
    order = np.argsort(of, kind="stable")
    sums = np.add.reduceat(points[order], np.cumsum(counts) - counts, axis=0)
    return Centroids(known, sums / counts[:, None], counts.astype(np.int64))


def nearest_centroid(embeddings: npt.ArrayLike, points: npt.ArrayLike) -> tuple[Integers, Floats]:
    """For each embedding (n, D) the number of the nearest of `points` (L, D), and the squared distance to it.

    Both (n,); a tie goes to the smaller number.
    """
    queries = as_points(embeddings)
    nearest, distances = np.empty(len(queries), np.int64), np.empty(len(queries))
    for rows, block in distance_blocks(queries, points):
        nearest[rows] = block.argmin(axis=1)
        distances[rows] = block.min(axis=1)
    return nearest, distances


def knn_predict(embeddings: npt.ArrayLike, labels: npt.ArrayLike, queries: npt.ArrayLike, *, k: int = 1) -> Integers:
    """The class that most of the k nearest embeddings have (Cover and Hart 1967), (m,) for queries (m, D).

    embeddings: (n, D). labels: (n,) integers. A tie between classes goes to the smaller label, one between neighbours
    to the earlier. Raises SettingsError where k is not in 1 .. n.
    """
    points, asked = as_points(embeddings), as_points(queries, "queries")
    check_least("k", k)
    if k > len(points):
        raise SettingsError(f"k is {k}, but there are {len(points)} embeddings", mend="give a smaller k")
    known, of = np.unique(as_labels(labels, len(points)), return_inverse=True)
    predicted = np.empty(len(asked), np.int64)
    for rows, block in distance_blocks(asked, points):
        votes = np.zeros((len(block), len(known)), np.int64)
        np.add.at(votes, (np.arange(len(block))[:, None], of[nearest_columns(block, k)]), 1)
        predicted[rows] = known[votes.argmax(axis=1)]
    return predicted


def nearest_columns(distances: Floats, k: int) -> Integers:
    """The numbers (n, k) of the k smallest of each row, ascending; of equal ones the smaller number comes first."""
    if k < distances.shape[1]:
        chosen = np.sort(np.argpartition(distances, k - 1, axis=1)[:, :k], axis=1)
        limit = np.take_along_axis(distances, chosen, axis=1).max(axis=1, keepdims=True)
        tied = np.flatnonzero((distances <= limit).sum(axis=1) > k)  # the partition chose among equals as it liked
        chosen[tied] = np.sort(np.argsort(distances[tied], axis=1, kind="stable")[:, :k], axis=1)
    else:
        chosen = np.broadcast_to(np.arange(k), distances.shape)
    order = np.argsort(np.take_along_axis(distances, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)
