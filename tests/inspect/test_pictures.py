"""Arrays as pictures, pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from netforge.errors import DataError
from netforge.inspect import pictures
from netforge.inspect.pictures import (
    GAP_COLOUR,
    NEGATIVE,
    NO_NUMBER,
    POSITIVE,
    ZERO,
    colour,
    diverging,
    grey,
    magnified,
    png_bytes,
    reduced,
    tiled,
    vector_bars,
)


def test_grey_goes_from_the_smallest_to_the_largest_value() -> None:
    np.testing.assert_array_equal(grey(np.array([[-1.0, 0, 1]]))[0, :, 0], [0, 128, 255])
    np.testing.assert_array_equal(grey(np.array([[-9.0, 5, 99]]), 0, 10)[0, :, 1], [0, 128, 255])
    np.testing.assert_array_equal(grey(np.full((1, 2), 7.0))[0, :, 2], [128, 128])
    np.testing.assert_array_equal(grey(np.array([[0, np.nan, 1]]))[0], [[0] * 3, NO_NUMBER, [255] * 3])


def test_colours_keep_their_order() -> None:
    planes = np.array([1.0, 0.5, 0]).reshape(3, 1, 1)
    assert colour(planes)[0, 0].tolist() == [255, 128, 0]
    assert colour(planes, "BGR")[0, 0].tolist() == [0, 128, 255]


def test_heat_maps_are_blue_below_zero_and_red_above() -> None:
    row = diverging(np.array([[-2.0, 0, 2, np.inf]]))[0]
    np.testing.assert_array_equal(row, [NEGATIVE, ZERO, POSITIVE, NO_NUMBER])
    np.testing.assert_array_equal(diverging(np.zeros((1, 1)))[0, 0], ZERO)


def test_tiles_stand_in_rows_with_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = [np.full((2, 3, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = tiled(tiles, columns=2, gap=1)
    assert sheet.shape == (7, 9, 3)
    assert (sheet[1:3, 1:4] == 10).all() and (sheet[1:3, 5:8] == 20).all() and (sheet[4:6, 1:4] == 30).all()
    np.testing.assert_array_equal(sheet[4, 5], GAP_COLOUR)
    with pytest.raises(DataError, match="no picture"):
        tiled([])
    monkeypatch.setattr(pictures, "MOST_PIXELS", 10)
    with pytest.raises(DataError, match=r"9 x 7 pixels.*Show fewer"):
        tiled(tiles, columns=2)


def test_magnified_by_whole_pixels_and_reduced_to_the_strongest() -> None:
    assert magnified(np.zeros((3, 5, 3), np.uint8), 12).shape == (9, 15, 3)
    np.testing.assert_array_equal(reduced(np.array([[1.0, -3, 2, 0], [0, 1, 5, -4]]), 2), [[-3, 2], [1, 5]])
    np.testing.assert_array_equal(reduced(np.array([[1.0, -3, 2, 0, 9]]), 2), [[-3, 9]])


def test_bars_stand_on_zero() -> None:
    bars = vector_bars(np.array([1.0, -0.5, np.nan]), height=31)
    left = [1, 25, 49]
    assert (bars[:20, left[0]] == POSITIVE).all() and (bars[21:, left[0]] == ZERO).all()
    assert (bars[:20, left[1]] == ZERO).all() and (bars[21:, left[1]] == NEGATIVE).all()
    assert (bars[:20, left[2]] == NO_NUMBER).all()
    assert vector_bars(np.zeros(5000)).shape[1] <= 1024


def test_a_png_is_the_same_picture(rng: np.random.Generator) -> None:
    for picture in (rng.integers(0, 256, (4, 5, 3), dtype=np.uint8), np.full((2, 2, 3), 9, np.uint8)):
        held = Image.open(io.BytesIO(png_bytes(picture))).convert("RGB")
        np.testing.assert_array_equal(np.asarray(held), picture)
