"""Drawings as pictures of pixels, through Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from netforge.data.sheets.lettering import Lettering
from netforge.errors import DataError
from netforge.inspect.canvas import (
    ARROW,
    DASH,
    Box,
    Curve,
    Drawing,
    Point,
    Text,
    between,
    flat,
    text_width,
    with_head,
)

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

OVERSAMPLED = 2  # a picture is drawn so many times larger and then reduced: that smoothes edges
BAND = 1024  # rows of a picture that are drawn at once
MOST_PIXELS = 120_000_000
STEPS = 12  # straight pieces that a curved one is drawn as


def to_image(drawing: Drawing, *, scale: float = 2.0, dark: bool = False) -> Image:
    """The drawing as an RGB picture of `scale` pixels a unit.

    Raises DataError where it would have more than 120 million pixels.
    """
    from PIL import Image, ImageDraw

    width, height = (max(1, math.ceil(side * scale)) for side in (drawing.width, drawing.height))
    if width * height > MOST_PIXELS:
        raise DataError(
            f"the picture would have {width:,} x {height:,} pixels",
            mend=f"use a scale below {math.sqrt(MOST_PIXELS / (drawing.width * drawing.height)):.2g}, or write SVG",
        )
    colours = {name: paint[dark] for name, paint in drawing.paints.items()}
    picture = Image.new("RGB", (width, height), colours["paper"])
    parts = [(part, _rows(part)) for part in flat(drawing.shapes)]
    for top in range(0, height, BAND):
        rows = min(BAND, height - top)
        band = Image.new("RGB", (width * OVERSAMPLED, rows * OVERSAMPLED), colours["paper"])
        pen = _Pen(ImageDraw.Draw(band), scale * OVERSAMPLED, top * OVERSAMPLED, colours)
        for part, (first, last) in parts:
            if last * scale >= top and first * scale <= top + rows:
                pen.draw(part)
        picture.paste(band.reduce(OVERSAMPLED), (0, top))
    return picture


class _Pen:
    """Draws shapes on a band of a picture that begins at pixel row `top`; `scale`: pixels a unit."""

    def __init__(self, draw: ImageDraw, scale: float, top: int, colours: Mapping[str, str]) -> None:
        self.target, self.scale, self.top, self.colours = draw, scale, top, colours

    def draw(self, shape: Box | Text | Curve) -> None:
        """Draw one shape."""
        if isinstance(shape, Box):
            self._box(shape)
        elif isinstance(shape, Text):
            self._text(shape)
        else:
            points, head = with_head(shape)
            self._line(_flattened(points), shape.ink, shape.stroke, shape.dashed)
            if head:
                self.target.polygon([self._at(point) for point in head], fill=self.colours[shape.ink])

    def _text(self, text: Text) -> None:
        """Smaller than it is meant where its letters come from a wider font than that which the layout reckons with."""
        size, room = text.size * self.scale, text_width(text.text, text.size) * self.scale
        share = min(1.0, room / max(1.0, Lettering(max(1, round(size))).getlength(text.text)))
        letters = Lettering(max(1, round(size * share)))
        bold = round(size / 40) if text.bold else 0
        place = self._at((text.left + bold / self.scale, text.y))
        letters.write(self.target, place, text.text, self.colours[text.ink], anchor="ls", bold=bold)

    def _box(self, box: Box) -> None:
        (left, top), (right, bottom) = self._at((box.x, box.y)), self._at((box.x + box.width, box.y + box.height))
        fill = self.colours[box.fill] if box.fill else None
        self.target.rounded_rectangle(
            (round(left), round(top), round(right) - 1, round(bottom) - 1),
            radius=box.radius * self.scale,
            fill=fill,
            outline=self.colours[box.line] if box.line else None,
            width=max(1, round(box.stroke * self.scale)) if box.line else 0,
        )

    def _line(self, points: list[Point], ink: str, stroke: float, dashed: bool) -> None:
        width = max(1, round(stroke * self.scale))
        for piece in _dashes(points) if dashed else [points]:
            corners = [(round(x), round(y)) for x, y in map(self._at, piece)]  # else a line's width would vary
            self.target.line(corners, fill=self.colours[ink], width=width, joint="curve")

    def _at(self, point: Point) -> Point:
        return point[0] * self.scale, point[1] * self.scale - self.top


def _rows(shape: Box | Text | Curve) -> tuple[float, float]:
    """y of the upper and of the lower end, with room for strokes."""
    if isinstance(shape, Box):
        return shape.y - 2, shape.y + shape.height + 2
    if isinstance(shape, Text):
        return shape.y - 1.5 * shape.size, shape.y + shape.size
    heights = [y for _, y in shape.points]
    return min(heights) - ARROW[0], max(heights) + ARROW[0]


def _flattened(points: tuple[Point, ...]) -> list[Point]:
    """Cubic pieces as short straight ones."""
    line = [points[0]]
    for i in range(0, len(points) - 3, 3):
        a, b, c, d = points[i : i + 4]
        if len({x for x, _ in (a, b, c, d)}) == 1 or len({y for _, y in (a, b, c, d)}) == 1:
            line.append(d)
            continue
        for step in range(1, STEPS + 1):
            t = step / STEPS
            weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            line.append(
                (
                    sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)),
                    sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)),
                )
            )
    return line


def _dashes(points: list[Point]) -> Iterator[list[Point]]:
    """The pieces of a line that a dashed pen draws."""
    drawn, left, piece = True, DASH[0], [points[0]]
    for start, end in pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            corner = between(start, end, done / length)
            if drawn:
                yield [*piece, corner]
            drawn, piece = not drawn, [corner]
            left = DASH[0] if drawn else DASH[1]
        left -= length - done
        piece.append(end)
    if drawn and len(piece) > 1:
        yield piece
