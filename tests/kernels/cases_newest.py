"""Rings of the newest items, and scores by the nearest of them, against their references."""

from __future__ import annotations

import numpy as np
from harness import Bench, case


@case((5, 3, 7), (0, 4, 2), (1, 1, 1), (9, 2, 4), (40, 33, 64))
def rings(b: Bench, shape: tuple[int, int, int]) -> None:
    items, size, slots = shape
    got, wanted = ([np.zeros((slots, size), b.dtype), np.zeros(2, b.dtype)] for _ in range(2))
    for _ in range(4):  # once around, and more items than slots
        x = b.normal(items, size)
        b.launch("ring_store", x, *got, x.size, size, slots)
        b.launch("ring_advance", got[1], items, slots, grid=(1,))
        b.ops.ring_store(x, *wanted)
        b.ops.ring_advance(wanted[1], items, slots)
        for a, expected in zip(got, wanted, strict=True):
            b.equal(a, expected, exact=True)


@case((5, 3, 4, 7), (0, 4, 2, 3), (1, 1, 1, 1), (20, 33, 5, 64), (2, 3, 4, 300))
def nearest_scores(b: Bench, shape: tuple[int, int, int, int]) -> None:
    items, size, classes, slots = shape
    x, ring, labels = b.normal(items, size), b.normal(slots, size), b.whole(classes, slots, 1)
    ring[1:2], labels[1:2], x[:1] = ring[:1], labels[:1], ring[:1] + b.dtype.type(0.1)  # a tie of the nearest two
    for k in (1, 3, slots):
        for filled in (0, 1, slots // 2, slots):
            cursor = np.array([0, filled], b.dtype)
            got, expected = b.dirty(items, classes), b.dirty(items, classes)
            distances, chosen = b.dirty(items, slots), b.dirty(items, slots)
            b.launch("stored_distances", x, ring, cursor, distances, items, size, slots)
            b.launch("nearest_scores", distances, labels, cursor, got, chosen, items, classes, slots, k)
            b.ops.nearest_scores(x, ring, labels, cursor, expected, k)
            b.equal(got, expected)
