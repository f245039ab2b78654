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


RUN_HELP = "A run: its folder, its log, or the prefix of its snapshots. Its net, and its newest weights."


@dataclass(frozen=True)
class NetOptions:
    """What `trained_net_options` give a command: a run, or a net and its weights."""

    run: str | None
    model: str | None
    weights: str | None
    layer: str | None
    normalize: bool | None
    device: str | None
    gpu: str | None
    plugins: tuple[str, ...]


def trained_net_options(command: Callable[..., None]) -> Callable[..., None]:
    """--run, or --model and --weights; --layer, --normalize, --plugin and those of the device.

    The command gets them as `trained`, for `open_embedder`.
    """
    return run_option(_net_options(command, required=True))


def trained_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """As `trained_net_options`, but the run is the command's argument, RUN."""
    return run_argument(_net_options(command, required=True))


def optional_net_options(command: Callable[..., None]) -> Callable[..., None]:
    """As `trained_net_options` without --run, for a command that can do without a net: then `trained` is None."""
    return _net_options(command, required=False)


def run_option(command: F) -> F:
    """--run, for `trained_files`."""
    return click.option("--run", metavar="RUN", help=f"{RUN_HELP} In place of --model and --weights.")(command)


def run_argument(command: F) -> F:
    """RUN, an argument that may be left out, for `trained_files`."""
    return click.argument("run", required=False, metavar="[RUN]")(command)


def net_file_options(command: F) -> F:
    """--model and --weights, for `trained_files`."""
    command = click.option("--weights", metavar="FILE", help="The .caffemodel.")(command)
    return click.option(
        "--model", metavar="NET", help="The net that was trained, a prototxt (or a solver that names one)."
    )(command)


def _net_options(command: Callable[..., None], *, required: bool) -> Callable[..., None]:
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        # A run that need not name a net is the command's own affair.
        own = {"run": options.pop("run")} if required else {"run": None}
        given = own | {field.name: options.pop(field.name) for field in fields(NetOptions) if field.name != "run"}
        named = check_named(given["run"], given["model"], given["weights"], required=required)
        if not named:
            idle = [name for name in ("layer", "normalize", "device", "gpu") if given[name] is not None]
            if idle:
                raise click.UsageError(f"--{idle[0]} goes with --model and --weights.")
            load_plugins(given["plugins"])
        command(*arguments, trained=NetOptions(**given) if named else None, **options)

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
    return net_file_options(run)


def check_named(run: str | None, model: str | None, weights: str | None, *, required: bool = True) -> bool:
    """Whether options name a trained net; UsageError where they do so in two ways, by half, or, if `required`, not."""
    if (model is None) != (weights is None):
        raise click.UsageError("--model and --weights go together.")
    if run is not None and model is not None:
        raise click.UsageError("give a run, or --model and --weights, not both.")
    if required and run is None and model is None:
        raise click.UsageError("name a trained net: a run, or --model and --weights.")
    return run is not None or model is not None


def trained_files(run: str | None, model: str | None, weights: str | None, phase: str) -> tuple[Any, str]:
    """The net that `check_named` has found to be named, a path or a NetDefinition, and the path of its weights."""
    if run is None:
        assert model is not None and weights is not None
        return net_of(model, phase), weights
    from netforge.inspect.report_model import Model
    from netforge.inspect.runs import find_run, read_run

    with Model(read_run(find_run(run))) as found:
        return found.definition, str(found.weights)


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
    model, weights = trained_files(given.run, given.model, given.weights, "RUN")
    embedder = Embedder(
        model,
        weights,
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
