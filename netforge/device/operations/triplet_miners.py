"""Finding the triplets of a batch: what the operation `triplet_mine` does on the host.

Each miner takes distances (N, N) and the masks of positive and negative pairs (N, N), and writes slope (N, N) and the
first columns of tally (N, 7).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from netforge.device.operations.triplet_rule import ACTIVE, COST, COUNTED, NEGATIVES, POSITIVES, TripletRule, judge

Array = Any
Mining = Literal["ALL", "HARD", "SEMIHARD"]

CHUNK_ELEMENTS = 1 << 18
"""Numbers that one step of a loop works on: they stay in a processor's cache."""


def mine(
    mining: Mining, distances: Array, positive: Array, negative: Array, slope: Array, tally: Array, rule: TripletRule
) -> None:
    """Find the triplets of a batch, as `triplet_mine` says; slope and what it counts in tally are 0 before."""
    everything = _mine_all_soft if rule.soft else _mine_all_hard
    find = {"ALL": everything, "HARD": _mine_hard, "SEMIHARD": _mine_semihard}[mining]
    find(distances, positive, negative, slope, tally, rule)


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
        cost, s = judge(z, rule)
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
    cost, s = judge(z, rule)
    slope[anchors, positives] += s
    np.subtract.at(slope, (anchors, negatives), s)
    _count(tally, anchors, cost, z > 0, np.ones_like(cost))
