"""What the commands that use a trained net share: their options, the net, the images, and how numbers are worded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netforge.cli.data_options import labels_option
from netforge.cli.files import net_of
from netforge.cli.options import (
    device_options,
    is_quiet,
    is_verbose,
    load_plugins,
    make_device,
    plugin_option,
    seed_option,
    split_commas,
)
from netforge.cli.screen import console, on_terminal, print_columns, styled, table
from netforge.cli.weights import show_report
from netforge.errors import DataError, counted

if TYPE_CHECKING:
    from netforge.data import Source
    from netforge.recognition import Embedder, Recognizer

ROUNDING = 1e-9  # of a distance to itself, which is shown as 0
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class NetOptions:
    """What `trained_net_options` give a command."""

    model: str
    weights: str
    layer: str | None
    normalize: bool | None
    device: str | None
    gpu: str | None
    plugins: tuple[str, ...]


def trained_net_options(command: Callable[..., None]) -> Callable[..., None]:
    """--model, --weights, --layer, --normalize, --plugin and those of the device.

    The command gets them as `trained`, for `open_embedder`.
    """
    return _net_options(command, required=True)


def optional_net_options(command: Callable[..., None]) -> Callable[..., None]:
    """As `trained_net_options`, for a command that can do without a net: `trained` is None without --model."""
    return _net_options(command, required=False)


def _net_options(command: Callable[..., None], *, required: bool) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        given = {field.name: options.pop(field.name) for field in fields(NetOptions)}
        if (given["model"] is None) != (given["weights"] is None):
            raise click.UsageError("--model and --weights go together.")
        if given["model"] is None:
            idle = [name for name in ("layer", "normalize", "device", "gpu") if given[name] is not None]
            if idle:
                raise click.UsageError(f"--{idle[0]} goes with --model and --weights.")
            load_plugins(given["plugins"])
        command(*arguments, trained=None if given["model"] is None else NetOptions(**given), **options)

    run = plugin_option(run)
    run = device_options(run)
    run = click.option(
        "--normalize/--no-normalize",
        default=None,
        help="Scale embeddings to length 1, to measure their cosine; by default as the loss does.",
    )(run)
    run = click.option(
        "--layer", metavar="NAME", help="The layer or blob that gives the embedding; by default what Decode reads."
    )(run)
    run = click.option("--weights", required=required, metavar="FILE", help="The .caffemodel.")(run)
    return click.option(
        "--model",
        required=required,
        metavar="NET",
        help="The net that was trained, a prototxt (or a solver that names one).",
    )(run)


def images_options(command: F) -> F:
    """--source, --labels, --count and --seed; give the first to `open_sources`."""
    for option in (
        seed_option("Seed of everything drawn at random."),
        click.option(
            "--count", type=click.IntRange(min=1), metavar="N", help="Take N of the images, at random; by default all."
        ),
        labels_option,
        click.option(
            "--source",
            "sources",
            required=True,
            multiple=True,
            metavar="SOURCE",
            help="Labelled images: a source of the image database, or the folder of an LMDB. May be repeated.",
        ),
    ):
        command = option(command)
    return command


def centroids_option(command: F) -> F:
    """--centroids."""
    return click.option(
        "--centroids",
        metavar="SOURCE",
        help="Know classes by the means of this labelled source, in place of those that the net has learned.",
    )(command)


def refusing_option(command: F) -> F:
    """--threshold, for commands that refuse nothing by default; give it to `parse_threshold`."""
    return click.option(
        "--threshold",
        metavar="auto|X",
        help="Refuse as unknown what is further than X from every class; auto: as calibrated. By default nothing is.",
    )(command)


def open_embedder(given: NetOptions) -> Embedder:
    """The net with its weights, as `trained_net_options` ask for it."""
    from netforge.recognition import Embedder

    load_plugins(given.plugins)
    embedder = Embedder(
        net_of(given.model, "RUN"),
        given.weights,
        layer=given.layer,
        normalize=given.normalize,
        device=make_device(given.device, given.gpu),
    )
    if is_verbose():
        show_report(embedder.report)
    if not embedder.transforms:
        note("The net has no Data layer: pixels are taken as they are, not scaled, without a mean.")
    return embedder


def note(text: str) -> None:
    """A remark, on standard error; none with --quiet."""
    if not is_quiet():
        click.echo(text, err=True)


def open_sources(names: Sequence[str]) -> list[Source]:
    """The sources of --source and the like."""
    from netforge.data import open_source

    return [open_source(None, name) for name in split_commas(tuple(names))]


def open_recognizer(embedder: Embedder, centroids: str | None, *, stored: bool = True) -> Recognizer:
    """The recognizer, by the centroids of a source where one is named."""
    from netforge.data import open_source
    from netforge.recognition import Recognizer

    source = None if centroids is None else open_source(None, centroids)
    return Recognizer(embedder, source=source, stored=stored)


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values, a row each."""
    if not on_terminal():
        print_columns(rows)
        return
    shown = table("", "")
    shown.show_header = False
    for name, value in rows:
        shown.add_row(styled((name, "bold")), styled(value))
    console().print(shown)


def percent(share: float) -> str:
    """A share as text: "98.61 %"."""
    return f"{100 * share:.2f} %"


def distance_text(recognizer: Recognizer, distance: float) -> str:
    """A distance with four significant digits; the probability where the net gives those."""
    if recognizer.probabilities:
        return percent(1 - distance)
    return f"{distance:.4g}" if distance >= ROUNDING else "0"


def named_count(images: Source) -> str:
    """Name and number: "MNIST.testing (10,000 images)"."""
    return f"{images.name} ({counted(images.count, 'image')})"


def images_line(images: Source) -> str:
    """Which images are looked at: "MNIST.testing: 10,000 images, 10 classes"."""
    import numpy as np

    number = len(np.unique(images.labels[images.labels >= 0]))
    classes = f", {counted(number, 'class', 'classes')}" if number else ""
    return f"{images.name}: {counted(images.count, 'image')}{classes}"


def parse_threshold(text: str | None, recognizer: Recognizer) -> float | None:
    """The threshold that --threshold asks for: "auto" for the calibrated one, or a distance; None for none.

    Of a net that gives probabilities the least probability is meant. Raises DataError where nothing was calibrated.
    """
    if text is None:
        return None
    if text == "auto":
        found = recognizer.threshold
        if found is None:
            raise DataError(
                "no threshold is stored with these weights",
                where=str(recognizer.embedder.weights),
                mend="run netforge calibrate first, or give a number",
            )
        return found.value
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= (1 if recognizer.probabilities else 1e300):
        wanted = "a probability from 0 to 1" if recognizer.probabilities else "a distance from 0 on"
        raise click.BadParameter(f'"{text}" is neither "auto" nor {wanted}.', param_hint="--threshold")
    return 1 - value if recognizer.probabilities else value
