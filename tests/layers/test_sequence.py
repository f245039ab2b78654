"""DataSequence: what goes with what, how likely, exact resume, refusals."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.errors import DataError, NetforgeError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.testing import LayerRun
from tests.layers.cases import row


def sequence(settings: str, images: np.ndarray, labels: np.ndarray, tops: int, *, seed: int = 1) -> LayerRun:
    text = row("DataSequence", "x label", " ".join(f"top{i}" for i in range(tops)), "data_sequence_param { %s }")
    return LayerRun(text % settings, [images, labels], seed=seed)


def step(run: LayerRun, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The next pass, without going back to the start as `run.forward` does."""
    run.feed([images, labels])
    run.layer.reshape(run.bottom, run.top)
    run.layer.forward(run.bottom, run.top)
    return [np.array(blob.data) for blob in run.top]


def batch(number: int, labels: np.ndarray) -> np.ndarray:
    """Images of two pixels that say what they are: their number among all images, and their label."""
    return np.stack([number * len(labels) + np.arange(len(labels)), labels], axis=1).astype(float)


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[np.ndarray]]:
    """First label, and the labels of some batches; each label that occurs is twice in the first batch."""
    first, count = draw(st.integers(0, 3)), draw(st.integers(2, 5))
    size = draw(st.integers(2 * count, 16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    start = rng.permutation(np.concatenate([np.arange(count)] * 2 + [rng.integers(0, count, size - 2 * count)]))
    return first, [first + start, *(first + rng.integers(0, count, size) for _ in range(draw(st.integers(0, 4))))]


@pytest.mark.parametrize("k", [0, 1, 5])
@pytest.mark.parametrize("balance", [True, False])
@settings(max_examples=40)
@given(stream=streams(), capacity=st.integers(2, 9), known=st.booleans())
def test_every_item_gets_what_it_asks_for(
    k: int, balance: bool, stream: tuple[int, list[np.ndarray]], capacity: int, known: bool
) -> None:
    first, batches = stream
    settings = f"k: {k} balance_matches: {str(balance).lower()} cache_size: {capacity} "
    if known:
        settings += f"label_start: {first} label_count: 6"
    run = sequence(settings, batch(0, batches[0]), batches[0], 3 + k)
    newest: dict[int, deque[float]] = {}
    for number, labels in enumerate(batches):
        images = batch(number, labels)
        anchors, *partners, classes = step(run, images, labels)
        for image, label in images:
            newest.setdefault(int(label), deque(maxlen=capacity)).append(image)
        np.testing.assert_array_equal(anchors, images)
        assert classes.shape == (len(labels), 2 + k, 1, 1)
        np.testing.assert_array_equal(classes[:, 0, 0, 0], labels)
        for column, partner in enumerate(partners, start=1):
            np.testing.assert_array_equal(partner[:, 1], classes[:, column, 0, 0])  # labels are those of the images
            same = partner[:, 1] == labels
            if column == 1 and k:
                assert same.all()
            elif column == 1 and balance:
                assert same[::2].all() and not same[1::2].any()
            else:
                assert not same.any()
            assert (partner[:, 0] != images[:, 0]).all()  # never the anchor itself
            for image, label in partner:
                assert image in newest[int(label)]  # one of the newest of its label


def counts_near(draws: np.ndarray, expected: float) -> None:
    """Counts of equally likely outcomes lie within five standard deviations."""
    assert np.abs(draws - expected).max() < 5 * np.sqrt(expected), draws


def test_labels_and_their_images_are_equally_likely() -> None:
    labels = np.repeat(np.arange(5), [2, 4, 6, 8, 12])  # as often as they are in the batch does not matter
    images = batch(0, labels)
    run = sequence("k: 1 cache_size: 16", images, labels, 4)
    positives, negatives = np.zeros((32, 32)), np.zeros((32, 5))
    passes = 400
    for _ in range(passes):
        run.layer.counts.data[...] = 0
        _, positive, negative, _ = step(run, images, labels)
        positives[np.arange(32), positive[:, 0].astype(int)] += 1
        negatives[np.arange(32), negative[:, 1].astype(int)] += 1
    for item, label in enumerate(labels):
        mates = np.flatnonzero((labels == label) & (np.arange(32) != item))
        counts_near(positives[item, mates], passes / len(mates))
        counts_near(np.delete(negatives[item], label), passes / 4)
        assert not positives[item, item] and not negatives[item, label]


def test_labels_without_images_are_never_drawn() -> None:
    labels = np.array([0, 0, 7, 7])
    for seed in range(20):
        run = sequence("k: 3 label_count: 50", batch(0, labels), labels, 6, seed=seed)
        classes = run.forward()[-1]
        assert np.isin(classes, [0, 7]).all()


def test_an_image_beyond_the_cache_may_have_any_partner() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    run = sequence("k: 1 cache_size: 1", batch(0, labels[:4]), labels[:4], 4)
    with pytest.raises(DataError, match=r"label 1 of item 2 has no second image"):
        run.forward()  # items 0 and 1 have the cached one as their partner, which itself has none
    run = sequence("k: 1 cache_size: 2", batch(0, labels), labels, 4)
    positives = {float(step(run, batch(i, labels), labels)[1][0, 0] - 5 * i) for i in range(40)}
    assert positives == {1.0, 2.0}


def states(run: LayerRun) -> dict[str, Any]:
    return run.layer.state()


def test_a_state_goes_on_exactly() -> None:
    rng = np.random.default_rng(0)
    batches = [np.concatenate([np.repeat(np.arange(2, 5), 2), rng.integers(2, 5, 6)]) for _ in range(6)]
    for text in ("k: 1 cache_size: 5", "cache_size: 5 label_start: 2 label_count: 4"):
        tops = 4 if "k: 1" in text else 3
        whole, first, rest = (sequence(text, batch(0, batches[0]), batches[0], tops) for _ in range(3))
        expected = [step(whole, batch(i, labels), labels) for i, labels in enumerate(batches)]
        for i, labels in enumerate(batches[:3]):
            step(first, batch(i, labels), labels)
        state = states(first)
        step(first, batch(9, batches[0]), batches[0])  # a state is a copy
        rest.layer.restore(state)
        for i, labels in enumerate(batches[3:], start=3):
            for got, wanted in zip(step(rest, batch(i, labels), labels), expected[i], strict=True):
                np.testing.assert_array_equal(got, wanted)


def test_a_state_from_before_the_first_batch_empties_the_caches() -> None:
    labels = np.array([0, 0, 1, 1])
    run = sequence("k: 1", batch(0, labels), labels, 4)
    fresh = states(run)
    assert list(fresh) == ["position"]
    first = step(run, batch(0, labels), labels)
    step(run, batch(1, labels), labels)
    run.layer.restore(fresh)
    for got, wanted in zip(step(run, batch(0, labels), labels), first, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_state_of_another_layer_is_refused() -> None:
    labels = np.array([0, 0, 1, 1])
    small, large = (sequence(f"k: 1 cache_size: {n}", batch(0, labels), labels, 4) for n in (2, 3))
    step(small, batch(0, labels), labels)
    with pytest.raises(DataError, match=r"caches of shape \(2, 2, 2\), the layer has \(2, 3, 2\)"):
        large.layer.restore(states(small))


def test_labels_are_known_from_their_source() -> None:
    """A Data layer's labels 0 to 9 are there before all of them were seen; what is known holds behind the layer too."""
    net = Net(
        parse_net(
            'layer { name: "data" type: "Data" top: "x" top: "label" data_param {'
            ' source: "digits.training" backend: IMAGEDB batch_size: 64 } }'
            'layer { name: "seq" type: "DataSequence" bottom: "x" bottom: "label" top: "a" top: "p" top: "n" top: "l"'
            " data_sequence_param { k: 1 cache_size: 8 } }"
        ),
        "TRAIN",
        seed=3,
    )
    outputs = net.forward()
    assert net.layers[1].state()["counts"].shape == (10,)
    assert net.blobs["l"].data_storage.below == 10
    assert outputs["l"].shape == (64, 3, 1, 1) and outputs["n"].shape == net.blobs["x"].shape


X = np.zeros((4, 2))
TWO = np.array([0.0, 0, 1, 1])


@pytest.mark.parametrize(
    ("settings", "labels", "tops", "message"),
    [
        ("k: 1", np.array([0, 0, 0, 1]), 4, r"label 1 of item 3 has no second image .*batch_classes: 10 batch_images"),
        ("", np.array([0, 1, 1, 0]), 3, None),
        ("", np.array([0, 1, 2, 2]), 3, r"label 0 of item 0 has no second image"),
        ("k: 2", np.zeros(4), 5, r"all images have label 0, .* item 0 gets no negative"),
        ("balance_matches: false", np.full(4, 3.0), 3, "all images have label 3"),
        (
            "label_count: 2 label_start: 3",
            np.array([3, 3, 4, 5]),
            3,
            r"label 5 at index 3 of \"label\" .* labels 3 to 4",
        ),
        ("label_count: 2 label_start: 3", np.array([2, 3, 4, 4]), 3, "label 2 at index 0"),
        ("", np.array([0, 0, 0.5, 1]), 3, "label 0.5 at index 2"),
        ("", np.array([0, 0, np.nan, 1]), 3, "label nan at index 2"),
        ("k: 1", TWO, 3, r"there are 3 tops, k: 1 gives 3 and the labels"),
        ("output_labels: false", TWO, 3, r"there are 3 tops, k: 0 gives 2"),
        ("", TWO[:3], 3, "one label for each"),
        ("k: 1 cache_size: 1", TWO, 4, "label 0 of item 1 has no second .*keeps 1 of each.*2 or more"),
        ("balance_matches: false cache_size: 1", TWO, 3, None),
        ("label_count: 1000000 cache_size: 1000", TWO, 3, r"make 1,000,000,000 images.*14\.9 GiB.*Use 16 or less"),
    ],
)
def test_refusals(settings: str, labels: np.ndarray, tops: int, message: str | None) -> None:
    if message is None:
        sequence(settings, X, labels, tops).forward()
        return
    with pytest.raises(NetforgeError, match=f"(?s){message}"):
        sequence(settings, X, labels, tops).forward()


@pytest.mark.parametrize(("settings", "below"), [("", None), ("label_count: 2", 2), ("label_start: 3", None)])
def test_labels_that_are_checked_are_known_to_the_readers(settings: str, below: int | None) -> None:
    """So that Decode has a row for every class from the beginning, though nothing is known about the source."""
    assert sequence(settings, X, TWO, 3).top[2].data_storage.below == below
    both = sequence("label_start: 5 label_count: 2", X, TWO + 5, 3)
    both.bottom[1].data_storage.limit = lambda: 6
    assert both.top[2].data_storage.below == 6


def test_caches_that_would_take_too_much_memory_are_refused_before_it_is_taken() -> None:
    images = np.zeros((4, 3, 224, 224), np.float32)
    text = row("DataSequence", "data label", "a b lbl", "data_sequence_param { label_count: 1000 }")
    with pytest.raises(NetforgeError, match=r"256,000 images, which take 143\.6 GiB.*Use 14 or less"):
        LayerRun(text, [images, TWO], dtype=np.float32)


def test_labels_beyond_those_of_the_first_batch_are_named() -> None:
    run = sequence("", X, TWO, 3)
    step(run, X, TWO)
    with pytest.raises(DataError, match=r"label 2 at index 3 .* labels 0 to 1, which the first batch"):
        step(run, X, np.array([0, 0, 1, 2]))
