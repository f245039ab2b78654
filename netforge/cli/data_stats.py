"""`netforge data stats`: what sources hold, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.data_options import database_option, where_option
from netforge.cli.screen import (
    console,
    image_bar,
    on_terminal,
    one_line,
    print_columns,
    shape_text,
    show_facts,
    styled,
    table,
)
from netforge.cli.targets import target_option, write_json, write_png
from netforge.errors import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.text import Text

    from netforge.data import Source
    from netforge.data.care.duplicates import Duplicates
    from netforge.data.care.statistics import Census, ClassCounts, PixelStatistics
    from netforge.data.labels.label_queries import LabelQueryCounts

MOST_CLASSES, BAR = 40, 20


@click.command("stats", short_help="Count images and classes, and measure pixels.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@where_option
@click.option("--run", metavar="NAME", help="How often a training run drew each label; runs are named by their logs.")
@click.option("--duplicates", is_flag=True, help="Count images that are there more than once, pixel for pixel.")
@click.option("--labels-only", is_flag=True, help="Do not look at pixels.")
@click.option("--all", "every", is_flag=True, help=f"Show all classes, where there are more than {MOST_CLASSES}.")
@target_option("--png", "png_file", text="Draw the mean image.")
@target_option("--binaryproto", text="Write the mean image as Caffe does, for `mean_file` of a layer.")
@target_option("--json", "json_file", text="Write all numbers as JSON.")
@database_option
def stats(
    sources: tuple[str, ...],
    where: str | None,
    run: str | None,
    duplicates: bool,
    labels_only: bool,
    every: bool,
    png_file: Path | None,
    binaryproto: Path | None,
    json_file: Path | None,
    database: Path | None,
) -> None:
    """Count the images of each class of SOURCE, and measure its pixels.

    SOURCE is a source of the image database, or the folder of an LMDB. Images that are disabled are counted and not
    measured. The mean image is that of the images in use, its channels in the order in which they are stored.

    Examples:

    \b
      netforge data stats MNIST.training MNIST.testing
      netforge data stats MNIST.training --binaryproto mnist_mean.binaryproto \\
          --png mnist_mean.png
      netforge data stats MNIST.training --run lenet.20261122-093015
    """
    if (png_file or binaryproto) and (len(sources) > 1 or labels_only):
        raise click.UsageError("--png and --binaryproto take one SOURCE, and no --labels-only.")
    if duplicates and labels_only:
        raise click.UsageError("--duplicates looks at pixels: leave out --labels-only.")
    found = []
    for name in sources:
        found.append(look_at(name, where, run, database, labels_only=labels_only, duplicates=duplicates))
        show_facts(facts_of(found[-1]))
        show_classes(found[-1], every=every)
    write_json(json_file, lambda: {one.header.name: as_json(one) for one in found}, "all numbers")
    if found[0].pixels is not None:
        write_means(found[0].header, found[0].pixels, png_file, binaryproto)


@dataclass(frozen=True)
class Found:
    """What is known of a source.

    queries: of one run. runs: those that have some stored. duplicates: groups of images with the same pixels; None
    where nobody asked.
    """

    header: Source
    census: Census
    pixels: PixelStatistics | None
    queries: LabelQueryCounts | None
    runs: list[str]
    duplicates: list[Duplicates] | None = None


def look_at(
    name: str, where: str | None, run: str | None, database: Path | None, *, labels_only: bool, duplicates: bool
) -> Found:
    """Count, and measure the pixels if there are any in use."""
    from netforge.data import ImageDatabase, open_images, open_source
    from netforge.data.care.duplicates import find_duplicates
    from netforge.data.care.statistics import census, pixel_statistics
    from netforge.data.labels.label_query_store import stored_label_queries, stored_runs

    counts = census(name, where, database=database)
    header = open_source(None, name, header_only=True, database=database)
    with ImageDatabase(database) as images:
        runs = stored_runs(images, images.find(name)) if name in images else []
        queries = stored_label_queries(images, images.find(name), run) if run is not None else None
    pixels = same = None
    if not labels_only and counts.count:
        source = open_images(name, where, database=database)
        with image_bar(source.count) as progress:
            pixels = pixel_statistics(source, progress)
        same = find_duplicates(source) if duplicates else None
    return Found(header, counts, pixels, queries, runs, same)


def facts_of(found: Found) -> list[tuple[str, str]]:
    """Everything but the single classes, as pairs of a word and a text."""
    counts, header, pixels = found.census, found.header, found.pixels
    totals = {kind: sum(getattr(entry, kind) for entry in counts.classes) for kind in ("auto", "changed", "disabled")}
    kind = f"{shape_text(header.shape)}{' ' + pixels.dtype if pixels else ''}"
    colours = f" {header.color_order}" if header.shape[0] == 3 else ""
    facts = [
        ("source", one_line(header.name)),
        ("images", f"{counts.count:,} in use, {kind}{colours}"),
        ("disabled", f"{totals['disabled']:,}" if totals["disabled"] else ""),
        ("classes", balance_text(counts)),
        ("labels", ", ".join(f"{totals[word]:,} {word}" for word in ("auto", "changed") if totals[word])),
        ("groups", f"{counts.groups:,}" if counts.groups is not None else ""),
        ("boxes", f"{counts.boxes:,}" if counts.boxes else ""),
        ("duplicates", duplicates_text(found.duplicates)),
    ]
    if pixels is not None:
        facts += [
            ("pixels", f"{values_text(pixels.minimum)} to {values_text(pixels.maximum)}"),
            ("mean", values_text(pixels.mean)),
            ("deviation", values_text(pixels.deviation)),
        ]
    facts.append(("runs", ", ".join(found.runs)))
    return [fact for fact in facts if fact[1]]


def duplicates_text(groups: list[Duplicates] | None) -> str:
    """How many images are there more than once; empty where nobody asked."""
    if not groups:
        return "" if groups is None else "none"
    images = counted(sum(len(group.images) for group in groups), "image")
    conflicting = sum(group.conflicting for group in groups)
    return f"{images} in {counted(len(groups), 'group')}, {conflicting:,} with different labels"


def balance_text(counts: Census) -> str:
    """How many classes there are, and the shares of the smallest and the largest."""
    small, large, total = counts.smallest, counts.largest, max(1, counts.count)
    number = f"{len(counts.classes):,}"
    if small.count == large.count:
        return f"{number}, each of {counted(small.count, 'image')}"
    ends = (f"{entry.count:,} in {one_line(entry.name)} ({entry.count / total:.1%})" for entry in (small, large))
    return f"{number}, from {' to '.join(ends)}"


def values_text(values: npt.NDArray[np.float64]) -> str:
    """A value of each channel, or the one that all share."""
    texts = [f"{value:.6g}" if abs(value) < 10 else f"{value:.2f}".rstrip("0").rstrip(".") for value in values.tolist()]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def show_classes(found: Found, *, every: bool) -> None:
    """A row for each class; of very many the smallest and the largest, unless `every` one is asked for."""
    classes = found.census.classes
    left_out = 0
    if len(classes) > MOST_CLASSES and not every:
        order = sorted(range(len(classes)), key=lambda k: classes[k].count)
        half = MOST_CLASSES // 2
        kept = sorted(order[:half] + order[-half:])
        left_out, classes = len(classes) - len(kept), tuple(classes[k] for k in kept)
    headings, rows = class_rows(found, classes)
    if not on_terminal():
        print_columns([headings, *rows], right=tuple(range(1, len(headings))))
    else:
        shown = table(*headings, "", right=headings[1:])
        for row, entry in zip(rows, classes, strict=True):
            shown.add_row(styled((row[0], "bold cyan")), *row[1:], bar(entry.count, found.census.largest.count))
        console().print(shown)
    if left_out:
        click.echo(f"{left_out:,} classes of sizes between these are left out; --all shows them")


def class_rows(found: Found, classes: Sequence[ClassCounts]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and a row of texts for each class; columns that would hold nothing are left out."""
    total = max(1, found.census.count)
    columns: dict[str, list[str]] = {"class": [one_line(entry.name) for entry in classes]}
    if any(entry.name != str(entry.label) for entry in classes):
        columns["label"] = [str(entry.label) for entry in classes]
    columns["images"] = [f"{entry.count:,}" for entry in classes]
    columns["share"] = [f"{entry.count / total:.2%}" for entry in classes]
    for word in ("auto", "changed", "disabled"):
        if any(getattr(entry, word) for entry in classes):
            columns[word] = [f"{getattr(entry, word):,}" for entry in classes]
    if found.queries is not None:
        columns |= query_columns(found.queries, classes)
    return tuple(columns), list(zip(*columns.values(), strict=True))


