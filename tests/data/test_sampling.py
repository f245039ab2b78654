"""Draws compared with plain loops, and their promises: whole epochs, parity, uniform partners, no memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.sampling import (
    BalancedPairSampler,
    ClassBatchSampler,
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


def class_batches(labels: list[int], classes: int, images: int, **options) -> ClassBatchSampler:
    return ClassBatchSampler(classes, images, ClassIndex(labels), stream("classes"), stream("images"), **options)


def loop_of_class_batches(labels: list[int], classes: int, images: int, batches: int) -> list[list[int]]:
    """The same batches, found by going through all of them from the first on."""
    names, drawn, order = sorted(set(labels)), [], []
    members = {name: [i for i, label in enumerate(labels) if label == name] for name in names}
    waiting = {name: [] for name in names}
    epoch = -1
    for _ in range(batches):
        if len(order) < classes:
            epoch += 1
            words = random_words(stream("classes"), epoch, len(names))
            order = [names[k] for k in sorted(range(len(names)), key=lambda k: words[k])]
            runs = {}
            for k, name in enumerate(names):
                if len(waiting[name]) < images:
                    own = len(members[name]) // images
                    words = random_words(stream("images"), epoch // own * len(names) + k, len(members[name]))
                    waiting[name] = [
                        members[name][i] for i in sorted(range(len(members[name])), key=lambda i: words[i])
                    ]
                runs[name], waiting[name] = waiting[name][:images], waiting[name][images:]
        batch, order = order[:classes], order[classes:]
        drawn.append([image for name in batch for image in runs[name]])
    return drawn


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.data())
def test_class_batches_are_those_of_a_loop(sizes: list[int], data: st.DataObject) -> None:
    labels = data.draw(st.permutations([3 * k - 2 for k, size in enumerate(sizes) for _ in range(size)]))
    classes, images = data.draw(st.integers(1, len(sizes))), data.draw(st.integers(1, min(sizes)))
    expected = loop_of_class_batches(labels, classes, images, 20)
    sampler = class_batches(labels, classes, images)
    assert [sampler.draw(b, classes * images)[:, 0].tolist() for b in range(20)] == expected
    one = data.draw(st.integers(0, 19))
    fresh = class_batches(labels, classes, images)
    assert fresh.draw(one, classes * images)[:, 0].tolist() == expected[one], "no memory of the batches before"


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.data())
def test_class_batches_hold_different_classes_and_images_and_use_each_once_an_epoch(
    sizes: list[int], data: st.DataObject
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    classes, images = data.draw(st.integers(1, len(sizes))), data.draw(st.integers(1, min(sizes)))
    sampler = class_batches(labels.tolist(), classes, images)
    in_epoch = len(sizes) // classes
    drawn = np.stack([sampler.draw(b, classes * images) for b in range(4 * in_epoch)]).reshape(-1, classes, images)
    shown = labels[drawn]
    assert (shown == shown[:, :, :1]).all()
    for epoch in shown[:, :, 0].reshape(4, -1):
        assert len(set(epoch.tolist())) == in_epoch * classes
    for batch in drawn:
        assert len(set(batch.ravel().tolist())) == classes * images
    if len(sizes) % classes == 0:
        for k, size in enumerate(sizes):
            epoch = drawn[shown[:, :, 0] == k][: size // images].ravel()
            assert len(set(epoch.tolist())) == len(epoch), "no image twice in an epoch of its class"


def test_class_batches_never_change() -> None:
    drawn = class_batches([0, 1, 0, 1, 2, 2, 0, 1], 2, 2).draw(3, 4)
    assert drawn[:, 0].tolist() == [5, 4, 0, 2]


@pytest.mark.parametrize(
    ("classes", "images", "message"),
    [
        (4, 1, "batch_classes asks for 4 classes, but the source has 3. Lower batch_classes"),
        (2, 3, "batch_images asks for 3 images of each class, but class 7 has 2. Lower batch_images to 2"),
        (1, 4, "but class 5 has 3, and 1 other class too few. Lower batch_images to 2"),
    ],
)
def test_class_batches_need_classes_and_images(classes: int, images: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_batches([5, 5, 5, 7, 7, 9, 9, 9, 9], classes, images)


def test_next_pairs_take_two_draws_each() -> None:
    assert NextPairSampler(Sequential(5)).draw(1, 3).tolist() == [[1, 2], [3, 4], [0, 1]]
    assert SingleSampler(Sequential(5)).draw(1, 3).tolist() == [[3], [4], [0]]


def test_noise_takes_the_place_of_other_classes() -> None:
    drawn = balanced([4, 4, 4], noise=True).draw(0, 6)
    assert (drawn[1::2, 1] == -1).all() and (drawn[::2, 1] >= 0).all()


def test_one_class_cannot_be_balanced() -> None:
    with pytest.raises(DataError, match="at least two classes, but all images have label 4"):
        balanced([4, 4, 4])
