"""Sources that need no import: they are made the first time they are asked for.

`digits.training` and `digits.testing` are the 1,797 handwritten digits, 8 x 8 pixels, that come with scikit-learn
(from the UCI set "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak 1998). About 28 % of each class are
testing images; which ones is fixed for ever.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import permutation, random_words
from netforge.device.random import RandomStream

if TYPE_CHECKING:
    from netforge.data.store.database import ImageDatabase

TRAINING, TESTING = "digits.training", "digits.testing"
BUILTIN_NAMES = (TRAINING, TESTING)
BUILTIN_COUNTS = {TRAINING: 1297, TESTING: 500}
DIGITS_SHAPE = (1, 8, 8)
DIGIT_NAMES = {digit: str(digit) for digit in range(10)}


def make_builtin(database: ImageDatabase, name: str) -> None:
    """Put the source of that name into the database, if it is built in and not there yet."""
    if name in BUILTIN_NAMES and name not in database:
        make_digits(database)


def make_digits(database: ImageDatabase) -> None:
    """Put the sources that are missing into the database; another process may have done so meanwhile."""
    table = read_digits()
    grey = table[:, :-1].astype(np.uint16).reshape(-1, *DIGITS_SHAPE)  # 0 .. 16
    images = ((grey * 255 + 8) // 16).astype(np.uint8)
    labels = table[:, -1].astype(np.int64)
    testing = testing_rows(labels)
    with database.write() as writer:
        for name, chosen in ((TRAINING, ~testing), (TESTING, testing)):
            if not writer.has(name):  # the other one, removed alone, must not take edits of this one with it
                writer.add(name, [images[chosen]], labels[chosen], class_names=DIGIT_NAMES)
                writer.set_mean(name, images[~testing].mean(0, dtype=np.float64).astype(np.float32))


def read_digits() -> npt.NDArray[Any]:
    """The digits as scikit-learn has them, (1797, 65): 64 pixels 0 .. 16, and the label.

    The file is read where the package keeps it: to import scikit-learn, with SciPy, takes seconds. Where a version
    keeps it elsewhere, the package is asked.
    """
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return np.column_stack([loaded.data, loaded.target])


def testing_rows(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which images are testing ones, (n,): of each class 500/1797, rounded, drawn from a fixed stream."""
    chosen = np.zeros(len(labels), np.bool_)
    stream = RandomStream(0, "digits")
    total = BUILTIN_COUNTS[TRAINING] + BUILTIN_COUNTS[TESTING]
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        count = round(len(rows) * BUILTIN_COUNTS[TESTING] / total)
        chosen[rows[permutation(random_words(stream, digit, len(rows)))[:count]]] = True
    return chosen
