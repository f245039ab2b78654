"""Which images a Data layer draws: what data_param says of order, labels and boosts."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.data.batches.selections import Among, Boosted, Followed, LabelBalanced
from netforge.data.sampling import ClassIndex, Selection, Sequential, Shuffled, below, each_once, random_words
from netforge.data.source import Source
from netforge.device.random import RandomStream
from netforge.errors import DataError
from netforge.layers.base import Layer

FOR_ORDER = "goes with images in stored order only"
IN_ORDER = "write enable_random_selection: false, or remove it"


def is_random(settings: Any, source: Source) -> bool:
    """Whether images are drawn at random: as the net says, or else as the kind of source has it."""
    if settings.HasField("enable_random_selection"):
        return bool(settings.enable_random_selection)
    return source.shuffled


def check_selection(layer: Layer, source: Source) -> None:
    """Raise for settings of the selection that contradict each other."""
    settings = layer.settings
    classes, pairs = settings.batch_classes, settings.images_per_blob == 2
    shuffled, followed = is_random(settings, source), settings.enable_pair_selection
    others = [name for name in ("balance_labels", "superboost_probability") if getattr(settings, name)]
    wrong = (
        ("rand_skip", settings.rand_skip and shuffled, FOR_ORDER, IN_ORDER),
        ("rand_skip", settings.rand_skip and settings.balance_labels, "does not go with balance_labels", "remove it"),
        ("enable_pair_selection", followed and classes, "does not go with batch_classes", "remove it"),
        (
            "enable_pair_selection",
            followed and pairs and settings.balance_matches,
            "does not go with balance_matches, which chooses the second image",
            "write balance_matches: false",
        ),
        (
            "enable_pair_selection",
            followed and not shuffled,
            "has a meaning for images drawn at random only",
            "remove it: in stored order each image is followed by the next one anyway",
        ),
        *((name, classes, "does not go with batch_classes", "remove it") for name in others),
    )
    for name, is_wrong, found, mend in wrong:
        if is_wrong:
            raise layer.fail(f"{name} {found}", setting=f"data_param.{name}", mend=mend)


def make_selection(layer: Layer, source: Source) -> Selection:
    """The selection that a Data layer's settings ask for; raises DataError where the source does not suit it."""
    settings = layer.settings
    shuffled = is_random(settings, source)
    selection: Selection
    if settings.balance_labels:
        index = ClassIndex(source.labels)
        labels = each_once(len(index.labels), stream_of(layer, "labels") if shuffled else None)
        selection = LabelBalanced(index, labels, stream_of(layer, "selection") if shuffled else None)
    else:
        selection = all_images(layer, source, shuffled=shuffled)
    if settings.superboost_probability:
        rows = _boosted_rows(source)
        boosted = Among(rows, each_once(len(rows), stream_of(layer, "boosted") if shuffled else None))
        share = settings.superboost_probability
        selection = Boosted(selection, boosted, share, stream_of(layer, "superboost"))
    return Followed(selection, source.count) if settings.enable_pair_selection else selection


def all_images(layer: Layer, source: Source, *, shuffled: bool) -> Selection:
    """Every image once an epoch: at random, or in stored order from one of the first rand_skip + 1 on."""
    stream = stream_of(layer, "selection")
    if shuffled:
        return Shuffled(source.count, stream)
    skip = below(random_words(stream, 0, 1), layer.settings.rand_skip + 1)
    return Sequential(source.count, int(skip[0]))


def stream_of(layer: Layer, purpose: str) -> RandomStream:
    """The stream of a layer's draws for one purpose."""
    return RandomStream(layer.context.seed, f"{layer.name}.{purpose}")


def _boosted_rows(source: Source) -> Any:
    boosts = source.boosts
    rows = np.zeros(0, np.int64) if boosts is None else np.flatnonzero(boosts > 0)
    if not len(rows):
        raise DataError(
            f'superboost_probability needs images with a boost above 0, but "{source.name}" has none',
            mend="give images a boost with netforge data boost, or remove superboost_probability",
        )
    return rows
