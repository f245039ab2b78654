"""The prototypical and the supervised contrastive loss against their references."""

from __future__ import annotations

from itertools import product

import numpy as np
from harness import Bench, case

from netforge.device.operations.prototypical import PrototypeRule
from netforge.device.operations.sup_con import TALLY, PairRule

FLT_MAX = np.finfo(np.float32).max


@case((6, 2, 2), (0, 3, 2), (1, 1, 1), (50, 7, 20), (130, 3, 2))
def split_episode(b: Bench, shape: tuple[int, int, int]) -> None:
    items, kinds, rows = shape  # fewer rows than kinds of labels, too
    for shots, columns, told in ((1, 1, 0), (2, 2, 0), (3, 1, 5)):
        labels = b.whole(kinds, items, columns) * -2.5
        labels[3:4] = np.nan if shots == 2 else labels[:1]
        got, wanted = (
            [b.dirty(items), b.dirty(rows, items), b.dirty(rows), np.array([told, 9], b.dtype)] for _ in range(2)
        )
        firsts, members = (b.dirty(max(1, items), dtype=np.int32) for _ in range(2))
        b.launch("episode_members", labels, firsts, members, got[0], items, columns)
        b.launch("split_episode", labels, firsts, members, *got, items, columns, rows, shots, grid=(1,))
        b.ops.split_episode(labels, shots, *wanted)
        for a, expected in zip(got, wanted, strict=True):
            b.equal(a, expected)


@case((5, 3), (1, 2), (40, 35))
def prototypical(b: Bench, shape: tuple[int, int]) -> None:
    items, classes = shape
    distances, targets, scale = b.normal(*shape) ** 2 * 5, b.whole(classes, items) - 1, b.number(0.7)
    distances[:2, 1] = distances[:2, 0]  # ties
    distances[:, targets.astype(int).max() + 1 :] = FLT_MAX
    for rule in (PrototypeRule(), PrototypeRule(0.1, 0.5)):
        got, wanted = ([b.dirty(*shape), *(b.dirty(n) for n in (1, 1, 1, 2))] for _ in range(2))
        numbers = (*shape, rule.temperature, rule.factor)
        tally = b.dirty(items, 5)
        b.launch("prototypical_forward", distances, targets, got[0], tally, *numbers)
        b.launch("prototypical_summary", tally, *got[1:], items, grid=(1,))
        b.ops.prototypical_forward(distances, targets, *wanted, rule)
        for a, expected in zip(got, wanted, strict=True):
            b.equal(a, expected)
        b.launch("prototypical_summary", tally, *got[1:3], None, None, items, grid=(1,))
        b.equal(got[2], wanted[2])
        known = (wanted[0], targets, wanted[1], scale)
        slopes, expected = b.dirty(*shape), b.dirty(*shape)
        factor = rule.factor / rule.temperature
        b.launch("prototypical_backward", *known, slopes, slopes.size, classes, factor)
        b.ops.prototypical_backward(*known, expected, rule)
        b.equal(slopes, expected)


@case((5, 3, 4), (1, 1, 1), (0, 2, 3), (20, 33, 7))
def squared_distances(b: Bench, shape: tuple[int, int, int]) -> None:
    items, size, classes = shape
    x, centroids, slopes = b.normal(items, size), b.normal(classes, size), b.normal(items, classes)
    got, wanted = ([b.dirty(items, size), b.dirty(classes, size)] for _ in range(2))
    name = "squared_distances_backward"
    b.launch(name, x, centroids, slopes, got[0], items, size, classes, classes, 1)
    b.launch(name, centroids, x, slopes, got[1], classes, size, items, 1, classes)
    b.ops.squared_distances_backward(x, centroids, slopes, *wanted)
    for a, expected in zip(got, wanted, strict=True):
        b.equal(a, expected)


@case((5, 2), (0, 2), (1, 1), (2, 9), (33, 6), (70, 40))
def sup_con(b: Bench, size: tuple[int, int]) -> None:
    items, kinds = size
    for columns, temperature, negatives_only in product((1, 2), (0.07, 1.0, -0.3), (False, True)):
        values, labels = b.uniform(items, items, low=-1), b.whole(kinds, items, columns) - 3
        kernel = "sup_con_against_negatives" if negatives_only else "sup_con_against_all"
        scale = b.number(0.7)
        got, wanted = ([b.dirty(items, items), b.dirty(items, TALLY)] for _ in range(2))
        b.launch(kernel, values, labels, *got, items, columns, temperature)
        b.ops.sup_con_pairs(values, labels, *wanted, PairRule(temperature, negatives_only))
        for a, expected in zip(got, wanted, strict=True):
            b.equal(a, expected)
        slopes, tally = wanted
        sums, wanted_sums = ([b.dirty(1), b.dirty(1), b.dirty(2)] for _ in range(2))
        b.launch("sup_con_summary", tally, *sums, items, grid=(1,))
        b.ops.sup_con_summary(tally, *wanted_sums)
        for a, expected in zip(sums, wanted_sums, strict=True):
            b.equal(a, expected)
        weights, expected = b.dirty(items, items), b.dirty(items, items)
        b.launch("sup_con_backward", slopes, wanted_sums[1], scale, weights, slopes.size, items)
        b.ops.sup_con_backward(slopes, wanted_sums[1], scale, expected)
        b.equal(weights, expected)
