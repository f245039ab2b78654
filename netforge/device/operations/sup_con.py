"""Operations: the supervised contrastive loss (Khosla et al., NeurIPS 2020) on the items of one batch.

similarities (N, N) are the cosines of all pairs; labels (N, K) of any values, of which only column 0 counts: two items
with equal labels are a positive pair, all others a negative one. An anchor is an item that has a positive.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.operations.pairs import label_pairs, sum_members

Array = Any

TALLY = 6
COST, ANCHORS, POSITIVE_SUM, POSITIVES, NEGATIVE_SUM, NEGATIVES = range(TALLY)
"""Columns of a tally (N, 6), one row for each item: its cost, whether it is an anchor, the sum and number of its
similarities to positives, and those to negatives."""


class SupConOps:
    """NumPy reference of the supervised contrastive loss."""

    def sup_con_pairs(
        self, similarities: Array, labels: Array, slopes: Array, tally: Array, temperature: float
    ) -> None:
        """The cost of each anchor (equation 2 of the paper), and slopes (N, N), its gradient by the row's similarities.

        The cost of an anchor i is the mean over its positives p of -log(exp(s_ip) / sum over a != i of exp(s_ia)),
        where s = similarity / temperature. Other items cost 0.
        """
        positive, negative = label_pairs(labels)
        sum_members(similarities, positive, tally[:, POSITIVE_SUM], tally[:, POSITIVES])
        sum_members(similarities, negative, tally[:, NEGATIVE_SUM], tally[:, NEGATIVES])
        tally[:, ANCHORS] = tally[:, POSITIVES] > 0
        pairs = np.maximum(tally[:, POSITIVES], 1)
        scores = similarities / temperature
        apart = ~np.eye(len(labels), dtype=bool)
        most = scores.max(axis=1, where=apart, initial=scores.min(initial=0))
        weights = np.exp(scores - most[:, None], where=apart, out=np.zeros_like(scores))
        sums = np.where(tally[:, ANCHORS] > 0, weights.sum(axis=1), 1)
        tally[:, COST] = tally[:, ANCHORS] * (most + np.log(sums) - tally[:, POSITIVE_SUM] / (temperature * pairs))
        np.divide(weights, sums[:, None], out=slopes)
        slopes -= positive / pairs[:, None]
        slopes *= (tally[:, ANCHORS] / temperature)[:, None]

    def sup_con_summary(self, tally: Array, loss: Array, anchors: Array, means: Array) -> None:
        """loss[0] = the mean cost of anchors, anchors[0] their number, at least 1.

        means (2,) = mean similarity of positive pairs, and of negative ones; 0 where there are none.
        """
        sums = tally.sum(axis=0, dtype=np.float64)
        anchors[0] = max(1.0, sums[ANCHORS])
        loss[0] = sums[COST] / anchors[0]
        means[...] = sums[[POSITIVE_SUM, NEGATIVE_SUM]] / np.maximum(1, sums[[POSITIVES, NEGATIVES]])

    def sup_con_backward(self, slopes: Array, anchors: Array, scale: Array, weights: Array) -> None:
        """weights (N, N) = scale[0] / anchors[0] * (slopes + slopes transposed).

        With embeddings z of length 1, of which similarities = z @ z.T, weights @ z is the gradient by z.
        """
        np.add(slopes, slopes.T, out=weights)
        weights *= scale[0] / anchors[0]
