"""Choosing images from sources."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data.source import ArraySource
from netforge.data.sources.image_set import ImageSet, choose_images
from netforge.errors import DataError


def source(name: str, first: int, count: int, **options: object) -> ArraySource:
    """Images whose pixels and labels follow from their numbers, so that each can be told."""
    numbers = np.arange(first, first + count)
    pixels = np.broadcast_to(numbers[:, None, None, None], (count, 1, 2, 2)).astype(np.uint8)
    return ArraySource(name, pixels, numbers % 3, **options)  # type: ignore[arg-type]


def numbers(images: ImageSet) -> list[int]:
    pixels, labels = images.read(np.arange(images.count))
    assert labels.tolist() == images.labels.tolist() == (pixels[:, 0, 0, 0] % 3).tolist()
    return pixels[:, 0, 0, 0].tolist()


def test_images_of_several_sources_are_numbered_through() -> None:
    images = ImageSet([source("a", 0, 5), source("b", 10, 4, class_names={1: "one"})])
    assert numbers(images) == [0, 1, 2, 3, 4, 10, 11, 12, 13]
    assert images.name == "a + b" and images.class_name(1) == "one" and images.class_name(2) == "2"
    chosen = images[np.array([7, 0, 5, 4])]
    assert numbers(chosen) == [12, 0, 10, 4]
    assert [chosen.origin(i) for i in range(4)] == [("b", 2), ("a", 0), ("b", 0), ("a", 4)]
    assert numbers(chosen[np.array([False, True, True, False])]) == [0, 10]


def test_runs_are_of_one_source() -> None:
    images = ImageSet([source("a", 0, 5), source("b", 10, 4), source("c", 20, 1)])[np.array([0, 1, 2, 4, 5, 8, 9])]
    assert [run.tolist() for run in images.block_numbers(3)] == [[0, 1, 2], [3], [4, 5], [6]]


def test_groups_come_along_where_all_sources_have_them() -> None:
    grouped = source("a", 0, 3, groups=[7, 8, 9])
    images = ImageSet([grouped, source("b", 3, 2, groups=[5, 6])], np.array([4, 1]))
    assert images.groups is not None and images.groups.tolist() == [6, 8]
    assert ImageSet([grouped, source("b", 3, 2)]).groups is None


def test_labels_counts_and_exclusion() -> None:
    sources = [source("a", 0, 9)]
    assert numbers(choose_images(sources, labels="0,2")) == [0, 2, 3, 5, 6, 8]
    assert numbers(choose_images(sources, exclude=[source("b", 4, 2), source("c", 0, 1)])) == [1, 2, 3, 6, 7, 8]
    drawn = [numbers(choose_images(sources, count=4, seed=seed)) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] == sorted(set(drawn[0])) and len(drawn[0]) == 4
    assert len({tuple(d) for d in drawn}) > 1
    with pytest.raises(DataError, match="10 images are asked for, 9 are there"):
        choose_images(sources, count=10)
    with pytest.raises(DataError, match="no image has one of the labels '5'"):
        choose_images(sources, labels="5")
    with pytest.raises(DataError, match="all images are excluded"):
        choose_images(sources, exclude=sources)
    with pytest.raises(DataError, match='those of "a"'):
        ImageSet([source("a", 0, 2), ArraySource("b", np.zeros((1, 1, 3, 3), np.uint8), [0])])
