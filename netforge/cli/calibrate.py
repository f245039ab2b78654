"""`netforge calibrate`: find the distance from which on an image is of no known class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from netforge.cli.options import CaffeCommand, FiniteRange, output_options
from netforge.cli.recognition import (
    NetOptions,
    centroids_option,
    distance_text,
    images_line,
    images_options,
    named_count,
    open_embedder,
    open_sources,
    percent,
    print_pairs,
    trained_net_options,
)
from netforge.cli.screen import image_bar
from netforge.errors import SettingsError

if TYPE_CHECKING:
    from netforge.data import Source
    from netforge.metric import Calibration
    from netforge.recognition import Embedder, ImageSet, Recognizer, Threshold

ADMITTED = 10
"""At least so many blends are accepted at the threshold: fewer would show a rate by accident."""
MOST_BLENDS = 1_000_000


@click.command(cls=CaffeCommand)
@trained_net_options
@images_options
@click.option(
    "--unknown-source", "unknown_sources", multiple=True, metavar="SOURCE", help="Images of classes that are not known."
)
@click.option("--unknown-labels", metavar="LABELS", help="Labels of the source that are not known classes.")
@click.option(
    "--false-accept-rate",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How many images of unknown classes may be accepted.",
)
@centroids_option
@output_options
def calibrate(
    trained: NetOptions,
    sources: tuple[str, ...],
    labels: str | None,
    count: int | None,
    seed: int,
    unknown_sources: tuple[str, ...],
    unknown_labels: str | None,
    false_accept_rate: float,
    centroids: str | None,
) -> None:
    """Find the threshold for unknown images, and keep it in FILE.recognition.json beside the weights.

    An image is unknown where its nearest class is further away than the threshold. That is set so that the given share
    of the images of unknown classes would be accepted. Without such images, blends of two images of different classes
    stand in for them. Give images that the net was not trained on: those that it was lie closer to their classes.

    With --centroids the classes are known by the means of that source (without the unknown labels), which are kept with
    the threshold.
    """
    from netforge.recognition import Blends, choose_images

    if unknown_sources and unknown_labels:
        raise click.UsageError("Give --unknown-source or --unknown-labels, not both.")
    fewest = math.ceil(ADMITTED / false_accept_rate)
    if fewest > MOST_BLENDS and not unknown_sources and unknown_labels is None:
        raise SettingsError(
            f"{fewest:,} blends would be needed to show a false-accept rate of {false_accept_rate:g}",
            mend=f"give unknown images with --unknown-source, or a rate of {ADMITTED / MOST_BLENDS:g} or more",
        )
    with open_embedder(trained) as embedder:
        known = choose_images(open_sources(sources), labels=labels, count=count, seed=seed)
        unknown = choose_images(open_sources(unknown_sources)) if unknown_sources else None
        if unknown_labels is not None:
            known, unknown = split(known, unknown_labels)
        recognizer = make_recognizer(embedder, centroids, unknown_labels)
        strange = unknown or Blends(known, max(known.count, fewest), seed=seed)
        found = measure(recognizer, known, strange, false_accept_rate)
        recognizer.keep_calibration(as_threshold(recognizer, found, known, strange))
        show(recognizer, found, known, strange)


def split(images: ImageSet, unknown_labels: str) -> tuple[ImageSet, ImageSet]:
    """The images with other labels, and those with these."""
    from netforge.data.labels.ranges import LabelRanges

    strange = LabelRanges(unknown_labels).mask(images.labels)
    if strange.all():
        raise SettingsError("all labels of the source are said to be unknown", mend="name fewer of them")
    return images[~strange], images[strange]


def make_recognizer(embedder: Embedder, centroids: str | None, unknown_labels: str | None) -> Recognizer:
    """The recognizer; of a source of centroids without the labels that shall be unknown."""
    from netforge.data.labels.ranges import LabelRanges
    from netforge.recognition import ImageSet, Recognizer

    source: Source | None = None
    if centroids is not None:
        source = chosen = ImageSet(open_sources([centroids]))
        if unknown_labels is not None:
            source = chosen[~LabelRanges(unknown_labels).contains(chosen.labels)]
    return Recognizer(embedder, source=source, stored=False)


def measure(recognizer: Recognizer, known: ImageSet, unknown: Source, rate: float) -> Calibration:
    """Run the images and find the threshold."""
    import numpy as np

    from netforge.metric import calibrate as find_threshold

    clash = np.intersect1d(recognizer.labels_in(unknown), unknown.labels)
    if len(clash):
        raise SettingsError(
            f'class "{unknown.class_name(clash[0])}" is known to the net, so its images are not unknown',
            where=unknown.name,
            mend="give images of other classes",
        )
    with image_bar(known.count + unknown.count) as progress:
        distances = recognizer.distances(known, progress=progress)
        strange = recognizer.distances(unknown, progress=progress)
    return find_threshold(distances, known.labels, recognizer.labels_in(known), strange, false_accept_rate=rate)


def as_threshold(recognizer: Recognizer, found: Calibration, known: ImageSet, unknown: Source) -> Threshold:
    """What is kept."""
    from netforge.recognition import Threshold as Kept

    return Kept(
        found.threshold,
        recognizer.rule,
        found.wanted_rate,
        found.false_accepts,
        named_count(known),
        named_count(unknown),
    )


def show(recognizer: Recognizer, found: Calibration, known: ImageSet, unknown: Source) -> None:
    """Print what the threshold does."""
    from netforge.recognition import record_path

    rows = [
        ("distances to", recognizer.rule),
        ("known", images_line(known)),
        ("unknown", images_line(unknown)),
        ("threshold", distance_text(recognizer, found.threshold)),
        ("unknown accepted", f"{percent(found.false_accepts)} (wanted: at most {percent(found.wanted_rate)})"),
        ("known accepted", f"{percent(found.true_accepts)}, and right {percent(found.correct)}"),
        ("known, without threshold", f"{percent(found.accuracy)} right"),
        ("known against unknown", f"AUC {found.auc:.4f}"),
        ("kept in", str(record_path(recognizer.embedder.weights))),
    ]
    print_pairs(rows)
