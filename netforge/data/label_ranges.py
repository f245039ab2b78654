"""Labels as people write them: "3", "0-7", "0-7,9,20-29"."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

RANGE = re.compile(r"\s*(-?\d{1,18})\s*(?:-\s*(-?\d{1,18})\s*)?(?![\w.])")


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


def _span(labels: npt.NDArray[np.int64]) -> str:
    """Which labels there are, in words."""
    if not len(labels):
        return "there are none"
    first, last = int(labels.min()), int(labels.max())
    return f"all are {first}" if first == last else f"those that are there lie in {first} to {last}"
