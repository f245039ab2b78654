"""Labels as people write them: "3", "cat", "0-7", "0-7,9,20-29"."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

RANGE = re.compile(r"\s*(-?\d{1,18})\s*(?:-\s*(-?\d{1,18})\s*)?(?![\w.])")
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class LabelRanges:
    """A set of labels, written as numbers and ranges (both ends included) with commas between them.

    Raises DataError where the text is something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.ranges = [self._range(part) for part in text.split(",")]

    def _range(self, part: str) -> tuple[int, int]:
        match = RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise DataError(
                f"{part.strip()!r} is no label and no range of labels",
                where=f"labels {self.text!r}",
                mend='write labels and ranges with commas between them, such as "0-7,9"',
            )
        return first, last

    def contains(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the labels are in the set."""
        chosen = np.zeros(labels.shape, np.bool_)
        for first, last in self.ranges:
            chosen |= (labels >= first) & (labels <= last)
        return chosen

    def mask(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the labels are in the set; raises DataError where none is."""
        chosen = self.contains(labels)
        if not chosen.any():
            raise DataError(f"no image has one of the labels {self.text!r}: {_span(labels)}", mend="name other labels")
        return chosen


def numbered(texts: Sequence[str]) -> tuple[list[int], dict[int, str]]:
    """A label for each text, and what labels stand for: texts that are all whole numbers are these, and no names.

    Otherwise different texts are the labels 0, 1, ... in the order of the alphabet.
    """
    different = set(texts)
    if all(WHOLE_NUMBER.fullmatch(text) for text in different):
        values = {text: int(text) for text in different}
        return [values[text] for text in texts], {}
    names = dict(enumerate(sorted(different)))
    places = {text: label for label, text in names.items()}
    return [places[text] for text in texts], names


def _span(labels: npt.NDArray[np.int64]) -> str:
    """Which labels there are, in words."""
    if not len(labels):
        return "there are none"
    first, last = int(labels.min()), int(labels.max())
    return f"all are {first}" if first == last else f"those that are there lie in {first} to {last}"
