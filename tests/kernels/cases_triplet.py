"""The triplet loss against its reference."""

from __future__ import annotations

from itertools import product

import numpy as np
from harness import GRID, Bench, case

from netforge.device.operations.triplet_miners import Mining
from netforge.device.operations.triplet_rule import TALLY, TripletRule

RULES = (
    TripletRule(1.0),
    TripletRule(0.0, soft=True),
    TripletRule(0.7, euclidean=True),
    TripletRule(0.0, soft=True, euclidean=True),
    TripletRule(0.3, factor=0.5),
)
MINERS: tuple[Mining, ...] = ("ALL", "HARD", "SEMIHARD")


def judging(rule: TripletRule) -> tuple[float, bool]:
    return rule.margin, rule.soft


def measure(rule: TripletRule) -> tuple[bool, float]:
    return rule.euclidean, rule.factor


@case((3, 5), (1, 1), (0, 4), (13, 67))
def triplet(b: Bench, shape: tuple[int, int]) -> None:
    items, size = shape
    arrays = [b.normal(*shape) for _ in range(3)]
    arrays[1][:1] = arrays[0][:1]  # distance 0
    scale, divisor = b.number(0.7), b.number(2 * max(1, items))
    for rule in RULES:
        got, wanted = ([b.dirty(items, 2), b.dirty(items), b.dirty(items, TALLY)] for _ in range(2))
        b.launch("triplet_forward", *arrays, *got, *shape, *judging(rule), *measure(rule))
        b.ops.triplet_forward(*arrays, *wanted, rule)
        for x, expected in zip(got, wanted, strict=True):
            b.equal(x, expected)
        diffs, expected_diffs = ([b.dirty(*shape) for _ in range(3)] for _ in range(2))
        known = (*arrays, *wanted[:2], divisor, scale)
        b.launch("triplet_backward", *known, *diffs, items * size, size, *measure(rule))
        b.ops.triplet_backward(*known, *expected_diffs, rule)
        for x, expected in zip(diffs, expected_diffs, strict=True):
            b.equal(x, expected)
        alone = b.dirty(*shape)
        b.launch("triplet_backward", *known, None, alone, None, items * size, size, *measure(rule))
        b.equal(alone, expected_diffs[1])


@case((5, 3), (1, 1), (0, 4), (17, 16), (40, 67))
def pair_distances(b: Bench, shape: tuple[int, int]) -> None:
    x, items = b.normal(*shape), shape[0]
    x[items // 2 :][:1] = x[:1]  # two equal items
    for rule in RULES:
        got, expected = b.dirty(items, items), b.dirty(items, items)
        b.launch("pair_distances", x, got, *shape, -(-items // 16), *measure(rule))
        b.ops.pair_distances(x, expected, rule)
        b.equal(got, expected)
        np.testing.assert_array_equal(got, got.T)
        assert not np.diag(got).any() and (items < 2 or got[0, items // 2] == 0)


@case((6, 2), (1, 1), (0, 2), (37, 4), (9, 9), (5, 1))
def triplet_mine(b: Bench, shape: tuple[int, int]) -> None:
    items, classes = shape
    x, labels = b.normal(items, 5), b.whole(classes, items, 2)
    x[items // 2 :][:1] = x[:1]
    labels[-1:] = np.nan if items > 8 else labels[-1:]  # equal to no label
    names = {"ALL": "triplet_mine_all", "HARD": "triplet_mine_hard", "SEMIHARD": "triplet_mine_semihard"}
    for rule, mining in product(RULES, MINERS):
        distances = b.dirty(items, items)
        b.ops.pair_distances(x, distances, rule)
        got, wanted = ([b.dirty(items, items), b.dirty(items, TALLY)] for _ in range(2))
        room = [b.dirty(items, items, dtype=np.int32)] if mining == "SEMIHARD" else []
        b.launch(names[mining], distances, labels, *got, *room, items, 2, *judging(rule))
        b.ops.triplet_mine(distances, labels, *wanted, mining, rule)
        for a, expected in zip(got, wanted, strict=True):
            b.equal(a, expected)
        dx, expected, divisor, scale = b.dirty(items, 5), b.dirty(items, 5), b.number(3), b.number(0.7)
        known = (x, distances, wanted[0], divisor, scale)
        b.launch("mined_triplet_backward", *known, dx, dx.size, items, 5, *measure(rule))
        b.ops.mined_triplet_backward(*known, expected, rule)
        b.equal(dx, expected)


@case(3, 0, 131)
def triplet_summary(b: Bench, items: int) -> None:
    for tally, over in product((b.uniform(items, TALLY, high=5.0), np.zeros((items, TALLY), b.dtype)), range(3)):
        got, wanted = ([b.dirty(1), b.dirty(1), b.dirty(1), b.dirty(2)] for _ in range(2))
        b.launch("triplet_summary", tally, *got, items, over, grid=(1,))
        b.ops.triplet_summary(tally, *wanted, ("ACTIVE", "COUNTED", "TWICE")[over])
        for x, expected in zip(got, wanted, strict=True):
            b.equal(x, expected)
        parts = b.dirty(GRID, TALLY)
        b.launch("tally_parts", tally, parts, items)
        b.launch("triplet_summary", parts, *got[:2], None, None, GRID, over, grid=(1,))
        b.equal(got[0], wanted[0])
