"""`netforge data copy`: sub-sets of sources, what they leave, and several sources as one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from netforge.cli.data_options import Making, labels_option, making_options, mean_option, where_option
from netforge.cli.options import FiniteRange, output_options, seed_option
from netforge.cli.recognition import (
    NetOptions,
    centroids_option,
    note,
    open_embedder,
    open_recognizer,
    optional_net_options,
    parse_threshold,
)
from netforge.cli.screen import image_bar
from netforge.errors import counted

if TYPE_CHECKING:
    from netforge.data import AutoLabels, Source


@click.command("copy", short_help="Make a source of images of others.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("name")
@click.option(
    "--max-per-label", type=click.IntRange(1), metavar="N", help="So many images of each label, drawn by --seed."
)
@seed_option("Seed of the choice that --max-per-label makes.")
@labels_option
@click.option("--rest", metavar="REST", help="Make a second source of all images that NAME did not get.")
@where_option
@click.option("--auto-label", is_flag=True, help="Give images the labels that a trained net gives them.")
@optional_net_options
@centroids_option
@click.option(
    "--min-confidence",
    type=FiniteRange(0, 1),
    metavar="X",
    help="Leave out images that the net is less sure of than X, from 0 to 1.",
)
@click.option(
    "--threshold",
    metavar="auto|none|X",
    help="Leave out images further than X from every class. By default as calibrated, where that was done.",
)
@mean_option
@making_options
@output_options
def copy(
    sources: tuple[str, ...],
    name: str,
    max_per_label: int | None,
    seed: int,
    labels: str | None,
    rest: str | None,
    where: str | None,
    auto_label: bool,
    trained: NetOptions | None,
    centroids: str | None,
    min_confidence: float | None,
    threshold: str | None,
    mean_of: str | None,
    making: Making,
) -> None:
    """Make a source NAME of images of other sources, in their order and with their labels, groups, boosts and origins.

    SOURCE is a source of the image database, or the folder of an LMDB; several are taken together.

    With --auto-label the labels are those of the classes that a net recognises, as "predict" does, and are marked as
    auto: --where auto finds them. The labels at import are kept beside them. How sure the net is: for Softmax the
    probability; for distances 1 - d1/d2, with d1 to the nearest and d2 to the next class, as "predict" prints them, so
    1 on a centroid and 0 midway between two. --where and --labels choose by the labels before, --max-per-label counts
    those of the net, and REST gets the images that it is not sure of, with the labels they had.

    Examples:

    \b
      netforge data copy MNIST.training MNIST.30.training --max-per-label 30 \\
          --seed 1 --rest MNIST.30.rest
      netforge data copy MNIST.30.rest MNIST.testing MNIST.30.unseen
      netforge data copy MNIST.training mistakes --where "label = 3 and changed"
      netforge data copy scans scans.auto --auto-label \\
          --model net.prototxt --weights net.caffemodel \\
          --min-confidence 0.5 --rest scans.unsure
    """
    from netforge.data import ImageDatabase, copy_images

    for option, value in (("--min-confidence", min_confidence), ("--threshold", threshold), ("--centroids", centroids)):
        if value is not None and not auto_label:
            raise click.UsageError(f"{option} is for --auto-label.")
    if auto_label != (trained is not None):
        raise click.UsageError("--auto-label takes --model and --weights, which are for nothing else.")
    with ImageDatabase(making.database) as images, ExitStack() as closing:
        net = None if trained is None else labeller(closing, trained, centroids, min_confidence or 0.0, threshold)
        done = copy_images(
            images,
            sources,
            name,
            most_per_label=max_per_label,
            seed=seed,
            where=where,
            only_labels=labels,
            auto_label=net,
            rest=rest,
            mean_of=mean_of,
            replace=making.replace,
            dry_run=making.dry_run,
            progress=late_bar(closing),
        )
    making.report(done)


def late_bar(closing: ExitStack) -> Callable[[int], None]:
    """A bar over images that appears when the first ones are done, so that another one may come before it."""
    advance: list[Callable[[int], None]] = []

    def progress(count: int) -> None:
        if not advance:
            advance.append(closing.enter_context(image_bar()))
        advance[0](count)

    return progress


def labeller(
    closing: ExitStack, trained: NetOptions, centroids: str | None, least_confidence: float, threshold: str | None
) -> Callable[[Source], AutoLabels]:
    """What gives images the labels of a net, and says how many it is not sure of."""
    from netforge.recognition import auto_labels

    recognizer = open_recognizer(closing.enter_context(open_embedder(trained)), centroids)
    if threshold is None and recognizer.threshold is not None:
        threshold = "auto"
    limit = None if threshold in (None, "none") else parse_threshold(threshold, recognizer)

    def label(images: Source) -> AutoLabels:
        with image_bar(images.count) as progress:
            found = auto_labels(
                recognizer, images, least_confidence=least_confidence, threshold=limit, progress=progress
            )
        unsure = images.count - int(found.sure.sum())
        note(f"The net is sure of {counted(images.count - unsure, 'image')}; {unsure:,} are left out.")
        return found

    return label
