"""Sources that need no import: they are made the first time they are asked for.

`digits.training` and `digits.testing` are the 1,797 handwritten digits, 8 x 8 pixels, that come with scikit-learn
(from the UCI set "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998). About 28 % of each class are
testing images; which ones is fixed for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netforge.data.sampling import permutation, random_words
from netforge.device.random import RandomStream

if TYPE_CHECKING:
    from netforge.data.database import ImageDatabase

TRAINING, TESTING = "digits.training", "digits.testing"
BUILTIN_NAMES = (TRAINING, TESTING)
BUILTIN_COUNTS = {TRAINING: 1297, TESTING: 500}
DIGITS_SHAPE = (1, 8, 8)
DIGIT_NAMES = {digit: str(digit) for digit in range(10)}


def make_digits(database: ImageDatabase) -> None:
    """Put both sources into the database, unless another process has done so meanwhile."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    grey = loaded.images.astype(np.uint16)  # 0 .. 16
    images = ((grey * 255 + 8) // 16).astype(np.uint8)[:, None]
    labels = loaded.target.astype(np.int64)
    testing = testing_rows(labels)
    with database.write() as writer:
        if writer.has(TRAINING) and writer.has(TESTING):
            return
        mean = writer.add(TRAINING, [images[~testing]], labels[~testing], class_names=DIGIT_NAMES, replace=True)
        writer.add(TESTING, [images[testing]], labels[testing], class_names=DIGIT_NAMES, replace=True)
        writer.set_mean(TRAINING, mean)
        writer.set_mean(TESTING, mean)


def testing_rows(labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which images are testing ones: of each class 500/1797, rounded, drawn from a fixed stream."""
    chosen = np.zeros(len(labels), np.bool_)
    stream = RandomStream(0, "digits")
    total = BUILTIN_COUNTS[TRAINING] + BUILTIN_COUNTS[TESTING]
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        count = round(len(rows) * BUILTIN_COUNTS[TESTING] / total)
        chosen[rows[permutation(random_words(stream, digit, len(rows)))[:count]]] = True
    return chosen
