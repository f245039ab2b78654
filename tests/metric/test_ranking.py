"""Retrieval, against plain loops and scikit-learn's average precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from netforge.errors import DataError, SettingsError
from netforge.metric import Retrieval, distance_blocks, retrieval


def plain(points: np.ndarray, labels: np.ndarray, at: tuple[int, ...]) -> Retrieval:
    """The definitions, one query at a time."""
    recalls: list[list[bool]] = []
    precisions, averages = [], []
    for q in range(len(points)):
        others = [i for i in range(len(points)) if i != q]
        order = sorted(others, key=lambda i: (((points[i] - points[q]) ** 2).sum(), i))
        right = [labels[i] == labels[q] for i in order]
        r = sum(right)
        if not r:
            continue
        recalls.append([any(right[:k]) for k in at])
        precisions.append(sum(right[:r]) / r)
        averages.append(sum(sum(right[: i + 1]) / (i + 1) for i in range(r) if right[i]) / r)
    means = np.mean(recalls, axis=0)
    recall = dict(zip(at, means.tolist(), strict=True))
    n = len(recalls)
    return Retrieval(recall, float(np.mean(precisions)), float(np.mean(averages)), n, len(points) - n)


@given(st.integers(0, 10_000), st.integers(3, 25), st.integers(1, 6))
def test_measures_are_those_of_a_loop(seed: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(count, 2)), rng.integers(0, classes, count)
    if len(set(labels)) == count:
        with pytest.raises(DataError, match="no two images"):
            retrieval(points, labels)
        return
    found, expected = retrieval(points, labels, at=(1, 2, 40)), plain(points, labels, (1, 2, 40))
    assert (found.queries, found.alone) == (expected.queries, expected.alone)
    assert found.recall == pytest.approx(expected.recall)
    assert found.r_precision == pytest.approx(expected.r_precision)
    assert found.map_at_r == pytest.approx(expected.map_at_r)


@given(st.integers(0, 10_000), st.integers(4, 30), st.sampled_from([0.125, 1.0, 255.0]))
def test_equal_distances_are_told_by_number(seed: int, count: int, scale: float) -> None:
    """Whole numbers and doubles of one another: wherever the mean lies, rounding must not break a tie."""
    rng = np.random.default_rng(seed)
    points, labels = rng.integers(0, 3, (count, 2)) * scale, rng.integers(0, 2, count)
    found, expected = retrieval(points, labels, at=(1, 2, 40)), plain(points, labels, (1, 2, 40))
    assert found.recall == pytest.approx(expected.recall)
    assert found.map_at_r == pytest.approx(expected.map_at_r)


def test_map_at_r_is_average_precision_of_the_r_nearest(rng: np.random.Generator) -> None:
    points, labels = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], 20)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    averages = []
    for q in range(60):
        nearest = np.argsort(distances[q])[:19]
        right = labels[nearest] == labels[q]
        average = average_precision_score(right, -distances[q, nearest]) if right.any() else 0.0
        averages.append(average * right.sum() / 19)  # scikit-learn divides by those found, MAP@R by R
    assert retrieval(points, labels).map_at_r == pytest.approx(np.mean(averages))


def test_collapsed_embeddings_find_by_chance_alone() -> None:
    """All alike: neighbours come in the order of their numbers, whatever their class."""
    found = retrieval(np.full((12, 3), 0.7), np.tile([0, 1, 2], 4), at=(1,))
    assert found.recall[1] == pytest.approx(3 / 12)


def test_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = rng.normal(size=(90, 3)), rng.integers(0, 6, 90)
    whole = retrieval(points, labels)
    monkeypatch.setitem(distance_blocks.__kwdefaults__, "block_bytes", 2000)
    assert retrieval(points, labels) == whole


def test_k_is_at_least_one() -> None:
    with pytest.raises(SettingsError, match="recall@k is 0"):
        retrieval(np.zeros((3, 2)), [0, 0, 1], at=(0,))
    with pytest.raises(SettingsError, match="no k is given"):
        retrieval(np.zeros((3, 2)), [0, 0, 1], at=())
