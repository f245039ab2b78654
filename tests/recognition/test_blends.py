"""Images that lie half way between two classes."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data.source import ArraySource
from netforge.errors import DataError
from netforge.recognition import Blends


def test_blends_are_means_of_two_classes() -> None:
    numbers = np.arange(9, dtype=np.uint8)
    images = ArraySource("a", np.broadcast_to(numbers[:, None, None, None], (9, 1, 2, 2)), numbers % 3)
    blends = Blends(images, 25, seed=2)
    assert blends.count == 25 and blends.shape == (1, 2, 2) and (blends.labels == -1).all()
    pixels, labels = blends.read(np.arange(25))
    assert pixels.dtype == np.uint8 and (labels == -1).all()
    first, second = blends._first, blends._second
    assert (images.labels[first] != images.labels[second]).all()
    assert pixels[:, 0, 0, 0].tolist() == ((first + second) // 2).tolist()
    assert set(first[:9].tolist()) == set(range(9))  # every image in turn
    with pytest.raises(DataError, match="of one class"):
        Blends(ArraySource("b", np.zeros((3, 1, 2, 2), np.uint8), [1, 1, 1]), 2)
    with pytest.raises(DataError, match="28 blends are asked for, and its images make 27 different ones"):
        Blends(images, 28)
