"""Which classes are taken for which, as a page: a click on a cell shows its images."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.inspect.embedding_page import thumbnails
from netforge.inspect.heat_map import heat_map
from netforge.inspect.page import Html, asset, card, data_uri, element, json_script, page, scores
from netforge.inspect.pictures import png_bytes
from netforge.metric.arrays import Integers
from netforge.recognition import Outcome

MOST_RIGHT, MOST_WRONG = 12, 60
"""Images of one cell that a page holds: of right answers a few are enough."""

STYLES = """
.sprite { display: none; }
#cell-images { display: flex; flex-wrap: wrap; gap: 10px; }
#cell-images canvas { display: block; border-radius: 4px; max-width: 100%; }
#cell-images figcaption { max-width: 110px; }
rect[data-cell] { cursor: pointer; }
rect.chosen { stroke: var(--ink); stroke-width: 2.5; }
"""
SCRIPT = asset("confusion.js")


def confusion_page(outcome: Outcome, title: str) -> str:
    """A page with the table of classes and answers; the cells of wrong answers hold up to 60 images, others 12."""
    total, right = len(outcome.right), int(outcome.right.sum())
    return page(
        f"Confusion of {title}",
        card(
            "", scores([("right", f"{right / total:.2%}"), ("wrong", f"{total - right:,}"), ("images", f"{total:,}")])
        ),
        card("Most often mixed up", _mixups(outcome)),
        card("Classes and answers", confusion_view(outcome), note="A click on a cell shows its images.", wide=True),
        subtitle=outcome.images.name,
        styles=STYLES,
        scripts=[SCRIPT],
    )


def _mixups(outcome: Outcome) -> Html:
    found = outcome.confusion.mixups(8)
    lines = (f"{outcome.class_name(m.label)} for {outcome.class_name(m.predicted)}: {m.count:,}" for m in found)
    return element("div", *(element("div", line) for line in lines)) if found else element("p", "none", class_="pale")


def confusion_chart(outcome: Outcome) -> Html:
    """A table of classes and answers; right answers and wrong ones have colours of their own."""
    table = outcome.confusion
    rows, columns = ([outcome.class_name(k) for k in labels.tolist()] for labels in (table.labels, table.predicted))
    return heat_map(
        table.counts.tolist(),
        rows,
        columns,
        label="Confusion matrix",
        row_word="class",
        column_word="taken for",
        marked=lambda i, j: bool(outcome.right_cells[i, j]),
    )


def confusion_view(outcome: Outcome) -> Html:
    """The table and the place for the images; needs STYLES and SCRIPT in its page."""
    table = outcome.confusion
    chosen, cells = _cells(outcome)
    sheet, layout = thumbnails(outcome.images, chosen)
    wrong = np.where(outcome.right_cells, 0, table.counts)
    first = np.unravel_index(np.argmax(wrong if wrong.any() else table.counts), table.counts.shape)
    data: dict[str, Any] = {"cells": cells, "sprite": layout, "first": f"{first[0]},{first[1]}"}
    return element(
        "div",
        confusion_chart(outcome),
        element("h3", id="cell-name"),
        element("div", id="cell-images"),
        element("img", src=data_uri(png_bytes(sheet)), alt="", class_="sprite"),
        json_script(data),
        data_confusion=True,
    )


def _cells(outcome: Outcome) -> tuple[Integers, dict[str, Any]]:
    """The images that are shown, and for each cell its name, its count and its images: place among them, and words."""
    table = outcome.confusion
    numbers: list[int] = []
    cells: dict[str, Any] = {}
    for i, j in np.argwhere(table.counts).tolist():
        inside = np.flatnonzero((outcome.labels == table.labels[i]) & (outcome.predicted == table.predicted[j]))
        farthest = inside[np.argsort(-outcome.answers.distance[inside], kind="stable")]
        kept = farthest[: MOST_RIGHT if outcome.right_cells[i, j] else MOST_WRONG].tolist()
        items = [
            (len(numbers) + k, f"image {number}, distance {outcome.answers.distance[number]:.3g}")
            for k, number in enumerate(kept)
        ]
        name, answer = outcome.class_name(int(table.labels[i])), outcome.class_name(int(table.predicted[j]))
        cells[f"{i},{j}"] = {"name": f"{name}, taken for {answer}", "count": len(inside), "items": items}
        numbers += kept
    return np.array(numbers, np.int64), cells
