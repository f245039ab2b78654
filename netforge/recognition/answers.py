"""What a recognizer knows, and what it says of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.metric import UNKNOWN
from netforge.metric.arrays import Flags, Floats, Integers

UNKNOWN_NAME = "unknown"
"""What images of no known class are called."""


@dataclass(frozen=True)
class KnownClass:
    """A class that can be recognised. label: its number in training; None for an enrolled one."""

    name: str
    label: int | None


@dataclass(frozen=True)
class Answers:
    """What a recognizer says of n images.

    distances: (n, L) to every known class. first: (n,) the number of the nearest class. distance: (n,) to it.
    second: (n,) the number of the next class, and margin: (n,) how much further it is; -1 and infinity where only one
    class is known. accepted: (n,) whether the distance is within the threshold; all True without one.
    """

    distances: Floats
    first: Integers
    distance: Floats
    second: Integers
    margin: Floats
    accepted: Flags

    def labels(self, class_labels: npt.ArrayLike) -> Integers:
        """The label of each answer, (n,), UNKNOWN (-1) where it is not accepted; class_labels: (L,) of the classes."""
        labels: Integers = np.where(self.accepted, np.asarray(class_labels, np.int64)[self.first], UNKNOWN)
        return labels
