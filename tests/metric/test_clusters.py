"""Measures of how classes stand apart, against scikit-learn and against a plain computation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from netforge.errors import DataError
from netforge.metric import clusters, distances


@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_against_scikit_learn_and_a_plain_computation(
    spread: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances.distance_blocks, "__kwdefaults__", {"block_bytes": 8 * 60 * 7})  # several blocks
    labels = np.append(rng.integers(0, 4, 59) * 3, 77)  # a class of one point among them
    points = np.cos(labels)[:, None] * 10 + spread * rng.normal(size=(60, 5))
    found = clusters(points, labels)
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    same = labels[:, None] == labels[None]
    others = ~np.eye(60, dtype=bool)
    assert found.silhouette == pytest.approx(silhouette_score(points, labels), abs=1e-12)
    assert found.within == pytest.approx(apart[same & others].mean())
    assert found.between == pytest.approx(apart[~same].mean())
    nearest = np.where(others, apart, np.inf).argmin(axis=1)
    assert found.neighbour_accuracy == (labels[nearest] == labels).mean()


def test_points_that_coincide_have_silhouette_0() -> None:
    found = clusters(np.ones((4, 2)), [0, 0, 1, 1])
    assert (found.silhouette, found.within, found.between) == (0, 0, 0)


def test_one_class_and_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match=r"all 3 points are of class 5.*Take points of two classes"):
        clusters(np.ones((3, 2)), [5, 5, 5])
    with pytest.raises(DataError, match="NaN"):
        clusters([[0.0], [np.nan]], [0, 1])
