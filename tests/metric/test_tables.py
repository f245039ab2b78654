"""Confusion tables, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from netforge.errors import ShapeError
from netforge.metric import UNKNOWN, Mixup, confusion


def test_counts_and_accuracies_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 6, 500) * 2
    predicted = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 6, 500) * 2)
    table = confusion(labels, predicted)
    assert table.labels.tolist() == table.predicted.tolist() == [0, 2, 4, 6, 8, 10]
    np.testing.assert_array_equal(table.counts, confusion_matrix(labels, predicted))
    assert table.accuracy == accuracy_score(labels, predicted)
    np.testing.assert_allclose(table.class_accuracies, recall_score(labels, predicted, average=None))


def test_unknown_images_have_a_column_of_their_own() -> None:
    table = confusion([1, 1, 1, 2, 2], [1, UNKNOWN, 7, 2, 2])
    assert table.predicted.tolist() == [UNKNOWN, 1, 2, 7]
    assert table.counts.tolist() == [[1, 1, 0, 1], [0, 0, 2, 0]]
    assert table.accuracy == 3 / 5
    assert table.mixups() == [Mixup(1, 7, 1, 1 / 3)]


def test_mixups_come_with_the_most_frequent_first() -> None:
    table = confusion([0, 0, 0, 0, 1, 1], [1, 1, 2, 0, 0, 1])
    assert [(m.label, m.predicted, m.count) for m in table.mixups()] == [(0, 1, 2), (0, 2, 1), (1, 0, 1)]
    assert len(table.mixups(2)) == 2
    assert confusion([0, 1], [0, 1]).mixups() == []


def test_numbers_of_labels_must_agree() -> None:
    with pytest.raises(ShapeError, match="predicted labels have shape"):
        confusion([0, 1], [0])
    with pytest.raises(ShapeError):
        confusion([], [])
