"""Quarter turns as classes: which image stands where, its label, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data.batches.turns import QuarterTurns
from netforge.data.source import ArraySource
from netforge.errors import DataError
from tests.data.helpers import array_source


def source(labels: list[int], channels: int = 1, **options) -> ArraySource:
    pixels = np.random.default_rng(2).integers(0, 256, (len(labels), channels, 4, 4), np.uint8)
    return ArraySource("small", pixels, labels, mean=pixels.mean(0).astype(np.float32), **options)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 3), st.data())
def test_turned_images_follow_the_upright_ones(labels: list[int], channels: int, data: st.DataObject) -> None:
    upright = source(labels, channels)
    turned, count, span = QuarterTurns(upright), len(labels), max(labels) + 1
    assert turned.count == 4 * count and turned.shape == upright.shape
    wanted = data.draw(st.lists(st.integers(0, 4 * count - 1), min_size=1, max_size=9))
    pixels, found = turned.read(np.array(wanted))
    for image, label, number in zip(pixels, found, wanted, strict=True):
        turn, own = divmod(number, count)
        assert label == labels[own] + turn * span == turned.labels[number]
        for channel, before in zip(image, upright.images[own], strict=True):
            for y in range(4):
                for x in range(4):
                    # One quarter to the left brings the right column to the top.
                    before_y, before_x = [(y, x), (x, 3 - y), (3 - y, 3 - x), (3 - x, y)][turn]
                    assert channel[y, x] == before[before_y, before_x]
    np.testing.assert_allclose(turned.mean, turned.images[:].mean(0), rtol=1e-5)


def test_names_and_groups() -> None:
    turned = QuarterTurns(source([0, 1, 1], class_names={0: "aleph", 1: "beth"}, groups=[7, 8, 9]))
    assert turned.class_name(1) == "beth" and turned.class_name(2) == "aleph turned 90"
    assert turned.class_name(7) == "beth turned 270" and len(turned.class_names) == 8
    assert turned.groups is not None and turned.groups.tolist() == [7, 8, 9] * 4
    assert QuarterTurns(source([0, 1])).groups is None


def test_turned_images_are_told_from_upright_ones() -> None:
    upright = source([0, 1])
    assert QuarterTurns(upright).identity == QuarterTurns(upright).identity != upright.identity
    assert QuarterTurns(source([0, 1])).identity != QuarterTurns(upright).identity


def test_images_must_be_square() -> None:
    with pytest.raises(DataError, match='quarter turns need square images, but those of "test" have 5 x 6 pixels'):
        QuarterTurns(array_source())


def test_labels_must_not_be_negative() -> None:
    with pytest.raises(DataError, match='quarter turns need labels from 0 on, but "small" has a label -1'):
        QuarterTurns(source([0, -1, 2]))
