"""Drawings of boxes, text and curves, which `canvas_svg` writes as text and `canvas_png` as a picture of pixels.

A `Drawing` is a list of shapes in units of one pixel at scale 1, y downward. Colours are names; what they mean in light
and in dark surroundings stands in the drawing's `paints`. Text is measured once, by the font that Pillow ships.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

Point = tuple[float, float]
Paint = tuple[str, str]  # "#rrggbb" in light and in dark surroundings

BOLDER = 1.07  # the width of bold text by that of regular text
DASH = (5.0, 4.0)  # units drawn, units left out
ARROW = (7.0, 3.2)  # length and half width of a head


@dataclass(frozen=True)
class Box:
    """A rectangle with round corners. fill, line: names of colours, None for none."""

    x: float
    y: float
    width: float
    height: float
    fill: str | None = None
    line: str | None = None
    stroke: float = 1.2
    radius: float = 5.0


@dataclass(frozen=True)
class Text:
    """One line of text. x, y: of its anchor ("start", "middle" or "end") on the baseline. size: of the font."""

    x: float
    y: float
    text: str
    size: float
    ink: str
    bold: bool = False
    anchor: str = "start"

    @property
    def left(self) -> float:
        """x of its left end."""
        return self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * text_width(
            self.text, self.size, bold=self.bold
        )


@dataclass(frozen=True)
class Curve:
    """A line of cubic pieces. points: the start, then for each piece two control points and its end.

    arrow: a head at the end, whose tip is the last point.
    """

    points: tuple[Point, ...]
    ink: str
    stroke: float = 1.4
    dashed: bool = False
    arrow: bool = False


@dataclass(frozen=True)
class Group:
    """Shapes that belong together. key: `data-key` of the SVG's group. title: what viewers show under the pointer."""

    key: str
    title: str
    shapes: tuple[Shape, ...]


Shape = Box | Text | Curve | Group


@dataclass(frozen=True)
class Drawing:
    """Shapes on paper. width, height: in units. title: what a screen reader says of it.

    paints: the colours by name; "paper" is the ground.
    """

    width: float
    height: float
    title: str
    shapes: tuple[Shape, ...]
    paints: Mapping[str, Paint]


def straight(*corners: Point) -> tuple[Point, ...]:
    """The points of a `Curve` of straight pieces through `corners`."""
    points = [corners[0]]
    for start, end in pairwise(corners):
        points += [between(start, end, 1 / 3), between(start, end, 2 / 3), end]
    return tuple(points)


@lru_cache(maxsize=65536)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of one line of text in units, as SVG and pictures show it."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text) if not text.isascii() else 0
    width = float(font(100).getlength(text)) * size / 100 + wide * size / 2
    return width * BOLDER if bold else width


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """The text; where it is wider than `width`, its beginning and end with dots in between."""
    if text_width(text, size, bold=bold) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        shorter = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(shorter, size, bold=bold) <= width:
            return shorter
    return "…"


@lru_cache(maxsize=64)
def font(size: int) -> Any:
    """The font that Pillow ships, in a size in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def flat(shapes: tuple[Shape, ...]) -> Iterator[Box | Text | Curve]:
    """All simple shapes, those in groups too."""
    for shape in shapes:
        if isinstance(shape, Group):
            yield from flat(shape.shapes)
        else:
            yield shape


def with_head(curve: Curve) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """The points of the line, which ends where its head begins, and the corners of the head; () without one."""
    if not curve.arrow:
        return curve.points, ()
    (x, y), before = curve.points[-1], next((p for p in curve.points[-2::-1] if p != curve.points[-1]), None)
    if before is None:
        return curve.points, ()
    long, half = ARROW
    dx, dy = x - before[0], y - before[1]
    dx, dy = dx / math.hypot(dx, dy), dy / math.hypot(dx, dy)
    back = (x - dx * long, y - dy * long)
    corners = (x, y), (back[0] - dy * half, back[1] + dx * half), (back[0] + dy * half, back[1] - dx * half)
    return (*curve.points[:-1], back), corners


def between(start: Point, end: Point, share: float) -> Point:
    """The point `share` (0 to 1) of the way between two."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