def query_columns(queries: LabelQueryCounts, classes: Sequence[ClassCounts]) -> dict[str, list[str]]:
    """How often a run drew images of each class."""
    where = {label: k for k, label in enumerate(queries.labels.tolist())}
    places = [where.get(entry.label) for entry in classes]
    percent, epochs = queries.hit_percent, queries.epochs
    columns = {
        "drawn": [f"{int(queries.counts[k]):,}" if k is not None else "0" for k in places],
        "hit": [f"{percent[k]:.2f} %" if k is not None else "0.00 %" for k in places],
    }
    if epochs is not None:
        columns["epochs"] = [f"{epochs[k]:.2f}" if k is not None else "0.00" for k in places]
    return columns


def bar(count: int, largest: int) -> Text:
    """A bar as long as the class is large."""
    length = round(BAR * count / max(1, largest))
    return styled(("━" * length, "cyan"), ("─" * (BAR - length), "dim"))


def as_json(found: Found) -> dict[str, object]:
    """All numbers of a source as JSON takes them."""
    from netforge.data.care.statistics import as_plain

    plain = as_plain(found.census, found.pixels) | {"shape": list(found.header.shape), "runs": found.runs}
    if found.duplicates is not None:
        plain["duplicates"] = [group.images for group in found.duplicates]
    queries = found.queries
    if queries is not None:
        epochs = queries.epochs
        plain["queries"] = {
            "labels": queries.labels.tolist(),
            "counts": queries.counts.tolist(),
            "hit_percent": queries.hit_percent.tolist(),
            "epochs": None if epochs is None else [e if math.isfinite(e) else None for e in epochs.tolist()],
        }
    return plain


def write_means(header: Source, pixels: PixelStatistics, png: Path | None, binaryproto: Path | None) -> None:
    """Write the mean image, and say where it is."""
    from netforge.data.formats.mean import write_mean
    from netforge.data.sheets.sheet import draw_image

    write_png(png, lambda: draw_image(pixels.mean_image, header), "mean image")
    if binaryproto is not None:
        write_mean(binaryproto, pixels.mean_image)
        click.echo(f"mean file: {binaryproto}")
