"""N-way K-shot episodes: what they draw, and what they measure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data.sampling import random_words
from netforge.device.random import RandomStream
from netforge.errors import DataError, SettingsError
from netforge.metric import nway_kshot
from netforge.metric.episodes import Dealer


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_episodes_hold_what_they_promise(seed: int, shots: int, queries: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    classes, per_class = 6, 8
    labels = np.repeat(np.arange(classes) * 5, per_class)
    groups = np.tile(np.arange(per_class), classes)
    order = rng.permutation(len(labels))
    labels, groups = labels[order], groups[order]
    dealer = Dealer(labels, groups if grouped else None, shots, queries)
    support, asked = dealer.deal(random_words(RandomStream(seed, "test"), 0, dealer.words), 4)
    assert support.shape == (4, shots) and asked.shape == (4, queries)
    assert len(np.unique(np.concatenate([support, asked], axis=1))) == 4 * (shots + queries)
    of = labels[support][:, 0]
    assert len(set(of.tolist())) == 4
    assert (labels[support] == of[:, None]).all() and (labels[asked] == of[:, None]).all()
    if grouped:
        assert not set(groups[support].ravel().tolist()) & set(groups[asked].ravel().tolist())


def test_all_classes_and_images_take_part() -> None:
    labels = np.repeat(np.arange(5), 4)
    dealer = Dealer(labels, None, 1, 2)
    stream = RandomStream(1, "test")
    supports, queries = zip(*(dealer.deal(random_words(stream, e, dealer.words), 3) for e in range(400)), strict=True)
    for drawn, share in ((supports, 1), (queries, 2)):
        counts = np.bincount(np.concatenate(drawn).ravel(), minlength=20)
        np.testing.assert_allclose(counts / 400, 3 / 5 / 4 * share, atol=0.08)


def test_separate_classes_are_told_apart_and_noise_is_guessed(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(10), 12)
    points = np.eye(10)[labels] * 9 + rng.normal(size=(120, 10)) * 0.1
    assert nway_kshot(points, labels, ways=10, shots=1, episodes=20).accuracy == 1
    noise = nway_kshot(rng.normal(size=(120, 4)), labels, ways=5, shots=2, episodes=300, seed=4)
    assert abs(noise.accuracy - 0.2) < 0.03
    assert noise.accuracies.shape == (300,)
    assert noise.interval == pytest.approx(1.96 * noise.accuracies.std(ddof=1) / np.sqrt(300), rel=1e-4)
    assert 0 < noise.interval < 0.03


def test_one_episode_by_hand() -> None:
    """Two classes on a line, two images each: which one is the support decides nothing but the wrong pair."""
    points, labels = np.array([[0.0], [1.0], [3.0], [4.0]]), [0, 0, 1, 1]
    result = nway_kshot(points, labels, ways=2, shots=1, queries=1, episodes=10)
    assert result.accuracies.tolist() == [1] * 10
    points[1] = 9  # the second of class 0 lies beyond class 1: always wrong, and so is 0 asked against 9
    assert nway_kshot(points, labels, ways=2, shots=1, queries=1, episodes=10).accuracy <= 0.5
    assert nway_kshot(points, labels, ways=2, shots=1, queries=1, episodes=1).interval == 0


def test_the_seed_decides(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(8), 6)
    points = rng.normal(size=(48, 3)) + labels[:, None] * 0.5
    first, again, other = (nway_kshot(points, labels, episodes=30, queries=3, seed=s).accuracies for s in (5, 5, 6))
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_group_that_spoils_its_images_is_never_on_both_sides(rng: np.random.Generator) -> None:
    """Images are alike by group, not by class: with groups apart, the embedding is worthless and shows it."""
    labels, groups = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    points = np.eye(6)[groups] + rng.normal(size=(60, 6)) * 0.01 + np.eye(10)[labels][:, :6] * 0.001
    apart = nway_kshot(points, labels, ways=5, shots=1, queries=2, episodes=200, groups=groups)
    assert apart.accuracy < 0.35


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ways": 4}, DataError, "4 ways are asked for, but of 3 classes 3 have the 1 + 1 images"),
        ({"shots": 4}, DataError, "but of 3 classes 0 have the 4 + 1 images"),
        ({"groups": [0, 0, 0, 1, 1, 1, 2, 2, 2]}, DataError, "in groups of their own"),
        ({"groups": [0] * 9}, DataError, "one group"),
        ({"ways": 1}, SettingsError, "ways is 1"),
        ({"episodes": 0}, SettingsError, "episodes is 0"),
    ],
)
def test_too_few_classes_or_images(options: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        nway_kshot(
            np.zeros((9, 2)),
            np.repeat([0, 1, 2], 3),
            **{"ways": 2, "shots": 1, "queries": 1, **options},  # type: ignore[arg-type]
        )
    assert words in str(caught.value)
