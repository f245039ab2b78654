"""Retrieval: every image asks for the others of its class, nearest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError
from netforge.metric.arrays import Floats, Integers, as_labels, as_points, check_least
from netforge.metric.classify import nearest_columns
from netforge.metric.distances import distance_blocks


@dataclass(frozen=True)
class Retrieval:
    """Means over all queries.

    recall: k to recall@k, the share of queries with one of their class among the k nearest. r_precision: the share of
    their class among the R nearest, R being the number of others of the class. map_at_r: mean average precision at R.
    queries: how many there were. alone: images that are the only one of their class, which ask for nothing.
    """

    recall: dict[int, float]
    r_precision: float
    map_at_r: float
    queries: int
    alone: int


def retrieval(embeddings: npt.ArrayLike, labels: npt.ArrayLike, *, at: Sequence[int] = (1, 5, 10)) -> Retrieval:
    """Measure how well the nearest embeddings are of the same class.

    MAP@R = mean over queries of 1/R sum_{i=1..R} P(i), where P(i) is the precision of the i nearest if the i-th is of
    the query's class and 0 otherwise (Musgrave, Belongie and Lim 2020, "A Metric Learning Reality Check"). An image is
    not its own neighbour; of neighbours equally far the one of the smaller number counts as nearer.

    embeddings: (n, D). labels: (n,) integers. at: the k of recall@k. Raises DataError where no two images are of one
    class.
    """
    points = as_points(embeddings)
    values = as_labels(labels, len(points))
    if not len(at):
        raise SettingsError("no k is given for recall@k", mend="give some, such as 1, 5 and 10")
    for k in at:
        check_least("recall@k", k)
    _, of, sizes = np.unique(values, return_inverse=True, return_counts=True)
    others = sizes[of] - 1
    asking = np.flatnonzero(others)
    if not len(asking):
        raise DataError("no two images are of one class, so none can find another", mend="give more images")
    depth = min(len(points) - 1, max(*at, int(others.max())))
    hits = np.zeros((len(asking), len(at)))
    scores = np.zeros((len(asking), 2))
    for rows, block in distance_blocks(points[asking], points):
        block[np.arange(len(block)), asking[rows]] = np.inf
        relevant = of[nearest_columns(block, depth)] == of[asking[rows], None]
        hits[rows] = np.stack([relevant[:, :k].any(axis=1) for k in at], axis=1)
        scores[rows] = _precisions(relevant, others[asking[rows]])
    recall = {k: float(share) for k, share in zip(at, hits.mean(axis=0), strict=True)}
    r_precision, map_at_r = scores.mean(axis=0).tolist()
    return Retrieval(recall, r_precision, map_at_r, len(asking), len(points) - len(asking))


def _precisions(relevant: npt.NDArray[np.bool_], wanted: Integers) -> Floats:
    """R-precision and average precision at R, (n, 2), of answers (n, depth), nearest first, and R (n,)."""
    ranks = np.arange(1, relevant.shape[1] + 1)
    counted = relevant & (ranks <= wanted[:, None])
    precision = np.cumsum(counted, axis=1) / ranks
    found, average = counted.sum(axis=1), (precision * counted).sum(axis=1)
    return np.stack([found, average], axis=1) / wanted[:, None]
