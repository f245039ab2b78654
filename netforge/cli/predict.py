"""`netforge predict`: what is on these images?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from netforge.cli.options import CaffeCommand, output_options
from netforge.cli.recognition import (
    NetOptions,
    centroids_option,
    distance_text,
    note,
    open_embedder,
    open_recognizer,
    parse_threshold,
    percent,
    trained_net_options,
)
from netforge.cli.screen import one_line, show_rows

if TYPE_CHECKING:
    from netforge.recognition import Answers, Recognizer, StoredForm


@click.command(cls=CaffeCommand)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@trained_net_options
@centroids_option
@click.option(
    "--threshold",
    metavar="auto|none|X",
    help="From which distance on an image is unknown. By default as calibrated, where that was done.",
)
@output_options
def predict(
    images: tuple[str, ...],
    trained: NetOptions,
    centroids: str | None,
    threshold: str | None,
) -> None:
    """Say of which class image files are, or that they are of none that is known.

    Printed are the class, its (squared) distance or probability, the second class, and how much further that one is.
    Images are made grey, or colour, and resized as the net needs them.
    """
    with open_embedder(trained) as embedder:
        recognizer = open_recognizer(embedder, centroids)
        if threshold is None:
            threshold = "none" if recognizer.threshold is None else "auto"
        limit = None if threshold == "none" else parse_threshold(threshold, recognizer)
        note_sizes(images, embedder.form)
        show_answers(recognizer, images, recognizer.recognize(images, threshold=limit))
        if limit is None:
            note("No threshold: every image is taken for a known class. netforge calibrate finds one.")
        else:
            note(f"Threshold {distance_text(recognizer, limit)}{rate_text(recognizer, threshold)}.")


def rate_text(recognizer: Recognizer, asked: str) -> str:
    """Where a calibrated threshold comes from."""
    found = recognizer.threshold if asked == "auto" else None
    if found is None:
        return ""
    return f", which {percent(found.measured_rate)} of {found.unknown} passed"


def note_sizes(images: tuple[str, ...], form: StoredForm) -> None:
    """Say which images are resized."""
    from netforge.data.formats.picture import picture_size, without_warnings

    _, height, width = form.shape
    for path in images:
        with without_warnings():
            size = picture_size(Path(path))
        if size != (height, width):
            note(f"{one_line(path)}: {size[0]} x {size[1]} pixels, resized to {height} x {width}")


def show_answers(recognizer: Recognizer, images: tuple[str, ...], answers: Answers) -> None:
    """One row an image."""
    from netforge.recognition import UNKNOWN_NAME

    measure = "probability" if recognizer.probabilities else "distance"
    headings = ("image", "class", measure, "margin", "next")
    rows = [answer_row(recognizer, image, answers, i) for i, image in enumerate(images)]

    def style(column: int, row: tuple[str, ...]) -> str:
        return "" if column != 1 else "bold yellow" if row[1] == UNKNOWN_NAME else "bold green"

    show_rows(headings, rows, right=(2, 3), style=style)


def answer_row(recognizer: Recognizer, image: str, answers: Answers, i: int) -> tuple[str, ...]:
    """Image, class or "unknown", distance, margin, and the class that comes next; of unknown ones the nearest two."""
    from netforge.recognition import UNKNOWN_NAME

    names = [known.name for known in recognizer.classes]
    nearest = names[answers.first[i]]
    second = names[answers.second[i]] if answers.second[i] >= 0 else "-"
    margin = "-"
    if np.isfinite(answers.margin[i]):
        value = float(answers.margin[i])
        margin = percent(value) if recognizer.probabilities else f"{value:.4g}"
    found = nearest if answers.accepted[i] else UNKNOWN_NAME
    rest = second if answers.accepted[i] else f"{nearest}, {second}"
    return one_line(image), found, distance_text(recognizer, float(answers.distance[i])), margin, rest
