"""Channels: what is made of an image drawn by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netforge.data.transforms.colour import Recolour
from netforge.errors import ShapeError

# Two pixels, red, green, blue: 100, 150, 200 and 1, 2, 3.
COLOURS = np.array([[[[100, 1]], [[150, 2]], [[200, 3]]]], np.uint8)
REVERSED = COLOURS[:, ::-1]


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("wanted", [None, "RGB", "BGR"])
@pytest.mark.parametrize("channels", [None, 3])
def test_channels_are_swapped_once_and_only_where_the_order_differs(
    order: str, wanted: str | None, channels: int | None
) -> None:
    stored = COLOURS if order == "RGB" else REVERSED
    given = Recolour(3, channels, order, wanted)
    expected = COLOURS if (wanted or order) == "RGB" else REVERSED
    assert given(stored).tolist() == expected.tolist()
    assert given.given_order == (wanted or order) and given.given == 3


@pytest.mark.parametrize("wanted", [None, "RGB", "BGR"])
def test_alpha_is_left_out_before_channels_are_swapped(wanted: str | None) -> None:
    stored = np.concatenate([REVERSED, np.full((1, 1, 1, 2), 77, np.uint8)], axis=1)
    expected = COLOURS if wanted == "RGB" else REVERSED
    assert Recolour(4, 3, "BGR", wanted)(stored).tolist() == expected.tolist()


@pytest.mark.parametrize("wanted", [None, "RGB", "BGR"])
def test_grey_becomes_three_equal_channels_in_any_order(wanted: str | None) -> None:
    assert Recolour(1, 3, "RGB", wanted)(COLOURS[:, :1]).tolist() == [[[[100, 1]]] * 3]


@pytest.mark.parametrize(("order", "stored"), [("RGB", COLOURS), ("BGR", REVERSED)])
@pytest.mark.parametrize("wanted", [None, "RGB", "BGR"])
def test_colour_becomes_brightness_as_the_stored_order_says(order: str, stored: np.ndarray, wanted: str | None) -> None:
    bright = [0.299 * 100 + 0.587 * 150 + 0.114 * 200, 0.299 * 1 + 0.587 * 2 + 0.114 * 3]
    grey = Recolour(3, 1, order, wanted)
    np.testing.assert_array_equal(grey(stored), np.rint(bright).reshape(1, 1, 1, 2))
    assert grey(stored).dtype == np.uint8
    exact = grey(stored.astype(np.float32))
    np.testing.assert_allclose(exact, np.reshape(bright, (1, 1, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("stored", [1, 2, 4, 5])
def test_nothing_is_done_where_nothing_is_asked_for(stored: int) -> None:
    pixels = np.arange(stored, dtype=np.uint8).reshape(1, stored, 1, 1)
    assert Recolour(stored)(pixels) is pixels
    assert Recolour(stored, wanted="RGB").given == stored


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 3), "images with 2 channels cannot be turned into 3"),
        ((5, 1), "images with 5 channels cannot be turned into 1"),
        ((4, None, "RGB", "BGR"), "color_order BGR needs images with 3 channels, these have 4: RGB and alpha"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Recolour(*arguments)
