"""Operations: the triplet loss, for given triplets and for those that a miner finds in the batch.

All arrays hold one floating type. Embeddings are (N, D), labels (N, K) of which only column 0 counts. A triplet costs
f(margin + distance to the positive - distance to the negative), where f(z) is max(z, 0), or log(1 + e^z) for the soft
margin; it is active where z > 0.

Losses over triplets go in three steps: distances; a judgement that leaves `slope` (f' of the triplets, at each distance
that they use) and `tally` (N, 7), one row for each anchor; and `triplet_summary`, which makes the loss of the tallies.
The columns of a tally: sum of costs, active triplets, triplets, sum of distances to positives, sum of those to
negatives, number of positives, of negatives.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from netforge.device.operations.pairs import label_pairs, squared_distances, sum_members
from netforge.device.operations.triplet_miners import Mining, mine
from netforge.device.operations.triplet_rule import (
    ACTIVE,
    COST,
    COUNTED,
    NEGATIVE_SUM,
    NEGATIVES,
    POSITIVE_SUM,
    POSITIVES,
    TripletRule,
    finish_distances,
    judge,
    steepness,
)

Array = Any
Divisor = Literal["ACTIVE", "COUNTED", "TWICE"]


class TripletOps:
    """NumPy reference of the triplet loss."""

    def triplet_forward(
        self, a: Array, p: Array, n: Array, distances: Array, slope: Array, tally: Array, rule: TripletRule
    ) -> None:
        """Given triplets: distances (N, 2) of a to p and to n; slope (N,); tally."""
        for column, other in enumerate((p, n)):
            difference = a - other
            np.einsum("nd,nd->n", difference, difference, out=distances[:, column])
        finish_distances(distances, rule)
        z = rule.margin + distances[:, 0] - distances[:, 1]
        cost, s = judge(z, rule)
        np.copyto(slope, s)
        tally[...] = 1
        tally[:, COST], tally[:, ACTIVE] = cost, z > 0
        tally[:, POSITIVE_SUM : NEGATIVE_SUM + 1] = distances

    def triplet_backward(
        self,
        a: Array,
        p: Array,
        n: Array,
        distances: Array,
        slope: Array,
        divisor: Array,
        scale: Array,
        da: Array | None,
        dp: Array | None,
        dn: Array | None,
        rule: TripletRule,
    ) -> None:
        """Gradients of given triplets: scale[0] / divisor[0] * the slope of each cost; None where none is wanted."""
        step = (slope * (scale[0] / divisor[0]))[:, None]
        pull, push = (step * steepness(distances, rule)[:, [column]] for column in (0, 1))
        if dp is not None:
            np.multiply(p - a, pull, out=dp)
        if dn is not None:
            np.multiply(a - n, push, out=dn)
        if da is not None:
            np.multiply(a - p, pull, out=da)
            da -= (a - n) * push

    def pair_distances(self, x: Array, distances: Array, rule: TripletRule) -> None:
        """distances (N, N) between all items of x; exactly 0 between equal ones."""
        squared_distances(x, x, distances)
        finish_distances(distances, rule)

    def triplet_mine(
        self, distances: Array, labels: Array, slope: Array, tally: Array, mining: Mining, rule: TripletRule
    ) -> None:
        """Find the triplets of a batch: slope (N, N) of the loss by the distance of row's anchor to column; tally.

        ALL: every anchor with every positive (another item of its label) and every negative (Hermans et al. 2017,
        "batch all"). HARD: each anchor that has both, with its farthest positive and its nearest negative (ibid.,
        "batch hard"); the lowest index of equal ones. SEMIHARD: each anchor and positive, with the nearest negative
        that is farther than the positive, or where none is with the farthest one (Schroff et al. 2015, section 3.2, and
        TensorFlow's loss of that name).
        """
        positive, negative = label_pairs(labels)
        tally[...] = 0
        slope[...] = 0
        sum_members(distances, positive, tally[:, POSITIVE_SUM], tally[:, POSITIVES])
        sum_members(distances, negative, tally[:, NEGATIVE_SUM], tally[:, NEGATIVES])
        mine(mining, distances, positive, negative, slope, tally, rule)

    def triplet_summary(
        self,
        tally: Array,
        loss: Array,
        divisor: Array,
        active: Array | None,
        means: Array | None,
        over: Divisor,
    ) -> None:
        """loss[0] = sum of costs / divisor[0], which is at least 1: the active triplets, all of them, or TWICE that.

        active[0] = share of the triplets that are active; means (2,) = mean distance to positives, to negatives; both 0
        where there are none.
        """
        sums = tally.sum(axis=0, dtype=np.float64)
        count = sums[ACTIVE] if over == "ACTIVE" else sums[COUNTED] * (2 if over == "TWICE" else 1)
        divisor[0] = max(1.0, count)
        loss[0] = sums[COST] / divisor[0]
        if active is not None:
            active[0] = sums[ACTIVE] / max(1.0, sums[COUNTED])
        if means is not None:
            means[...] = sums[[POSITIVE_SUM, NEGATIVE_SUM]] / np.maximum(1.0, sums[[POSITIVES, NEGATIVES]])

    def mined_triplet_backward(
        self, x: Array, distances: Array, slope: Array, divisor: Array, scale: Array, dx: Array, rule: TripletRule
    ) -> None:
        """dx (N, D) = scale[0] / divisor[0] * the gradient of the sum of slope * distances; mined indices are constant.

        Item i gets the sum over j of (slope[i, j] + slope[j, i]) * d distance / d x[i]. The sums run in double
        precision: what they add up nearly cancels where distances are short.
        """
        weight = (slope + slope.T) * steepness(distances, rule)
        weight = weight.astype(np.float64) * (float(scale[0]) / float(divisor[0]))
        wide = x.astype(np.float64)
        np.subtract(weight.sum(axis=1)[:, None] * wide, weight @ wide, out=dx, casting="same_kind")
