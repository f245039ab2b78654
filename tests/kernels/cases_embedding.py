"""The contrastive loss and class centroids against their references."""

from __future__ import annotations

from itertools import product

import numpy as np
from harness import Bench, case

from netforge.device.operations.contrastive import ContrastiveRule

PAIRS = ((3, 5), (1, 1), (0, 4), (13, 67))
WHICH = ("MATCHING", "NONMATCHING", "ALL")


@case((5, 1), (0, 2), (1, 3), (131, 2))
def pair_similarity(b: Bench, shape: tuple[int, int]) -> None:
    labels = b.whole(2, *shape) - b.number(0) + (0.5 if shape[1] == 1 else 0)  # 0.5 is cut to 0
    labels = labels.astype(b.dtype)
    got, expected = b.dirty(shape[0]), b.dirty(shape[0])
    b.launch("pair_similarity", labels, got, *shape)
    b.ops.pair_similarity(labels, expected)
    b.equal(got, expected, exact=True)


@case(*PAIRS)
def contrastive_targets(b: Bench, shape: tuple[int, int]) -> None:
    items, size = shape
    a, labels, similar = b.normal(*shape), b.whole(6, items, 2) - b.number(1), b.whole(2, items)  # some are no classes
    for centroids, which in product((np.zeros((4, size), b.dtype), b.normal(4, size)), range(3)):
        got, wanted = ([b.dirty(*shape), b.dirty(items), b.dirty(1)] for _ in range(2))
        b.launch("contrastive_active", centroids, got[2], centroids.size, grid=(1,))
        b.launch("contrastive_targets", a, labels, similar, centroids, *got, a.size, size, 4, which)
        b.ops.contrastive_targets(a, labels, similar, centroids, WHICH[which], *wanted)
        for x, expected in zip(got, wanted, strict=True):
            b.equal(x, expected, exact=True)


@case(*PAIRS)
def contrastive(b: Bench, shape: tuple[int, int]) -> None:
    items, size = shape
    left, right, similar, scale = b.normal(*shape), b.normal(*shape), b.whole(2, items), b.number(0.7)
    left[:1] = right[:1]  # distance 0
    margin = float(np.sqrt(2 * size))
    rules = (
        ContrastiveRule(margin),
        ContrastiveRule(margin, squared_hinge=False, similar_scale=2.5),
        ContrastiveRule(margin, squared_hinge=False, manhattan=True),
        ContrastiveRule(margin, similar_scale=0.5),
    )
    for rule, active in product(rules, (b.number(0), b.number(1))):
        got, wanted = ([b.dirty(*shape), b.dirty(items), b.dirty(1), b.dirty(items)] for _ in range(2))
        judged = (rule.margin, rule.squared_hinge, rule.manhattan, rule.similar_scale)
        factor = 0.5 / max(1, items)
        given = (left, right, similar, active, *got, items, size, *judged, factor)
        b.sum("contrastive_forward", *given, parts_at=8, out_at=6, factor=factor)
        b.ops.contrastive_forward(left, right, similar, active, *wanted, rule)
        for x, expected in zip(got, wanted, strict=True):
            b.equal(x, expected)
        b.launch("contrastive_forward", *given[:7], None, None, *given[8:], grid=(1,))  # without matches
        b.equal(got[2], wanted[2])
        difference, distance = wanted[:2]
        for sign in (1, -1):
            dx, expected = b.dirty(*shape), b.dirty(*shape)
            known = (difference, distance, similar, active)
            b.launch("contrastive_backward", *known, dx, scale, dx.size, size, *judged, sign / max(1, items))
            b.ops.contrastive_backward(*known, expected, scale, sign, rule)
            b.equal(dx, expected)


@case((7, 5, 3), (0, 4, 2), (1, 1, 1), (40, 33, 4), (1100, 2, 1))
def centroids(b: Bench, shape: tuple[int, int, int]) -> None:
    items, size, classes = shape
    for ignored in (None, (b.whole(2, classes))):
        held = [np.zeros((classes, size), b.dtype), np.zeros(classes, b.dtype), np.zeros(classes, b.dtype)]
        expected = [a.copy() for a in held]
        for _ in range(3):  # some classes pass the horizon within a batch, some between batches
            x, labels = b.normal(items, size), b.whole(classes, items, 2)
            b.launch("centroid_update", x, labels, *held, ignored, items, size, 2, classes, 5)
            b.ops.centroid_update(x, labels, *expected, ignored, 5)
            for a, e in zip(held, expected, strict=True):
                b.equal(a, e)
        passes = np.full(1, 3, np.uint64)
        for least in (0, 3, 4):
            out, wanted = b.dirty(classes, size), b.dirty(classes, size)
            b.launch("centroid_output", held[0], held[2], ignored, passes, out, out.size, classes, least)
            b.ops.centroid_output(expected[0], expected[2], ignored, passes, least, wanted)
            b.equal(out, wanted)
        seen, given = (b.whole(2, classes) for _ in range(2))
        absent, wanted = b.dirty(classes), b.dirty(classes)
        b.launch("absent_classes", seen, given, ignored, absent, classes)
        b.ops.absent_classes(seen, given, ignored, wanted)
        b.equal(absent, wanted, exact=True)
        distances, wanted = b.dirty(items, classes), b.dirty(items, classes)
        b.launch("centroid_distances", x, expected[0], distances, ignored, items, size, classes)
        b.ops.centroid_distances(x, expected[0], wanted, ignored)
        b.equal(distances, wanted)


@case((7, 5), (0, 4), (1, 1), (50, 67))
def nearest_accuracy(b: Bench, shape: tuple[int, int]) -> None:
    items, classes = shape
    distances, labels = b.whole(3, *shape), b.whole(classes, items, 1)  # with ties
    distances.reshape(-1)[::5] = np.nan
    distances.reshape(-1)[1::5] = np.finfo(np.float32).max
    labels[: items // 2, 0] = np.where(np.isnan(distances), 9, distances).argmin(axis=1)[: items // 2]
    for ignore in ((), (0,), (1, 3)):
        got, expected, excluded = b.dirty(1), b.dirty(1), np.array(ignore, b.dtype)
        b.launch("nearest_accuracy", distances, labels, got, excluded, *shape, 1, len(ignore), grid=(1,))
        b.ops.nearest_accuracy(distances, labels, expected, ignore)
        b.equal(got, expected)


@case((7, 5, 3), (0, 4, 2), (1, 1, 1), (40, 33, 4), (1100, 2, 1))
def cached_encodings(b: Bench, shape: tuple[int, int, int]) -> None:
    items, size, classes = shape
    for slots, ignored in product((4, 40), (None, b.whole(2, classes))):
        cache, counts = np.zeros((classes, slots, size), b.dtype), np.zeros(classes, b.dtype)
        wanted_cache, wanted_counts = cache.copy(), counts.copy()
        for k in (1, 2, slots, slots + 1):
            x, labels = b.normal(items, size), b.whole(classes, items, 2)
            b.launch("cache_encodings", x, labels, cache, counts, items, size, 2, classes, slots)
            b.ops.cache_encodings(x, labels, wanted_cache, wanted_counts)
            b.equal(cache, wanted_cache, exact=True)
            b.equal(counts, wanted_counts, exact=True)
            got, expected, room = b.dirty(items, classes), b.dirty(items, classes), b.dirty(items, classes, slots)
            b.launch("nearest_cached_distances", x, cache, counts, got, room, ignored, *shape, slots, k)
            b.ops.nearest_cached_distances(x, cache, counts, expected, ignored, k)
            b.equal(got, expected)
