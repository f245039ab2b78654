"""The threshold between known and unknown: what it admits, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from netforge.errors import DataError, SettingsError, ShapeError
from netforge.metric import accepting_threshold, calibrate, squared_distances


@given(st.lists(st.integers(0, 50), min_size=10, max_size=60), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_no_more_impostors_are_accepted_than_wanted_and_no_higher_threshold_would_do(
    values: list[int], rate: float
) -> None:
    impostors = np.array(values, float)
    ordered = np.sort(impostors)
    if (ordered == ordered[0]).sum() > int(rate * len(values) + 1e-9):
        with pytest.raises(DataError, match="have the same distance"):
            accepting_threshold(impostors, rate)
        return
    threshold = accepting_threshold(impostors, rate)
    assert (impostors <= threshold).mean() <= rate
    following = impostors[impostors > threshold].min()
    assert (impostors <= following).mean() > rate


def test_with_unknown_images_the_rate_is_theirs(rng: np.random.Generator) -> None:
    points = np.array([[0.0, 0], [6, 0], [0, 6]])
    labels = rng.integers(0, 3, 300)
    known = squared_distances(points[labels] + rng.normal(size=(300, 2)), points)
    unknown = squared_distances(rng.normal(size=(200, 2)) * 2 + 4, points)
    found = calibrate(known, labels * 10, [0, 10, 20], unknown, false_accept_rate=0.05)
    nearest = known.min(axis=1)
    assert found.false_accepts == (unknown.min(axis=1) <= found.threshold).mean() == 0.05
    assert found.true_accepts == (nearest <= found.threshold).mean()
    assert found.accuracy == (known.argmin(axis=1) == labels).mean()
    assert found.correct == ((known.argmin(axis=1) == labels) & (nearest <= found.threshold)).mean()
    both = np.append(nearest, unknown.min(axis=1))
    assert found.auc == pytest.approx(roc_auc_score(np.repeat([1, 0], [300, 200]), -both))
    assert (found.known, found.unknown) == (300, 200)


FAR = [[5.0, 6.0], [7.0, 8.0]]


@pytest.mark.parametrize(
    ("labels", "unknown", "rate", "error", "words"),
    [
        ([0, 3], FAR, 0.5, DataError, "label 3 is none of the known classes"),
        ([0, 1], FAR, 0.01, DataError, "2 unknown images cannot show"),
        ([0, 1], FAR, 1.0, SettingsError, "between 0 and 1"),
        ([0, 1], np.zeros((3, 4)), 0.5, ShapeError, "unknown images have 4 dimensions"),
        ([0, 1], np.zeros((3, 2)), 0.5, DataError, "same distance 0"),
        ([0, 1], [[0.1, 0.1], [0.2, 0.3]], 0.5, DataError, "no known image"),
    ],
)
def test_where_there_is_no_threshold(
    labels: list[int], unknown: object, rate: float, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        calibrate([[1.0, 2], [2, 1]], labels, [0, 1], unknown, false_accept_rate=rate)  # type: ignore[arg-type]
    assert words in str(caught.value)
