"""Curves, areas, equal error rates and pairs, against scikit-learn and plain loops."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from netforge.errors import DataError, NetforgeError, SettingsError, ShapeError
from netforge.metric import choose_pairs, pair_distances, roc, verification

SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({same for _, same in pairs}) == 2
)


@given(SCORES)
def test_curve_and_area_are_those_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    distances, same = np.array([d for d, _ in pairs], float), np.array([s for _, s in pairs])
    curve = roc(distances, same)
    far, tar, thresholds = roc_curve(same, -distances, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_accepts, far)
    np.testing.assert_allclose(curve.true_accepts, tar)
    np.testing.assert_allclose(curve.thresholds[1:], -thresholds[1:])
    assert curve.auc == pytest.approx(roc_auc_score(same, -distances))


@given(SCORES)
def test_rates_at_any_threshold_are_counts(pairs: list[tuple[int, bool]]) -> None:
    distances, same = np.array([d for d, _ in pairs], float), np.array([s for _, s in pairs])
    curve = roc(distances, same)
    for threshold in (-1.0, 0.0, 2.5, 6.0, 9.0):
        accepted = distances <= threshold
        assert curve.at(threshold) == (accepted[same].mean(), accepted[~same].mean())
    for rate in (0.0, 0.3, 1.0):
        allowed = [t for t in (-1, *range(7)) if (distances[~same] <= t).mean() <= rate]
        assert curve.true_accepts_at(rate) == max((distances[same] <= t).mean() for t in allowed)


def test_equal_error_rate_lies_on_the_line_between_points() -> None:
    curve = roc([1, 2, 3, 4], [True, False, True, False])  # false accepts 0 0 .5 .5 1, false rejects 1 .5 .5 0 0
    assert curve.eer == 0.5 and curve.eer_threshold == 2
    curve = roc([1, 2, 2, 3], [True, True, False, False])  # between (0, .5) and (.5, 0)
    assert curve.eer == 0.25 and curve.eer_threshold == 1.5
    assert roc([1, 2], [True, False]).eer == 0
    assert roc([2, 1], [True, False]).eer == 1
    assert roc([1, 1], [True, False]).eer == 0.5


@given(SCORES)
def test_equal_error_rate_is_that_of_the_interpolated_curve(pairs: list[tuple[int, bool]]) -> None:
    curve = roc([d for d, _ in pairs], [s for _, s in pairs])
    place = np.linspace(0, len(curve.thresholds) - 1, 200_001)
    far, frr = (
        np.interp(place, np.arange(len(curve.thresholds)), y) for y in (curve.false_accepts, 1 - curve.true_accepts)
    )
    assert curve.eer == pytest.approx(far[np.abs(far - frr).argmin()], abs=1e-3)


@given(SCORES)
def test_accuracy_is_the_best_there_is_or_that_at_the_threshold(pairs: list[tuple[int, bool]]) -> None:
    distances, same = np.array([d for d, _ in pairs], float), np.array([s for _, s in pairs])
    best = max(((distances <= t) == same).mean() for t in (-1, *range(7)))
    result = verification(distances, same)
    assert result.accuracy == pytest.approx(best)
    assert ((distances <= result.threshold) == same).mean() == pytest.approx(best)
    assert (result.same, result.different) == (same.sum(), (~same).sum())
    assert verification(distances, same, threshold=2.5).accuracy == pytest.approx(((distances <= 2.5) == same).mean())


def test_all_pairs_where_they_are_few() -> None:
    labels = [4, 4, 2, 2, 2]
    pairs = choose_pairs(labels)
    assert pairs.complete
    assert list(zip(pairs.first, pairs.second, strict=True)) == list(combinations(range(5), 2))
    assert pairs.same.tolist() == [labels[i] == labels[j] for i, j in combinations(range(5), 2)]


def test_drawn_pairs_are_half_of_one_class_and_equally_likely() -> None:
    labels = np.repeat([0, 1, 2], [2, 5, 9])
    pairs = choose_pairs(labels, most=100, seed=3)  # of 120; the 47 of one class are fewer than half: taken once each
    assert not pairs.complete and len(pairs.first) == 100
    assert (labels[pairs.first] == labels[pairs.second]).tolist() == pairs.same.tolist()
    assert (pairs.first != pairs.second).all()
    same = {tuple(sorted(p)) for p in zip(pairs.first[pairs.same], pairs.second[pairs.same], strict=True)}
    assert len(same) == pairs.same.sum() == 1 + 10 + 36
    big = np.repeat(np.arange(3), [20, 50, 130])
    many = choose_pairs(big, most=10_000, seed=1)
    assert many.same.sum() == 5000
    shares = np.bincount(big[many.first[many.same]]) / 5000
    np.testing.assert_allclose(shares, np.array([190, 1225, 8385]) / 9800, atol=0.02)
    both = np.sort(np.stack([big[many.first[~many.same]], big[many.second[~many.same]]]), axis=0)
    shares = np.bincount(both[0] * 3 + both[1], minlength=9)[[1, 2, 5]] / 5000
    np.testing.assert_allclose(shares, np.array([1000, 2600, 6500]) / 10100, atol=0.02)
    again = choose_pairs(big, most=10_000, seed=1)
    assert (again.first == many.first).all() and (again.second == many.second).all()


def test_pair_distances_are_those_of_a_loop(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = rng.normal(size=(6, 3))
    first, second = np.triu_indices(6, 1)
    monkeypatch.setattr("netforge.metric.pairs.BLOCK_BYTES", 100)
    expected = [((x[i] - x[j]) ** 2).sum() for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(pair_distances(x, first, second), expected)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pair_distances(np.zeros((2, 3)), [0], [2]), DataError, "second holds numbers from 2 to 2, expected 0"),
        (lambda: pair_distances(np.zeros((2, 3)), [-1], [0]), DataError, "first holds numbers from -1"),
        (lambda: pair_distances(np.zeros((2, 3)), [0, 1], [1]), ShapeError, "first has 2 numbers, second 1"),
        (lambda: verification([1, 2], [0, 1], threshold=float("nan")), SettingsError, "the threshold is nan"),
        (lambda: verification([1, 2], [0, 1], threshold=float("inf")), SettingsError, "the threshold is inf"),
        (lambda: choose_pairs([]), ShapeError, "there are no labels"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: Callable[[], object], error: type[NetforgeError], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_pairs_of_one_kind_are_refused() -> None:
    with pytest.raises(DataError, match="should be accepted"):
        verification([1, 2], [1, 1])
    with pytest.raises(DataError, match="all images are of one class"):
        choose_pairs([3, 3])
    with pytest.raises(DataError, match="no two images"):
        choose_pairs([1, 2, 3])
    with pytest.raises(DataError, match="expected 2 values 0 or 1"):
        roc([1, 2], [1, 2])
    with pytest.raises(SettingsError, match="false-accept rate"):
        roc([1, 2], [0, 1]).true_accepts_at(-1)
