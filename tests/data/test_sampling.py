"""Draws compared with plain loops, and their promises: whole epochs, parity, uniform partners, no memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.batches.class_batches import ClassBatchSampler
from netforge.data.batches.reader import Sampler
from netforge.data.sampling import (
    BalancedPairSampler,
    ClassIndex,
    NextPairSampler,
    Sequential,
    Shuffled,
    SingleSampler,
    below,
    random_words,
)
from netforge.device.random import RandomStream
from netforge.errors import DataError

labels_lists = st.lists(st.integers(-3, 6), min_size=1, max_size=40)


def stream(name: str = "test", seed: int = 3) -> RandomStream:
    return RandomStream(seed, name)


def balanced(labels: list[int], seed: int = 3, **options) -> BalancedPairSampler:
    selection = Shuffled(len(labels), stream("selection", seed))
    return BalancedPairSampler(selection, ClassIndex(labels), stream("partners", seed), **options)


@given(st.integers(1, 30), st.integers(0, 500), st.integers(1, 90))
def test_shuffled_draws_are_permutations_laid_end_to_end(count: int, start: int, length: int) -> None:
    wanted: list[int] = []
    while len(wanted) < start + length:
        words = random_words(stream(), len(wanted) // count, count)
        wanted += sorted(range(count), key=lambda i: words[i])
    drawn = Shuffled(count, stream()).take(start, length)
    assert drawn.tolist() == wanted[start : start + length]


@given(st.integers(1, 30), st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_every_image_comes_once_an_epoch_whatever_the_batch_sizes(count: int, sizes: list[int]) -> None:
    selection = Shuffled(count, stream())
    starts = np.cumsum([0, *sizes[:-1]])
    drawn = np.concatenate([selection.take(int(s), n) for s, n in zip(starts, sizes, strict=True)])
    for epoch in range(len(drawn) // count):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_differ_and_seeds_differ() -> None:
    first, second = Shuffled(50, stream()).take(0, 100).reshape(2, 50)
    other = Shuffled(50, stream(seed=4)).take(0, 50)
    assert (first != second).any() and (first != other).any()


def test_sequential_wraps_around() -> None:
    assert Sequential(4).take(2, 7).tolist() == [2, 3, 0, 1, 2, 3, 0]
    assert Sequential(4, first=3).take(0, 3).tolist() == [3, 0, 1]


def test_draws_never_change() -> None:
    """A draw that changes with a new version of netforge or NumPy would break the resuming of old runs."""
    assert Shuffled(8, stream()).take(0, 12).tolist() == [7, 1, 4, 0, 2, 5, 3, 6, 2, 5, 7, 6]
    pairs = balanced([0, 1, 0, 1, 2, 2, 0, 1]).draw(0, 4)
    assert pairs.tolist() == [[2, 0], [5, 2], [3, 1], [6, 5]]


@given(st.integers(1, 2**32), st.integers(0, 2**64 - 1))
def test_below_is_the_multiply_shift_of_the_upper_half(limit: int, word: int) -> None:
    assert below(np.array([word], np.uint64), limit).tolist() == [((word >> 32) * limit) >> 32]


@given(labels_lists)
def test_class_index_lists_every_class(labels: list[int]) -> None:
    index = ClassIndex(labels)
    assert index.labels.tolist() == sorted(set(labels))
    for k, label in enumerate(index.labels):
        members = index.order[index.starts[k] : index.starts[k] + index.sizes[k]]
        assert members.tolist() == [i for i, other in enumerate(labels) if other == label]
        assert index.rank[members].tolist() == list(range(len(members)))


@given(labels_lists, st.data())
def test_partners_are_drawn_from_the_lists_a_loop_would_make(labels: list[int], data: st.DataObject) -> None:
    image = data.draw(st.integers(0, len(labels) - 1))
    word = data.draw(st.integers(0, 2**64 - 1))
    index, images, words = ClassIndex(labels), np.array([image]), np.array([word], np.uint64)
    of_class = [i for i in range(len(labels)) if labels[i] == labels[image] and i != image] or [image]
    assert index.same(images, words)[0] == of_class[((word >> 32) * len(of_class)) >> 32]
    others = sorted((i for i in range(len(labels)) if labels[i] != labels[image]), key=lambda i: (labels[i], i))
    if others:
        assert index.different(images, words)[0] == others[((word >> 32) * len(others)) >> 32]


@settings(max_examples=50)
@given(labels_lists.filter(lambda x: len(set(x)) > 1), st.integers(1, 9), st.integers(0, 7))
def test_balanced_pairs_alternate_over_the_whole_run(labels: list[int], size: int, batch: int) -> None:
    drawn = balanced(labels).draw(batch, size)
    assert drawn[:, 0].tolist() == Shuffled(len(labels), stream("selection")).take(batch * size, size).tolist()
    for i, (first, second) in enumerate(drawn):
        matching = (batch * size + i) % 2 == 0
        assert (labels[first] == labels[second]) == matching
        assert first != second or labels.count(labels[first]) == 1


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 20))
def test_a_batch_does_not_depend_on_those_drawn_before(size: int, before: int, batch: int) -> None:
    labels = [0, 1, 2] * 7
    used, fresh = balanced(labels), balanced(labels)
    used.draw(before, size)
    assert used.draw(batch, size).tolist() == fresh.draw(batch, size).tolist()


def test_partners_are_equally_likely() -> None:
    labels = np.array([0] * 3 + [1] * 7 + [2] * 10)
    index, words = ClassIndex(labels), random_words(stream(), 0, 40_000)
    images = np.full(len(words), 4)
    same = np.bincount(index.same(images, words), minlength=20)
    different = np.bincount(index.different(images, words), minlength=20)
    assert same[4] == 0 and not same[labels != 1].any() and not different[labels == 1].any()
    for counts, expected in (
        (same[(labels == 1) & (np.arange(20) != 4)], 40_000 / 6),
        (different[labels != 1], 40_000 / 13),
    ):
        assert abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_next_pairs_take_two_draws_each() -> None:
    assert NextPairSampler(Sequential(5)).draw(1, 3).tolist() == [[1, 2], [3, 4], [0, 1]]
    assert SingleSampler(Sequential(5)).draw(1, 3).tolist() == [[3], [4], [0]]


def test_noise_takes_the_place_of_other_classes() -> None:
    drawn = balanced([4, 4, 4], noise=True).draw(0, 6)
    assert (drawn[1::2, 1] == -1).all() and (drawn[::2, 1] >= 0).all()


def test_one_class_cannot_be_balanced() -> None:
    with pytest.raises(DataError, match="at least two classes, but all images have label 4"):
        balanced([4, 4, 4])


def test_threads_may_draw_at_once() -> None:
    labels = np.arange(60) % 3

    def samplers() -> list[Sampler]:
        index = ClassIndex(labels)
        return [
            SingleSampler(Shuffled(60, RandomStream(1, "one"))),
            BalancedPairSampler(Shuffled(60, RandomStream(1, "two")), index, RandomStream(1, "three")),
            ClassBatchSampler(2, 5, index, RandomStream(1, "four"), RandomStream(1, "five")),
        ]

    alone, shared = samplers(), samplers()
    numbers = np.random.default_rng(0).integers(0, 40, 400).tolist()
    with ThreadPoolExecutor(4) as pool:
        for one, many in zip(alone, shared, strict=True):
            drawn = pool.map(lambda number, sampler=many: sampler.draw(number, 10), numbers)
            for number, images in zip(numbers, drawn, strict=True):
                np.testing.assert_array_equal(images, one.draw(number, 10))
