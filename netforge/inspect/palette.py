"""The colours of everything that is drawn: ten hues for classes and series, and shapes for when there are more.

The ten were found by search: any two of them lie at least 0.11 apart in Oklab (Björn Ottosson, 2020), for full colour
vision and for complete protanopia and deuteranopia alike (the matrices of Machado, Oliveira and Fernandes, 2009), and
each stands out from a white and from a nearly black background.
"""

from __future__ import annotations

HUES = (
    "#676bf2",  # indigo
    "#db6b1d",  # orange
    "#276e6f",  # dark teal
    "#eda615",  # amber
    "#73c3f4",  # sky
    "#825405",  # brown
    "#7dc49c",  # mint
    "#4b55ab",  # dark blue
    "#4b9ad1",  # blue
    "#559980",  # sea green
)
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "star")
LIGHT_PAPER, DARK_PAPER = "#ffffff", "#15181d"  # the backgrounds that the hues were chosen for

Rgb = tuple[int, int, int]


def hue(number: int) -> str:
    """The colour of class or series `number` as "#rrggbb"; from ten on the hues repeat."""
    return HUES[number % len(HUES)]


def shape(number: int) -> str:
    """The shape of the points of class `number`: one of SHAPES, the next with every ten classes."""
    return SHAPES[number // len(HUES) % len(SHAPES)]


def rgb(colour: str) -> Rgb:
    """Red, green and blue, 0 to 255, of a colour written "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def blend(low: str, high: str, share: float) -> str:
    """The colour `share` (0 to 1) of the way from `low` to `high`, all of them "#rrggbb"."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(rgb(low), rgb(high), strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"
