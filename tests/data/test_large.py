"""A source of 100,000 images: none is lost, and it never lies in memory as a whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from netforge.data import ImageDatabase
from netforge.data.batches.selections import LabelBalanced
from netforge.data.sampling import ClassIndex, Shuffled, SingleSampler
from netforge.data.store.drafts import Draft, store
from netforge.device.random import RandomStream

COUNT, CLASSES = 100_000, 1000


def images(numbers: np.ndarray, side: int = 4) -> np.ndarray:
    """Image k holds the bytes of k again and again."""
    pixels = numbers.astype("<u4").view(np.uint8).reshape(-1, 1, 1, 4)
    return np.tile(pixels, (1, 1, side, side // 4))


def blocks(count: int, size: int, side: int = 4) -> Iterator[np.ndarray]:
    """The images 0 .. count-1, `size` at a time."""
    for start in range(0, count, size):
        yield images(np.arange(start, start + size), side)


def test_every_image_of_a_large_source_comes_back_once_an_epoch(tmp_path: Path) -> None:
    labels = np.arange(COUNT) * 7 % CLASSES
    with ImageDatabase(tmp_path / "images.db") as database:
        (stored,) = store(database, [Draft("large", blocks(COUNT, 1000), labels, {})])
        assert stored.count == COUNT
        for _ in range(2):  # the second time it is in the cache
            source = database.open("large")
            np.testing.assert_array_equal(source.labels, labels)
    every = images(np.arange(COUNT))
    np.testing.assert_allclose(source.mean, every.mean(0, dtype=np.float64), rtol=1e-6)
    sampler, seen = SingleSampler(Shuffled(COUNT, RandomStream(1, "a"))), np.zeros(COUNT, np.int64)
    for batch in range(COUNT // 1000):
        drawn = sampler.draw(batch, 1000)[:, 0]
        pixels, found = source.read(drawn)
        np.testing.assert_array_equal(pixels, every[drawn])
        np.testing.assert_array_equal(found, labels[drawn])
        seen[drawn] += 1
    assert (seen == 1).all()


def test_a_source_never_lies_in_memory_as_a_whole(tmp_path: Path) -> None:
    count, side = 8000, 64
    tracemalloc.start()
    try:
        with ImageDatabase(tmp_path / "images.db") as database:
            store(database, [Draft("large", blocks(count, 100, side), np.zeros(count, np.int64), {})])
            database.open("large").read(np.arange(100))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < count * side * side / 3


def test_many_labels_are_balanced() -> None:
    index = ClassIndex(np.arange(COUNT) * 7 % CLASSES)
    selection = LabelBalanced(index, Shuffled(CLASSES, RandomStream(1, "a")), RandomStream(1, "b"))
    drawn = np.concatenate([selection.take(start, 500) for start in range(0, COUNT, 500)])
    assert (np.bincount(drawn) == 1).all()  # all labels have equally many images here
