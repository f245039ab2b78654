"""Operations: the prototypical loss (Snell, Swersky and Zemel, NeurIPS 2017) on the items of one batch.

x (N, D) embeddings; labels (N, K) of any values, of which only column 0 counts: equal labels are one class. Scalars
that belong to the device are arrays of one element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netforge.device.operations.decode import NEVER

Array = Any

SUPPORT = -1.0
"""The target of an item that helps to make a prototype, and does not ask for one."""


@dataclass(frozen=True)
class PrototypeRule:
    """How queries are judged.

    temperature: distances are divided by it. factor: on the squared distances; 1/2 makes them the cosine distances of
    vectors of length 1.
    """

    temperature: float = 1.0
    factor: float = 1.0


class PrototypicalOps:
    """NumPy reference of the prototypical loss."""

    def split_episode(
        self, labels: Array, shots: int, targets: Array, shares: Array, absent: Array, report: Array
    ) -> int:
        """Split a batch into support, the first `shots` items of each class, and queries; classes by first appearance.

        targets (N,): the class of a query, -1 for support. shares (C, N): 1 / shots where an item is support of a
        class, else 0, so that shares @ x are the prototypes. absent (C,): 1 for rows beyond the last class.
        Returns the index of the first item whose class has no more than `shots` items, N where there is one class only,
        -1 where all is right. report (2,): where it holds zeros, it becomes 1 + that index and the label; an
        asynchronous device then answers -1 at once. Classes beyond C, which only such a fault can bring, are left out.
        """
        items, rows, truth = len(labels), len(shares), labels[:, 0]
        equal = (truth[:, None] == truth) | np.eye(items, dtype=bool)  # NaN differs from itself
        rank = np.tril(equal, -1).sum(axis=1)
        number = (np.cumsum(rank == 0) - 1)[equal.argmax(axis=1)] if items else rank
        classes = int((rank == 0).sum())
        np.copyto(targets, np.where((rank < shots) | (number >= rows), SUPPORT, number))
        share = (number == np.arange(rows)[:, None]) & (rank < shots)
        np.multiply(share, 1 / shots, out=shares, casting="same_kind")
        np.copyto(absent, np.arange(rows) >= classes)
        few = equal.sum(axis=1) <= shots
        fault = int(few.argmax()) if few.any() else items if classes == 1 else -1
        if fault >= 0 and report[0] == 0:
            report[0], report[1] = 1 + fault, truth[min(fault, items - 1)]
        return fault

    def prototypical_forward(
        self,
        distances: Array,
        targets: Array,
        probabilities: Array,
        queries: Array,
        loss: Array,
        accuracy: Array | None,
        means: Array | None,
        rule: PrototypeRule,
    ) -> None:
        """loss[0] = mean over queries of -log softmax(-d / temperature)[target], d = factor * distances (N, C).

        Distances of FLT_MAX belong to no class. probabilities (N, C): the softmax for queries, 0 for others.
        queries[0]: their number, at least 1. accuracy[0]: the share of queries whose own prototype is the nearest, the
        lowest class at ties. means (2,): the mean d to the own prototype, and to the nearest other one (FLT_MAX without
        any).
        """
        asks = targets >= 0
        own = np.where(asks, targets, 0).astype(np.intp)[:, None]
        d = np.where(distances < NEVER, distances * rule.factor, np.inf)
        to_own = np.take_along_axis(d, own, axis=1)
        scores = (to_own - d) / rule.temperature
        np.copyto(scores, 0, where=~asks[:, None])
        most = scores.max(axis=1, keepdims=True)
        np.exp(scores - most, out=probabilities)
        sums = probabilities.sum(axis=1, keepdims=True)
        probabilities *= asks[:, None] / sums
        queries[0] = max(1, int(asks.sum()))
        loss[0] = (most + np.log(sums))[asks].sum() / queries[0]
        if accuracy is not None:
            accuracy[0] = (asks & (d.argmin(axis=1) == own[:, 0])).sum() / queries[0]
        if means is not None:
            others = np.where(np.arange(d.shape[1]) == own, NEVER, np.minimum(d, NEVER)).min(axis=1)
            means[0], means[1] = to_own[asks].sum() / queries[0], others[asks].sum() / queries[0]

    def prototypical_backward(
        self, probabilities: Array, targets: Array, queries: Array, scale: Array, slopes: Array, rule: PrototypeRule
    ) -> None:
        """slopes (N, C) = scale[0] times the gradient of the loss by the distances that `prototypical_forward` took."""
        step = scale[0] / queries[0] * (rule.factor / rule.temperature)
        np.multiply(probabilities, -step, out=slopes)
        asking = np.flatnonzero(targets >= 0)
        slopes[asking, targets[asking].astype(np.intp)] += step

    def squared_distances_backward(
        self, x: Array, centroids: Array, slopes: Array, dx: Array, dcentroids: Array
    ) -> None:
        """dx, dcentroids = gradients of the sum of slopes (N, C) * squared distances of x (N, D) to centroids (C, D).

        The sums run in double precision: what they add up nearly cancels where distances are short.
        """
        wide, others, weight = x.astype(np.float64), centroids.astype(np.float64), 2 * slopes.astype(np.float64)
        np.subtract(weight.sum(axis=1)[:, None] * wide, weight @ others, out=dx, casting="same_kind")
        np.subtract(weight.sum(axis=0)[:, None] * others, weight.T @ wide, out=dcentroids, casting="same_kind")
