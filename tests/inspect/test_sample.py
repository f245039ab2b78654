"""Images to look at, read block by block."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data import ArraySource
from netforge.inspect.embedding_page import thumbnails
from netforge.inspect.sample import read_blocks


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_blocks_hold_every_image_once_in_the_order_wanted(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(9, dtype=np.uint8).repeat(4).reshape(9, 1, 2, 2)
    source = ArraySource("nine", pixels, np.arange(9) % 4)
    monkeypatch.setattr(ArraySource, "images_per_block", 3)
    numbers = np.arange(count)[::-1]
    blocks = list(read_blocks(source, numbers))
    assert max(len(images) for images, _ in blocks) <= 3
    np.testing.assert_array_equal(np.concatenate([images for images, _ in blocks]), pixels[numbers])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in blocks]), numbers % 4)


def test_thumbnails_do_not_load_all_images_together(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ArraySource("many", np.zeros((50, 1, 8, 8), np.uint8), np.zeros(50, np.int64))
    monkeypatch.setattr(ArraySource, "images_per_block", 7)
    sizes, read = [], ArraySource.read
    monkeypatch.setattr(ArraySource, "read", lambda self, numbers: sizes.append(len(numbers)) or read(self, numbers))  # type: ignore[func-returns-value]
    _, place = thumbnails(source, np.arange(50))
    assert sum(sizes) == 50 and max(sizes) <= 7
    assert place["columns"] * -(-50 // place["columns"]) >= 50
