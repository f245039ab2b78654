"""Contact sheets of what a net got wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netforge.data.sheets.results import Answer, confused, furthest_first, worst
from netforge.data.sheets.sheet import PLAIN, Row, Style, Tile, draw_sheet
from netforge.data.source import Source
from netforge.errors import DataError, counted

if TYPE_CHECKING:
    from PIL.Image import Image


def wrong_sheet(source: Source, answers: Sequence[Answer], *, per_class: int, style: Style = PLAIN) -> Image:
    """A row for each class with the images that were taken for others, those furthest from their class first.

    Raises DataError where no answer is wrong.
    """
    by_class: dict[int, list[Answer]] = {}
    for answer in furthest_first(one for one in answers if not one.right):
        by_class.setdefault(answer.label, []).append(answer)
    rows = [
        Row(tiles_of(source, found[:per_class]), found[0].name, f"{len(found):,} wrong")
        for _, found in sorted(by_class.items())
    ]
    return _sheet(source, rows, answers, f"{source.name}: what was wrong", style)


def confused_sheet(
    source: Source, answers: Sequence[Answer], pairs: int, *, per_class: int, style: Style = PLAIN
) -> Image:
    """A row for each of the `pairs` most frequent confusions of one class with another; otherwise as `wrong_sheet`."""
    rows = [
        Row(tiles_of(source, found[:per_class]), f"{name} -> {answered}", counted(len(found), "image"))
        for (name, answered), found in confused(answers, pairs)
    ]
    return _sheet(source, rows, answers, f"{source.name}: most often confused", style)


def worst_sheet(source: Source, answers: Sequence[Answer], most: int, *, columns: int, style: Style = PLAIN) -> Image:
    """The images furthest from their own class, right or wrong, `columns` of them in a row, the furthest first."""
    tiles = tiles_of(source, worst(answers, most))
    rows = [Row(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return _sheet(source, rows, answers, f"{source.name}: furthest from their own class", style)


def tiles_of(source: Source, answers: Sequence[Answer]) -> list[Tile]:
    """Images with "true -> answered", the distance to the answer and to the own class, and the id."""
    ids = source.ids(np.array([answer.image for answer in answers], np.int64)).tolist()
    return [Tile(a.image, (_words(a), _distances(a), f"#{i}"), not a.right) for a, i in zip(answers, ids, strict=True)]


def _words(answer: Answer) -> str:
    return answer.name if answer.right else f"{answer.name} -> {answer.answered}"


def _distances(answer: Answer) -> str:
    near = f"{answer.distance:.3g}"
    return near if answer.right or answer.own_distance is None else f"{near}, own {answer.own_distance:.3g}"


def _sheet(
    source: Source,
    rows: list[Row],
    answers: Sequence[Answer],
    heading: str,
    style: Style,
) -> Image:
    if not rows:
        raise DataError("there is nothing to show: all answers are right", where=source.name)
    right = sum(answer.right for answer in answers)
    remark = f"{right:,} of {counted(len(answers), 'answer')} right ({right / len(answers):.2%})"
    remark += "; below an image: the distance to the answer, to its own class, and its id"
    return draw_sheet(source, rows, remark, heading=heading, style=style)
