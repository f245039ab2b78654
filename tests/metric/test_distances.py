"""Distances, centroids and neighbours, against plain loops and scikit-learn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from netforge.errors import DataError, NetforgeError, SettingsError, ShapeError
from netforge.metric import centroids, distance_blocks, knn_predict, nearest_centroid, squared_distances
from netforge.metric.classify import nearest_columns


def clusters(rng: np.random.Generator, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 5, count) * 3
    return rng.normal(size=(count, 4)) + labels[:, None], labels


def test_squared_distances_are_those_of_a_loop(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(7, 3)) + 1000, rng.normal(size=(5, 3)) + 1000  # far from zero: the centre is taken off
    expected = [[((x - y) ** 2).sum() for y in b] for x in a]
    np.testing.assert_allclose(squared_distances(a, b), expected, rtol=1e-9)
    assert squared_distances(a, a).min() >= 0


def test_blocks_are_the_rows_whatever_their_size(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(10, 2, 3)), rng.normal(size=(4, 6))
    for size in (1, 100, 1 << 20):
        parts = list(distance_blocks(a, b, block_bytes=size))
        assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(10))
        np.testing.assert_allclose(np.concatenate([block for _, block in parts]), squared_distances(a, b), atol=1e-12)


def test_all_pairs_of_a_set_take_bounded_memory(rng: np.random.Generator) -> None:
    points = rng.normal(size=(4000, 8))
    tracemalloc.start()
    nearest_centroid(points, points)
    for _ in distance_blocks(points, points, block_bytes=1 << 20):
        pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * (64 << 20) < 4000 * 4000 * 8 * 4


def test_centroids_are_means_and_the_nearest_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    x, labels = clusters(rng)
    made = centroids(x, labels)
    assert made.labels.tolist() == [0, 3, 6, 9, 12]
    for label, point, count in zip(made.labels, made.points, made.counts, strict=True):
        np.testing.assert_allclose(point, x[labels == label].mean(axis=0))
        assert count == (labels == label).sum()
    queries = rng.normal(size=(50, 4)) * 5 + 6
    nearest, distances = nearest_centroid(queries, made.points)
    assert made.labels[nearest].tolist() == NearestCentroid().fit(x, labels).predict(queries).tolist()
    np.testing.assert_allclose(distances, squared_distances(queries, made.points).min(axis=1))


@pytest.mark.parametrize("k", [1, 2, 5, 120])
def test_nearest_neighbours_are_those_of_scikit_learn(rng: np.random.Generator, k: int) -> None:
    x, labels = clusters(rng)
    queries = rng.normal(size=(60, 4)) * 5 + 6
    expected = KNeighborsClassifier(k, algorithm="brute").fit(x, labels).predict(queries)
    assert knn_predict(x, labels, queries, k=k).tolist() == expected.tolist()


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=8),
    st.integers(1, 6),
)
def test_nearest_columns_break_ties_by_number(table: list[list[int]], k: int) -> None:
    distances = np.array(table, np.float64)
    expected = [sorted(range(6), key=lambda j: (row[j], j))[:k] for row in table]
    assert nearest_columns(distances, k).tolist() == expected


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: squared_distances(np.zeros((2, 3)), np.zeros((2, 4))), ShapeError, "3 dimensions"),
        (lambda: squared_distances(np.zeros(3), np.zeros((2, 4))), ShapeError, "a have shape (3,)"),
        (lambda: squared_distances(np.full((2, 3), np.nan), np.zeros((2, 3))), DataError, "a[0] holds NaN"),
        (lambda: centroids(np.zeros((2, 3)), [0]), ShapeError, "expected (2,)"),
        (lambda: centroids(np.zeros((2, 3)), [0, 0.5]), DataError, "whole numbers"),
        (lambda: centroids(np.zeros((0, 3)), []), ShapeError, "shape (0, 3)"),
        (lambda: centroids([[1.0, 2.0], [3.0]], [0, 1]), ShapeError, "rows of one length"),
        (lambda: centroids(np.zeros((1, 3)), [1e30]), DataError, "too large"),
        (lambda: centroids(np.zeros((1, 3)), [np.inf]), DataError, "no whole numbers"),
        (lambda: centroids(np.zeros((1, 3)), np.array([1 << 63], np.uint64)), DataError, "too large"),
        (lambda: knn_predict(np.zeros((2, 3)), [0, 1], np.zeros((1, 3)), k=3), SettingsError, "2 embeddings"),
        (lambda: knn_predict(np.zeros((2, 3)), [0, 1], np.zeros((1, 3)), k=0), SettingsError, "1 or more"),
    ],
)
def test_what_cannot_be_used_is_refused(call: object, error: type[NetforgeError], words: str) -> None:
    with pytest.raises(error) as caught:
        call()  # type: ignore[operator]
    assert words in str(caught.value)
