"""The picture of the confusion table: cells stand where they should, in the colours that they should have."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data.source import ArraySource
from netforge.errors import DataError
from netforge.recognition import Answers, ImageSet, Outcome
from netforge.recognition.confusion_sheet import HEADER, LINE, RIGHT, WRONG, draw_confusion


def outcome(labels: list[int], predicted: list[int], known: list[int], names: dict[int, str] | None = None) -> Outcome:
    count = len(labels)
    source = ArraySource("some", np.zeros((count, 1, 1, 1), np.uint8), labels, class_names=names)
    zeros, flags = np.zeros(count), np.ones(count, np.bool_)
    numbers = np.zeros(count, np.int64)
    answers = Answers(zeros[:, None], numbers, zeros, numbers, zeros, flags)
    return Outcome(ImageSet([source]), np.array(labels), np.array(predicted), np.array(known), answers, None)


def test_right_answers_are_blue_and_wrong_ones_orange() -> None:
    """Three classes, of which the last is not known: there, refusing is right."""
    made = np.asarray(draw_confusion(outcome([0, 0, 1, 1, 2], [0, 0, 0, 1, -1], [0, 1]), "a title"))
    colours = {tuple(pixel) for pixel in made.reshape(-1, 3).tolist()}
    assert RIGHT in colours and LINE in colours
    strength = 0.5**0.5
    pale_blue, pale_orange = (tuple(round(255 - (255 - c) * strength) for c in colour) for colour in (RIGHT, WRONG))
    assert pale_blue in colours and pale_orange in colours and WRONG not in colours
    blue = np.argwhere((made == RIGHT).all(axis=2))
    rows, columns = np.unique(blue[:, 0]), np.unique(blue[:, 1])
    assert rows.min() >= HEADER and len(rows) > 2 * 36  # rows of 0 and of 2
    assert columns.max() - columns.min() > 44  # columns of "unknown" and of 0


@pytest.mark.parametrize("count", [2, 40, 300])
def test_any_number_of_classes_fits(count: int) -> None:
    labels = list(range(count))
    names = {label: f"a rather long name of class {label}" for label in labels}
    image = draw_confusion(outcome(labels, labels[::-1], labels, names), "many classes " * 30)
    assert 300 < image.width < 2200 and 150 < image.height < 2200


def test_too_many_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.recognition.confusion_sheet.MOST_PIXELS", 100_000)
    labels = list(range(30))
    with pytest.raises(DataError, match="Test fewer classes"):
        draw_confusion(outcome(labels, labels, labels), "too many")
