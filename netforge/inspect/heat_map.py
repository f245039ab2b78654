"""Tables of values as cells of colour: confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netforge.inspect.charts import Numbers, svg_of
from netforge.inspect.page import Html, element
from netforge.inspect.palette import hue
from netforge.metric.arrays import Floats

MOST_CELLS = 20_000
FILL_FLOOR = 0.06  # a cell that holds anything at all can be seen
LETTER, LONGEST = 8, 18  # pixels that a letter takes; letters of a name that are shown
WITH_NAMES, WITH_VALUES = 12, 28  # pixels of a cell that has a name beside it, or its value inside


def heat_map(
    values: Sequence[Numbers],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str,
    row_word: str,
    column_word: str,
    marked: Callable[[int, int], bool],
) -> Html:
    """A table of counts as cells, the stronger the larger the count's share of the largest of its row.

    Cells where `marked(row, column)` holds are drawn in the first hue and all others in the second: right answers and
    wrong ones of a confusion matrix. Counts are written where there is room (at most 27 columns), and told to the
    pointer. Beyond 20,000 cells that are not zero the smallest are left out.
    """
    grid = _Grid(rows, columns, max(3.0, min(40.0, 760 / max(len(rows), len(columns), 1))))
    left, top, across, down = grid.left, grid.top, grid.cell * len(columns), grid.cell * len(rows)
    place = f"translate(14 {top + down / 2:.0f}) rotate(-90)"
    drawing = [
        element("text", column_word, x=f"{left + across / 2:.0f}", y=15, text_anchor="middle"),
        element("text", row_word, transform=place, text_anchor="middle"),
        element("rect", x=left, y=top, width=f"{across:.1f}", height=f"{down:.1f}", class_="grid"),
        *grid.names(),
        *grid.cells(np.asarray(values, dtype=float).reshape(len(rows), len(columns)), marked),
    ]
    width = left + across + 4
    svg = svg_of(drawing, round(width), round(top + down + 4), label)
    style = f"max-width:{width:.0f}px;min-width:{min(width, 300):.0f}px"
    return element("div", element("div", svg, style=style), class_="scroll")


@dataclass(frozen=True)
class _Grid:
    """Where cells of `cell` pixels and the names of rows and columns stand."""

    rows: Sequence[str]
    columns: Sequence[str]
    cell: float

    @property
    def named(self) -> bool:
        """Whether there is room for names."""
        return self.cell >= WITH_NAMES

    @property
    def upright(self) -> bool:
        """Whether the names of columns can be written level."""
        return max((len(name) for name in self.columns), default=0) * LETTER <= self.cell

    @property
    def left(self) -> float:
        """x of the first column."""
        return 30 + (_room(self.rows) if self.named else 0)

    @property
    def top(self) -> float:
        """y of the first row."""
        return 26 + ((20 if self.upright else _room(self.columns)) if self.named else 0)

    def names(self) -> Iterator[Html]:
        """The names of rows and columns, as far as there is room."""
        left, top, upright = self.left, self.top, self.upright
        for i, name in enumerate(self.rows if self.named else ()):
            where: dict[str, object] = {"x": left - 7, "y": f"{top + (i + 0.5) * self.cell + 4.5:.1f}"}
            yield element("text", _short(name), **where, text_anchor="end", class_="strong", data_tip=name)
        for j, name in enumerate(self.columns if self.named else ()):
            x = left + (j + 0.5) * self.cell
            if upright:
                where = {"x": f"{x:.1f}", "y": top - 7, "text_anchor": "middle"}
            else:
                where = {"transform": f"translate({x + 4:.1f} {top - 6}) rotate(-90)"}
            yield element("text", _short(name), **where, class_="strong", data_tip=name)

    def cells(self, table: Floats, marked: Callable[[int, int], bool]) -> Iterator[Html]:
        """The cells that are not zero, with their counts."""
        filled = np.argwhere(table > 0)
        if len(filled) > MOST_CELLS:
            filled = filled[np.argsort(-table[tuple(filled.T)], kind="stable")[:MOST_CELLS]]
        largest, left, top, side = table.max(axis=1, initial=0), self.left, self.top, f"{self.cell - 1:.1f}"
        for i, j in filled.tolist():
            strength = FILL_FLOOR + (1 - FILL_FLOOR) * math.sqrt(table[i, j] / largest[i])
            x, y, count = left + j * self.cell, top + i * self.cell, f"{table[i, j]:,.0f}"
            fill = {"fill": hue(0 if marked(i, j) else 1), "fill_opacity": f"{strength:.2f}"}
            words = {"data_cell": f"{i},{j}", "data_tip": f"{self.rows[i]} → {self.columns[j]}\n{count}"}
            yield element("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=side, height=side, **fill, **words)
            if self.cell >= WITH_VALUES:
                spot = {"x": f"{x + self.cell / 2:.1f}", "y": f"{y + self.cell / 2 + 4.5:.1f}"}
                yield element("text", count, **spot, text_anchor="middle", class_="strong", pointer_events="none")


def _room(names: Sequence[str]) -> float:
    """Pixels that the longest of some names takes."""
    return min(max((len(name) for name in names), default=0), LONGEST) * LETTER


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[:8] + "…" + name[-9:]
