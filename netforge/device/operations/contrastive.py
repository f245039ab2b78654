"""Operations: the contrastive loss (Hadsell, Chopra and LeCun, CVPR 2006).

N pairs of D-dimensional embeddings a and b; all arrays hold one floating type. `similar` (N,) is 1 for pairs of one
class and 0 for others. Scalars that belong to the device are arrays of one element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = Any

DISTANCE_EPSILON = 1e-4
"""Added to the distance that the gradient of a dissimilar pair divides by, as Caffe does: finite at distance 0, and
smaller than the exact gradient by the factor d / (d + 1e-4)."""


@dataclass(frozen=True)
class ContrastiveRule:
    """How a contrastive loss judges a pair.

    margin: how far apart dissimilar pairs should be. squared_hinge: dissimilar pairs cost max(margin - d, 0)^2, where
    False max(margin - distance, 0) (Caffe's legacy form, and the only one for Manhattan distances). manhattan: distance
    is the sum of |a - b|, not of its squares. similar_scale: factor on the distance of similar pairs.
    """

    margin: float = 1.0
    squared_hinge: bool = True
    manhattan: bool = False
    similar_scale: float = 1.0


class ContrastiveOps:
    """NumPy reference of the contrastive loss."""

    def pair_similarity(self, labels: Array, similar: Array) -> None:
        """similar[i] = 1 for pairs of one class; labels (N, K).

        K = 1: the label, cut to a whole number, is not 0. K > 1: all K labels of the row are equal.
        """
        if labels.shape[1] == 1:
            np.copyto(similar, np.trunc(labels[:, 0]) != 0)
        else:
            np.copyto(similar, (labels[:, 1:] == labels[:, :1]).all(axis=1))

    def contrastive_targets(
        self,
        a: Array,
        labels: Array,
        similar: Array,
        centroids: Array,
        which: Literal["MATCHING", "NONMATCHING", "ALL"],
        target: Array,
        replaced: Array,
        active: Array,
    ) -> None:
        """target[i] = the centroid of the pair's first label instead of a[i], where `which` says so.

        labels (N, 2), centroids (L, D). active[0] = 1 once any centroid is not 0, and nothing is replaced before, so
        that labels may lie beyond L until then. replaced[i] = 1 where a[i] was replaced. A label that is no class
        leaves a[i] as it is.
        """
        active[0] = np.any(centroids)
        chosen = {"MATCHING": similar, "NONMATCHING": 1 - similar, "ALL": np.ones_like(similar)}[which]
        np.multiply(chosen, active[0], out=replaced)
        np.copyto(target, a)
        first = labels[:, 0]
        rows = np.flatnonzero((replaced != 0) & (first >= 0) & (first < len(centroids)))
        target[rows] = centroids[first[rows].astype(np.intp)]

    def contrastive_forward(
        self,
        a: Array,
        b: Array,
        similar: Array,
        active: Array,
        difference: Array,
        distance: Array,
        loss: Array,
        matches: Array | None,
        rule: ContrastiveRule,
    ) -> None:
        """difference (N, D) = a - b; distance (N,) = sum of squares or absolute values; loss[0] = sum of costs / 2N.

        The distance of similar pairs is multiplied by rule.similar_scale where active[0] is not 0. A similar pair costs
        its distance, a dissimilar one max(margin - d, 0)^2 with d = sqrt(distance), or max(margin - distance, 0).
        matches[i] = 1 where "d within the margin" agrees with `similar`.
        """
        np.subtract(a, b, out=difference)
        if rule.manhattan:
            np.sum(np.abs(difference), axis=1, out=distance)
        else:
            np.einsum("nd,nd->n", difference, difference, out=distance)
        if rule.similar_scale != 1:
            distance *= _similar_factor(similar, active, rule)
        room = rule.margin - (np.sqrt(distance) if rule.squared_hinge else distance)
        if matches is not None:
            np.copyto(matches, (room >= 0) == (similar != 0))
        np.maximum(room, 0, out=room)
        if rule.squared_hinge:
            room *= room
        loss[0] = np.where(similar != 0, distance, room).sum() / (2 * max(1, len(a)))

    def contrastive_backward(
        self,
        difference: Array,
        distance: Array,
        similar: Array,
        active: Array,
        dx: Array,
        scale: Array,
        sign: int,
        rule: ContrastiveRule,
    ) -> None:
        """dx (N, D) = sign * scale[0] / N * slope of each pair's cost; sign 1 for the gradient of a, -1 for b's.

        difference, distance, similar, active: as `contrastive_forward` left them.
        """
        step = scale[0] * (sign / max(1, len(difference)))
        pull = _similar_factor(similar, active, rule) if rule.similar_scale != 1 else 1
        if rule.squared_hinge:
            d = np.sqrt(distance)
            push = np.maximum(rule.margin - d, 0) / (d + DISTANCE_EPSILON)
        else:
            push = (distance < rule.margin).astype(distance.dtype)
        slope = np.where(similar != 0, pull, -push)
        slope *= step
        if rule.manhattan:
            np.multiply(np.sign(difference), 0.5 * slope[:, None], out=dx)
        else:
            np.multiply(difference, slope[:, None], out=dx)


def _similar_factor(similar: Array, active: Array, rule: ContrastiveRule) -> Array:
    """The factor on each pair's distance: similar_scale for similar pairs where it applies, else 1; (N,)."""
    return 1 + (rule.similar_scale - 1) * similar * active[0]
