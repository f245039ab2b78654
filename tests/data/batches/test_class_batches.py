"""Batches of classes compared with a plain loop, and their promises: different classes, different images, no memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.batches.class_batches import ClassBatchSampler
from netforge.data.sampling import ClassIndex, random_words
from netforge.device.random import RandomStream
from netforge.errors import DataError


def stream(name: str) -> RandomStream:
    return RandomStream(3, name)


def class_batches(labels: list[int], classes: int, images: int, **options) -> ClassBatchSampler:
    return ClassBatchSampler(classes, images, ClassIndex(labels), stream("classes"), stream("images"), **options)


def loop_of_class_batches(labels: list[int], classes: int, images: int, batches: int) -> list[list[int]]:
    """The same batches, found by going through all of them from the first on."""
    names, drawn, order = sorted(set(labels)), [], []
    members = {name: [i for i, label in enumerate(labels) if label == name] for name in names}
    own_runs = {name: len(members[name]) // images for name in names}
    lengths = sorted(set(own_runs.values()))
    epoch = -1
    for _ in range(batches):
        if len(order) < classes:
            epoch += 1
            words = random_words(stream("classes"), epoch, len(names))
            order = [names[k] for k in sorted(range(len(names)), key=lambda k: words[k])]
            runs = {}
            for k, length in enumerate(lengths):
                of_length = [i for name in names if own_runs[name] == length for i in members[name]]
                words = random_words(stream("images"), epoch // length * len(lengths) + k, len(of_length))
                shuffled = [of_length[i] for i in sorted(range(len(of_length)), key=lambda i: words[i])]
                start = epoch % length * images
                for name in (name for name in names if own_runs[name] == length):
                    runs[name] = [i for i in shuffled if labels[i] == name][start : start + images]
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
    assert drawn[:, 0].tolist() == [4, 5, 6, 2]


@pytest.mark.parametrize(
    ("classes", "images", "message"),
    [
        (4, 1, "batch_classes asks for 4 classes, but the source has 3. Lower batch_classes"),
        (
            2,
            3,
            "for 3 images of each class, but there are fewer in 1 class: 2 in class 7. Lower batch_images to 2",
        ),
        (1, 4, "but there are fewer in 2 classes: 2 in class 7. Lower batch_images to 2"),
    ],
)
def test_class_batches_need_classes_and_images(classes: int, images: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        class_batches([5, 5, 5, 7, 7, 9, 9, 9, 9], classes, images)
