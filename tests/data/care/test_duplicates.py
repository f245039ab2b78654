"""Duplicates: every pair within the threshold is found, grouped and ordered."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from netforge.data import ArraySource, open_source
from netforge.data.care import duplicates
from netforge.data.care.duplicates import find_duplicates, thumbnails
from netforge.data.sheets.duplicates import _tiles, duplicate_sheet
from netforge.data.sources.image_set import ImageSet


def source_of(pixels: np.ndarray, labels: list[int] | None = None, name: str = "x") -> ArraySource:
    return ArraySource(name, pixels, np.zeros(len(pixels)) if labels is None else labels)


def noise(count: int, shape: tuple[int, int, int] = (1, 5, 4), seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def test_the_same_pixels_are_grouped_and_different_labels_come_first() -> None:
    pixels = noise(9)
    pixels[[4, 7]] = pixels[1]
    pixels[8] = pixels[0]
    found = find_duplicates(source_of(pixels, [0, 1, 2, 3, 1, 5, 6, 1, 9]))
    assert [(group.images, group.labels, group.same, group.conflicting) for group in found] == [
        ((0, 8), (0, 9), True, True),
        ((1, 4, 7), (1, 1, 1), True, False),
    ]


@pytest.mark.parametrize("at_once", [7, 1 << 22])
@pytest.mark.parametrize("kind", ["clusters", "line", "blank", "floats"])
def test_near_ones_are_those_of_all_pairs(kind: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a look at every pair, whatever the images are spread like, and however they are cut into parts."""
    monkeypatch.setattr(duplicates, "MOST_AT_ONCE", at_once)
    monkeypatch.setattr(duplicates, "COMPARED", 16)
    rng = np.random.default_rng(2)
    if kind == "line":
        pixels = np.clip(np.arange(90)[:, None, None, None] * 2.7 + rng.normal(0, 1, (90, 2, 3, 3)), 0, 255)
    elif kind == "blank":
        pixels = np.zeros((90, 1, 3, 3))
        pixels[:20, 0, 0, 0] = np.arange(20) * 9
    else:
        pixels = np.clip(noise(15)[np.arange(90) % 15] + rng.normal(0, 3, (90, 1, 5, 4)), 0, 255)
    source = source_of((pixels / 10 - 5).astype(np.float32) if kind == "floats" else pixels.astype(np.uint8))
    near = 4.0
    small = thumbnails(source, np.arange(90)).astype(float)
    parent = list(range(90))
    for a, b in combinations(range(90), 2):
        if np.sqrt(((small[a] - small[b]) ** 2).mean()) <= near:
            old, new = parent[b], parent[a]
            parent = [new if root == old else root for root in parent]
    expected = {tuple(k for k in range(90) if parent[k] == root) for root in parent}
    seen: list[int] = []
    found = find_duplicates(source, near=near, progress=seen.append)
    assert {group.images for group in found} == {group for group in expected if len(group) > 1}
    assert all(group.apart <= near for group in found) and len(found) > (kind == "clusters")
    assert sum(seen) <= 90


def test_thumbnails_are_means() -> None:
    pixels = noise(3, (2, 40, 17))
    small = thumbnails(source_of(pixels), np.array([0, 2])).reshape(2, 2, 14, 9)
    assert small[1, 1, 0, 0] == round(pixels[2, 1, :3, :2].mean()) and small[0, 0, -1, -1] == pixels[0, 0, 39, 16]


def test_images_of_two_sources() -> None:
    test, train = noise(6), noise(8, seed=2)
    train[5], train[6] = test[2], test[2]
    train[1] = train[0]
    test[5] = test[4]
    both = ImageSet([source_of(test, [3] * 6, "test"), source_of(train, [3] * 7 + [4], "train")])
    (group,) = find_duplicates(both, split=6)
    assert group.images == (2, 11, 12) and not group.conflicting
    assert len(find_duplicates(both)) == 3


def test_nothing_is_twice_in_the_digits() -> None:
    assert find_duplicates(open_source(None, "digits.testing")) == []


def test_the_sheet_shows_each_group_with_every_label() -> None:
    pixels = np.arange(0, 200, 20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    pixels[2:8] = pixels[2]
    images = ImageSet([source_of(pixels, [0, 1, 2, 2, 2, 2, 2, 9, 3, 4])])
    found = find_duplicates(images)
    sheet = duplicate_sheet(images, found, per_row=2)
    assert isinstance(sheet, Image.Image)
    assert (np.asarray(sheet)[70, :, 0] == 40).sum() == 2 * 84
    assert [tile.caption for tile in _tiles(images, found[0], 2)] == [("2", "#2"), ("9", "#7")]
