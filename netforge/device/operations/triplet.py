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

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = Any
Mining = Literal["ALL", "HARD", "SEMIHARD"]
Divisor = Literal["ACTIVE", "COUNTED", "TWICE"]

TALLY = 7
COST, ACTIVE, COUNTED, POSITIVE_SUM, NEGATIVE_SUM, POSITIVES, NEGATIVES = range(TALLY)
"""Columns of a tally."""

LEAST_DISTANCE = 1e-8
"""The gradient of a Euclidean distance divides by no less than this: finite, and 0 at distance 0."""

CHUNK_ELEMENTS = 1 << 18
"""Numbers that one step of a loop works on: they stay in a processor's cache."""


@dataclass(frozen=True)
class TripletRule:
    """How distances are measured and triplets judged.

    margin: how much farther than the positive a negative should be; 0 with `soft`. soft: log(1 + e^z) in the place of
    max(z, 0). euclidean: the distance is the root of the sum of squares, not that sum. factor: on the sum of squares;
    1/2 makes it the cosine distance of vectors of length 1.
    """

    margin: float = 1.0
    soft: bool = False
    euclidean: bool = False
    factor: float = 1.0


class TripletOps:
    """NumPy reference of the triplet loss."""

    def triplet_forward(
        self, a: Array, p: Array, n: Array, distances: Array, slope: Array, tally: Array, rule: TripletRule
    ) -> None:
        """Given triplets: distances (N, 2) of a to p and to n; slope (N,); tally."""
        for column, other in enumerate((p, n)):
            difference = a - other
            np.einsum("nd,nd->n", difference, difference, out=distances[:, column])
        _finish_distances(distances, rule)
        z = rule.margin + distances[:, 0] - distances[:, 1]
        cost, s = _judge(z, rule)
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
        pull, push = (step * _steepness(distances, rule)[:, [column]] for column in (0, 1))
        if dp is not None:
            np.multiply(p - a, pull, out=dp)
        if dn is not None:
            np.multiply(a - n, push, out=dn)
        if da is not None:
            np.multiply(a - p, pull, out=da)
            da -= (a - n) * push

    def pair_distances(self, x: Array, distances: Array, rule: TripletRule) -> None:
        """distances (N, N) between all items of x; exactly 0 between equal ones."""
        step = max(1, CHUNK_ELEMENTS // max(1, x.size))
        for start in range(0, len(x), step):
            own = slice(start, start + step)
            difference = x[own, None] - x[None, start:]
            distances[own, start:] = np.einsum("ijd,ijd->ij", difference, difference)
            distances[start:, own] = distances[own, start:].T
        _finish_distances(distances, rule)

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
        truth = labels[:, 0]
        positive, negative = truth[:, None] == truth, truth[:, None] != truth
        for members in (positive, negative):
            np.fill_diagonal(members, False)  # NaN differs from itself
        tally[...] = 0
        slope[...] = 0
        for members, total, count in ((positive, POSITIVE_SUM, POSITIVES), (negative, NEGATIVE_SUM, NEGATIVES)):
            np.einsum("ij,ij->i", distances, members, out=tally[:, total])
            np.sum(members, axis=1, out=tally[:, count], dtype=tally.dtype)
        find = {"ALL": _mine_all, "HARD": _mine_hard, "SEMIHARD": _mine_semihard}[mining]
        find(distances, positive, negative, slope, tally, rule)

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
        weight = (slope + slope.T) * _steepness(distances, rule)
        weight = weight.astype(np.float64) * (float(scale[0]) / float(divisor[0]))
        wide = x.astype(np.float64)
        np.subtract(weight.sum(axis=1)[:, None] * wide, weight @ wide, out=dx, casting="same_kind")


def _finish_distances(squares: Array, rule: TripletRule) -> None:
    """Turn sums of squares into distances, in place."""
    if rule.euclidean:
        np.sqrt(squares, out=squares)
    elif rule.factor != 1:
        squares *= rule.factor


def _steepness(distances: Array, rule: TripletRule) -> Array:
    """The factor on x - y in the gradient of each distance by x."""
    if rule.euclidean:
        return (distances > 0) / np.maximum(distances, LEAST_DISTANCE)
    return np.full_like(distances, 2 * rule.factor)


def _judge(z: Array, rule: TripletRule) -> tuple[Array, Array]:
    """Cost f(z) and slope f'(z)."""
    above = np.maximum(z, 0)
    if not rule.soft:
        return above, (z > 0).astype(z.dtype)
    power = np.exp(-np.abs(z))
    power += 1
    above += np.log(power)
    slope = 1 / power  # of |z|
    slope -= 0.5
    slope = np.copysign(slope, z)
    slope += 0.5
    return above, slope


def _pairs(positive: Array, negative: Array) -> tuple[Array, Array]:
    """Anchors and positives of all pairs whose anchor has a negative, by anchor."""
    anchors, others = np.nonzero(positive & negative.any(axis=1)[:, None])
    return anchors, others


def _count(tally: Array, anchors: Array, cost: Array, active: Array, counted: Array) -> None:
    """Add triplets, or numbers of them, to the tallies of their anchors."""
    for column, values in ((COST, cost), (ACTIVE, active), (COUNTED, counted)):
        tally[:, column] += np.bincount(anchors, values, len(tally)).astype(tally.dtype)


def _count_before(ordered: Array, anchors: Array, limits: Array, *, equal: bool) -> Array:
    """How many numbers of row anchors[i] of `ordered` are below limits[i], or equal: a binary search in each row."""
    low, high = np.zeros(len(anchors), np.intp), np.full(len(anchors), ordered.shape[1])
    for _ in range(ordered.shape[1].bit_length()):
        middle = (low + high) // 2
        values = ordered[anchors, np.minimum(middle, ordered.shape[1] - 1)]
        below = ((values <= limits) if equal else (values < limits)) & (low < high)
        low, high = np.where(below, middle + 1, low), np.where(below, high, np.minimum(high, middle))
    return low


def _mine_all(
    distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    (_mine_all_soft if rule.soft else _mine_all_hard)(distances, positive, negative, slope, tally, rule)


def _mine_all_hard(
    distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    """Every triplet under the hinge, without looking at each: the active ones of a pair are its nearest negatives.

    With the negatives of an anchor in the order of their distance, the hinge costs of a pair are its number of active
    negatives times its own term, less a running sum of their distances.
    """
    items = len(distances)
    anchors, others = _pairs(positive, negative)
    away = np.where(negative, distances, np.inf)
    order = np.argsort(away, axis=1, kind="stable")
    ordered = np.take_along_axis(away, order, axis=1)
    limits = rule.margin + distances[anchors, others]
    active = _count_before(ordered, anchors, limits, equal=False)
    running = np.zeros((items, items + 1))
    np.cumsum(np.where(np.isfinite(ordered), ordered, 0), axis=1, dtype=np.float64, out=running[:, 1:])
    costs = active * limits.astype(np.float64) - running[anchors, active]
    # the negative of rank r is active in the pairs that have more than r active ones
    pairs = np.bincount(anchors * (items + 1) + active, minlength=items * (items + 1)).reshape(items, items + 1)
    uses = pairs[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    np.put_along_axis(slope, order, -uses.astype(slope.dtype), axis=1)
    slope[anchors, others] = active
    _count(tally, anchors, np.maximum(costs, 0), active, negative.sum(axis=1)[anchors])


def _mine_all_soft(
    distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    """Every triplet, each looked at; anchors with fewer members than others get some that cost nothing."""
    near, near_places = _members(distances, positive, -np.inf)
    far, far_places = _members(distances, negative, np.inf)
    pulls, pushes = np.zeros_like(slope), np.zeros_like(slope)
    step = max(1, CHUNK_ELEMENTS // max(1, near.shape[1] * far.shape[1]))
    for start in range(0, len(distances), step):
        own = slice(start, start + step)
        z = (rule.margin + near[own])[:, :, None] - far[own, None]
        cost, s = _judge(z, rule)
        tally[own, COST] = cost.sum(axis=(1, 2))
        tally[own, ACTIVE] = np.count_nonzero(z > 0, axis=(1, 2))
        np.put_along_axis(pulls[own], near_places[own], s.sum(axis=2), axis=1)
        np.put_along_axis(pushes[own], far_places[own], s.sum(axis=1), axis=1)
    np.subtract(pulls, pushes, out=slope)
    np.multiply(tally[:, POSITIVES], tally[:, NEGATIVES], out=tally[:, COUNTED])


def _members(distances: Array, member: Array, nothing: float) -> tuple[Array, Array]:
    """Each row's distances to its members, side by side, `nothing` behind them; and the columns they came from."""
    counts = member.sum(axis=1)
    places = np.argsort(~member, axis=1, kind="stable")[:, : counts.max(initial=0)]
    values = np.take_along_axis(distances, places, axis=1)
    values[np.arange(places.shape[1]) >= counts[:, None]] = nothing
    return values, places


def _mine_hard(
    distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    anchors = np.flatnonzero(positive.any(axis=1) & negative.any(axis=1))
    if len(anchors):
        farthest = np.where(positive, distances, -np.inf).argmax(axis=1)[anchors]
        nearest = np.where(negative, distances, np.inf).argmin(axis=1)[anchors]
        _take(anchors, farthest, nearest, distances, slope, tally, rule)


def _mine_semihard(
    distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    anchors, others = _pairs(positive, negative)
    if not len(anchors):
        return
    away = np.where(negative, distances, np.inf)
    order = np.argsort(away, axis=1, kind="stable")
    nearer = _count_before(np.take_along_axis(away, order, axis=1), anchors, distances[anchors, others], equal=True)
    farthest = np.where(negative, distances, -np.inf).argmax(axis=1)
    some = nearer < negative.sum(axis=1)[anchors]
    chosen = np.where(some, order[anchors, np.minimum(nearer, len(order) - 1)], farthest[anchors])
    _take(anchors, others, chosen, distances, slope, tally, rule)


def _take(
    anchors: Array, positives: Array, negatives: Array, distances: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    """Judge single triplets, and add them to slopes and tallies."""
    z = rule.margin + distances[anchors, positives] - distances[anchors, negatives]
    cost, s = _judge(z, rule)
    slope[anchors, positives] += s
    np.subtract.at(slope, (anchors, negatives), s)
    _count(tally, anchors, cost, z > 0, np.ones_like(cost))
