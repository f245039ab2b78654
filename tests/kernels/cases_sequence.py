"""Caches of the newest items of classes, and draws from them, against their references."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Bench, case

from netforge.device.random import RandomStream

NOTHING = np.iinfo(np.int32).max


def caches(b: Bench, classes: int, slots: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((classes, slots, size), b.dtype), np.zeros(classes, b.dtype)


def store(b: Bench, x: np.ndarray, labels: np.ndarray, cache: np.ndarray, counts: np.ndarray, places: Any) -> None:
    (items, size), (classes, slots) = x.shape, cache.shape[:2]
    b.launch("sequence_places", labels, counts, places, items, classes, slots)
    b.launch("sequence_store", x, labels, places, cache, x.size, size, slots)
    b.launch("sequence_count", labels, counts, items, classes, slots)


@case((7, 5, 3), (0, 4, 2), (1, 1, 1), (40, 33, 4), (9, 12, 3))
def sequence_store(b: Bench, shape: tuple[int, int, int]) -> None:
    items, size, classes = shape
    got, wanted = caches(b, classes, 4, size), caches(b, classes, 4, size)
    for _ in range(4):  # counts pass the number of slots, and twice that
        x, labels = b.normal(items, size), b.whole(classes, items)
        places, expected = b.dirty(items), b.dirty(items)
        store(b, x, labels, *got, places)
        b.ops.sequence_store(x, labels, *wanted, expected)
        for a, e in zip((*got, places), (*wanted, expected), strict=True):
            b.equal(a, e, exact=True)


@case((7, 3, 3), (0, 2, 2), (1, 1, 1), (64, 5, 3), (40, 1, 2), (9, 1, 4))
def sequence_choose(b: Bench, shape: tuple[int, int, int]) -> None:
    items, classes, partners = shape
    stream, slots = RandomStream(2**64 - 5, "sequence"), 6
    cache, counts = caches(b, classes + 1, slots, 1)  # one class stays empty
    for draw in range(3):
        labels, places, position = b.whole(classes, items), b.dirty(items), np.array([2**40 + draw], np.uint64)
        store(b, b.normal(items, 1), labels, cache, counts, places)
        for code, partner in enumerate(("OTHER", "SAME", "ALTERNATING")):
            got, wanted = ([b.dirty(partners, items), b.dirty(items, 1 + partners)] for _ in range(2))
            first, report = np.full(1, NOTHING, np.int32), b.number(0).repeat(2)
            numbers = (items, partners, classes + 1, slots, 3, code, stream.seed, stream.key)
            b.launch("sequence_choose", labels, places, counts, *got, first, position, *numbers)
            index = b.ops.sequence_choose(labels, places, counts, slots, *wanted, 3, partner, stream, position, report)
            for a, e in zip(got, wanted, strict=True):
                b.equal(a, e, exact=True)
            assert first[0] == (index if index >= 0 else NOTHING)
            assert report[0] == 1 + index


@case((5, 3))
def sequence_ignores_labels_that_are_no_classes(b: Bench, shape: tuple[int, int]) -> None:
    """They are reported elsewhere, and must read and write nothing."""
    items, classes = shape
    labels = np.array([-1, 3, np.nan, 1e9, 0.0], b.dtype)
    cache, counts = caches(b, classes, 2, 4)
    places, chosen, first = b.dirty(items), b.dirty(1, items), np.full(1, NOTHING, np.int32)
    store(b, b.normal(items, 4) + 9, labels, cache, counts, places)
    assert counts.tolist() == [1, 0, 0] and places.tolist() == [-1, -1, -1, -1, 0]
    assert cache[0, 0].any() and not cache[0, 1].any() and not cache[1:].any()
    b.launch(
        "sequence_choose", labels, places, counts, chosen, b.dirty(items, 2), first, np.zeros(1, np.uint64), items, 1,
        classes, 2, 0, 1, 1, 2
    )  # fmt: skip
    assert (chosen[0, :4] == 77).all() and first[0] == 9
