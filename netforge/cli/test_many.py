"""`netforge test-many`: recognise the images of a source one by one, and say which are taken for which."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.atomic import write_whole
from netforge.cli.options import CaffeCommand, is_quiet, output_options
from netforge.cli.recognition import (
    NetOptions,
    centroids_option,
    distance_text,
    images_line,
    images_options,
    open_embedder,
    open_recognizer,
    open_sources,
    parse_threshold,
    percent,
    refusing_option,
    trained_net_options,
)
from netforge.cli.screen import console, image_bar, on_terminal, show_rows, styled
from netforge.cli.targets import target_option, write_png

if TYPE_CHECKING:
    from netforge.recognition import Outcome, Recognizer

MOST_MIXUPS, MIXUPS_OF_CLASS = 5, 3
CSV_COLUMNS = (
    *("source", "image", "label", "class", "predicted_label", "predicted_class", "right"),
    *("distance", "margin", "nearest", "second", "own_distance"),
)
COLUMNS = ("class", "images", "right", "accuracy", "taken for")


@click.command("test-many", cls=CaffeCommand)
@trained_net_options
@images_options
@click.option(
    "--exclude-source", "excluded", multiple=True, metavar="SOURCE", help="Leave out images that are in this one too."
)
@centroids_option
@refusing_option
@target_option("--csv", "csv_file", text="Write every answer.")
@target_option("--png", "png_file", text="Draw the confusion matrix.")
@output_options
def test_many(
    trained: NetOptions,
    sources: tuple[str, ...],
    labels: str | None,
    count: int | None,
    seed: int,
    excluded: tuple[str, ...],
    centroids: str | None,
    threshold: str | None,
    csv_file: Path | None,
    png_file: Path | None,
) -> None:
    """Recognise many labelled images: accuracy overall and of each class, and which classes are mixed up.

    An image is taken for the class with the nearest centroid (Decode), or for the most probable one (Softmax). Any
    source with images of the net's shape will do. Where the net does not know a class of the source, its images are
    right if they are refused.
    """
    from netforge.recognition import choose_images, recognize_labelled
    from netforge.recognition.confusion_sheet import draw_confusion

    with open_embedder(trained) as embedder:
        images = choose_images(
            open_sources(sources), labels=labels, count=count, seed=seed, exclude=open_sources(excluded)
        )
        recognizer = open_recognizer(embedder, centroids)
        limit = parse_threshold(threshold, recognizer)
        with image_bar(images.count) as progress:
            outcome = recognize_labelled(recognizer, images, threshold=limit, progress=progress)
        show_outcome(recognizer, outcome)
        if csv_file is not None:
            write_whole(csv_file, lambda partial: write_csv(partial, recognizer, outcome))
            click.echo(f"every answer: {csv_file}")
        title = f"{embedder.net.name or 'net'} on {images.name}"
        write_png(png_file, lambda: draw_confusion(outcome, title), "confusion matrix")


def show_outcome(recognizer: Recognizer, outcome: Outcome) -> None:
    """Print the classes, unless --quiet, and the summary."""
    if not is_quiet():
        styles = ("bold cyan", "", "", "", "yellow")
        show_rows(COLUMNS, class_rows(outcome), right=(1, 2, 3), style=lambda column, row: styles[column])
        if on_terminal():
            click.echo()
    for line in summary_lines(recognizer, outcome):
        if on_terminal():
            head, _, rest = line.partition(": ")
            console().print(styled((head + ": ", "bold"), rest))
        else:
            click.echo(line)


def class_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """One row a class: its images, how many were right, and what the others were most often taken for."""
    found = outcome.confusion
    rows: list[tuple[str, ...]] = []
    for i, label in enumerate(found.labels.tolist()):
        wrong = [
            (int(n), outcome.class_name(answer))
            for n, answer, right in zip(found.counts[i], found.predicted.tolist(), outcome.right_cells[i], strict=True)
            if n and not right
        ]
        wrong.sort(key=lambda entry: -entry[0])
        others = ", ".join(f"{name} ({n})" for n, name in wrong[:MIXUPS_OF_CLASS])
        share = float(outcome.class_accuracies[i])
        total = int(found.totals[i])
        name = outcome.class_name(label) + ("" if label in outcome.class_labels else " (not known)")
        rows.append((name, f"{total:,}", f"{round(share * total):,}", percent(share), others))
    return rows


def summary_lines(recognizer: Recognizer, outcome: Outcome) -> list[str]:
    """The result in words, each line "what: how much"."""
    right, total = int(outcome.right.sum()), len(outcome.right)
    lines = [
        f"images: {images_line(outcome.images)}",
        f"accuracy: {percent(outcome.accuracy)} ({right:,} of {total:,}; {total - right:,} wrong)",
    ]
    mixups = [
        f"{outcome.class_name(m.label)} for {outcome.class_name(m.predicted)} ({m.count})"
        for m in outcome.confusion.mixups(MOST_MIXUPS)
    ]
    if mixups:
        lines.append(f"most often mixed up: {', '.join(mixups)}")
    if outcome.threshold is not None:
        limit = distance_text(recognizer, outcome.threshold)
        known = f"{percent(outcome.refused(outcome.known))} of known" if outcome.known.any() else ""
        unknown = f"{percent(outcome.refused(~outcome.known))} of unknown classes" if not outcome.known.all() else ""
        lines.append(f"refused as unknown: {' and '.join(filter(None, (known, unknown)))} (threshold {limit})")
    if not outcome.known.all():
        strangers = ", ".join(
            outcome.class_name(k) for k in outcome.confusion.labels.tolist() if k not in outcome.class_labels
        )
        lines.append(f"unknown classes: {strangers}")
    if outcome.auc is not None and outcome.closed_accuracy is not None:
        lines.append(f"known classes alone: {percent(outcome.closed_accuracy)} right without a threshold")
        lines.append(f"known against unknown: AUC {outcome.auc:.4f}")
    return lines


def write_csv(path: Path, recognizer: Recognizer, outcome: Outcome) -> None:
    """A row for each image: where it stands, its class, the answer, and the distances behind it."""
    import numpy as np

    from netforge.recognition import UNKNOWN_NAME

    answers, names = outcome.answers, [known.name for known in recognizer.classes]
    own = outcome.own_distances
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for i, (label, predicted) in enumerate(zip(outcome.labels.tolist(), outcome.predicted.tolist(), strict=True)):
            second = names[answers.second[i]] if answers.second[i] >= 0 else ""
            margin = repr(float(answers.margin[i])) if np.isfinite(answers.margin[i]) else ""
            predicted_name = names[answers.first[i]] if answers.accepted[i] else UNKNOWN_NAME
            writer.writerow(
                [
                    *outcome.images.origin(i),
                    label,
                    outcome.class_name(label),
                    predicted,
                    predicted_name,
                    int(outcome.right[i]),
                    repr(float(answers.distance[i])),
                    margin,
                    names[answers.first[i]],
                    second,
                    "" if np.isnan(own[i]) else repr(float(own[i])),
                ]
            )
