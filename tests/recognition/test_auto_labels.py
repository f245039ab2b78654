"""Labels that a net gives: of the nearest class, and only where it is sure enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.data import open_source
from netforge.errors import DataError
from netforge.recognition import Answers, Embedder, Recognizer, auto_labels, choose_images, confidences
from tests.recognition.helpers import DECODE, SOFTMAX, make_net


def answers(distances: list[list[float]]) -> Answers:
    """What a recognizer says at these distances."""
    table = np.array(distances)
    order = np.argsort(table, axis=1, kind="stable")
    nearest, following = np.sort(table, axis=1)[:, :2].T
    accepted = np.ones(len(table), np.bool_)
    return Answers(table, order[:, 0], nearest, order[:, 1], following - nearest, accepted)


@pytest.mark.parametrize("kind", [DECODE, SOFTMAX], ids=["distances", "probabilities"])
def test_labels_are_those_of_the_answers_and_unsure_ones_are_told(tmp_path: Path, kind: str) -> None:
    source = open_source(None, "digits.testing")
    with Embedder(*make_net(tmp_path, kind)) as embedder:
        recognizer = Recognizer(embedder)
        found = recognizer.recognize(source)
        ordered = np.sort(found.distances, axis=1)
        wanted = 1 - ordered[:, 0] if kind == SOFTMAX else 1 - ordered[:, 0] / ordered[:, 1]
        np.testing.assert_allclose(confidences(recognizer, found), wanted, atol=1e-12)
        limit = float(np.median(wanted))
        made = auto_labels(recognizer, source, least_confidence=limit)
        np.testing.assert_array_equal(made.labels, found.distances.argmin(axis=1))
        np.testing.assert_array_equal(made.sure, wanted >= limit)
        assert made.class_names == {k: str(k) for k in range(10)}
        assert auto_labels(recognizer, source).sure.all()
        near = float(np.median(found.distance))
        np.testing.assert_array_equal(auto_labels(recognizer, source, threshold=near).sure, found.distance <= near)


def test_sure_means_near_to_one_class_and_far_from_others(tmp_path: Path) -> None:
    with Embedder(*make_net(tmp_path, DECODE)) as embedder:
        recognizer = Recognizer(embedder)
        sure = confidences(recognizer, answers([[0, 4, 9], [2, 2, 9], [8, 6, 2], [0, 0, 1]]))
        np.testing.assert_allclose(sure, [1, 0, 2 / 3, 0])
        sure = confidences(recognizer, answers([[80, 60, 20]]))
        np.testing.assert_allclose(sure, 2 / 3)  # the scale does not matter


def test_one_class_alone_says_nothing(tmp_path: Path) -> None:
    source = open_source(None, "digits.testing")
    with Embedder(*make_net(tmp_path, DECODE)) as embedder:
        recognizer = Recognizer(embedder, source=choose_images([source], labels="3"))
        with pytest.raises(DataError, match="one class alone is known"):
            auto_labels(recognizer, source)
