"""Operations: the supervised contrastive loss (Khosla et al., NeurIPS 2020) on the items of one batch.

values (N, N) are the cosines or the squared distances of all pairs; labels (N, K) of any values, of which only column 0
counts: two items with equal labels are a positive pair, all others a negative one. An anchor is an item that has a
positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netforge.device.operations.pairs import label_pairs, sum_members

Array = Any

TALLY = 6
COST, ANCHORS, POSITIVE_SUM, POSITIVES, NEGATIVE_SUM, NEGATIVES = range(TALLY)
"""Columns of a tally (N, 6), one row for each item: its cost, whether it is an anchor, the sum and number of its values
to positives, and those to negatives."""


@dataclass(frozen=True)
class PairRule:
    """How pairs are judged.

    temperature: values divided by it are scores, which are high for items that are alike; so it is below 0 where the
    values are distances. negatives_only: a positive pair competes with the anchor's negatives, not with its other
    positives.
    """

    temperature: float = 0.1
    negatives_only: bool = False


class SupConOps:
    """NumPy reference of the supervised contrastive loss."""

    def sup_con_pairs(self, values: Array, labels: Array, slopes: Array, tally: Array, rule: PairRule) -> None:
        """The cost of each anchor, and slopes (N, N), its gradient by the row's values.

        With scores s = value / temperature, the cost of an anchor i is the mean over its positives p of
        -log(exp(s_ip) / sum over a of exp(s_ia)). The a are all other items (equation 2 of the paper), or, with
        negatives_only, p and the negatives of i (equation 6 of Sohn, NeurIPS 2016). Other items cost 0.
        """
        positive, negative = label_pairs(labels)
        sum_members(values, positive, tally[:, POSITIVE_SUM], tally[:, POSITIVES])
        sum_members(values, negative, tally[:, NEGATIVE_SUM], tally[:, NEGATIVES])
        tally[:, ANCHORS] = tally[:, POSITIVES] > 0
        scores, pairs = values / rule.temperature, np.maximum(tally[:, POSITIVES], 1)
        judge = _against_negatives if rule.negatives_only else _against_all
        tally[:, COST] = np.where(tally[:, ANCHORS], judge(scores, positive, negative, pairs, slopes), 0)
        slopes *= (tally[:, ANCHORS] / rule.temperature)[:, None]

    def sup_con_summary(self, tally: Array, loss: Array, anchors: Array, means: Array) -> None:
        """loss[0] = the mean cost of anchors, anchors[0] their number, at least 1.

        means (2,) = mean value of positive pairs, and of negative ones; 0 where there are none.
        """
        sums = tally.sum(axis=0, dtype=np.float64)
        anchors[0] = max(1.0, sums[ANCHORS])
        loss[0] = sums[COST] / anchors[0]
        means[...] = sums[[POSITIVE_SUM, NEGATIVE_SUM]] / np.maximum(1, sums[[POSITIVES, NEGATIVES]])

    def sup_con_backward(self, slopes: Array, anchors: Array, scale: Array, weights: Array) -> None:
        """weights (N, N) = scale[0] / anchors[0] * (slopes + slopes transposed).

        With values = z @ z.T, weights @ z is the gradient by z.
        """
        np.add(slopes, slopes.T, out=weights)
        weights *= scale[0] / anchors[0]


def _against_all(scores: Array, positive: Array, _negative: Array, pairs: Array, slopes: Array) -> Array:
    """The costs (N,) of items whose positive pairs compete with all other items; slopes by scores."""
    apart = ~np.eye(len(scores), dtype=bool)
    weights, level = _soft_maximum(scores, apart)
    np.subtract(weights, positive / pairs[:, None], out=slopes)
    return level - np.einsum("ij,ij->i", scores, positive) / pairs


def _against_negatives(scores: Array, positive: Array, negative: Array, pairs: Array, slopes: Array) -> Array:
    """The costs (N,) of items whose positive pairs compete with their negatives; slopes by scores."""
    weights, level = _soft_maximum(scores, negative)
    behind = np.where(positive, level[:, None] - scores, -np.inf)  # how far each positive lies behind the negatives
    odds = np.exp(-np.abs(behind))
    lost = np.where(behind > 0, 1, odds) / (1 + odds)  # the share of the negatives in the softmax
    np.subtract(weights * lost.sum(axis=1)[:, None], lost, out=slopes)
    slopes /= pairs[:, None]
    return (np.maximum(behind, 0) + np.log1p(odds)).sum(axis=1) / pairs


def _soft_maximum(scores: Array, members: Array) -> tuple[Array, Array]:
    """Softmax (N, N) of each row over its members, 0 elsewhere, and log(sum of exp) (N,), -inf without members."""
    most = scores.max(axis=1, where=members, initial=-np.inf)
    most[np.isneginf(most)] = 0
    weights = np.exp(scores - most[:, None], where=members, out=np.zeros_like(scores))
    sums = weights.sum(axis=1)
    some = sums > 0
    level = np.where(some, most + np.log(np.where(some, sums, 1)), -np.inf)
    return weights / np.where(some, sums, 1)[:, None], level
