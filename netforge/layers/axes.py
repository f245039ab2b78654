"""Axes and labels: what the families of layers share about shapes and about values that must be class numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from netforge.blob import Blob
from netforge.errors import DataError
from netforge.layers.base import Layer


def canonical_axis(layer: Layer, axis: int, blob: Blob, setting: str) -> int:
    """`axis` counted from 0; negative ones count from the end. Raises SettingsError where the blob has no such axis."""
    axes = len(blob.shape)
    if not -axes <= axis < axes:
        raise layer.fail(
            f'axis {axis} is out of range: bottom "{blob.name}" has shape {blob.shape}',
            setting=setting,
            mend=f"choose one from {-axes} to {axes - 1}" if axes else "this layer needs a bottom with axes",
        )
    return axis % axes


def scalar(array: Any) -> Any:
    """A blob of one element as an array of shape (1,), as operations take losses and scales."""
    return array.reshape(1)


def rows(array: Any) -> Any:
    """The array as (items, all else), also where there are no items."""
    return array.reshape(array.shape[0], math.prod(array.shape[1:]))


def same_shape(layer: Layer, blobs: list[Blob]) -> None:
    """Raise ShapeError where the blobs differ in shape."""
    for other in blobs[1:]:
        if other.shape != blobs[0].shape:
            raise layer.fail(
                f'bottoms differ in shape: "{blobs[0].name}" has {blobs[0].shape}, "{other.name}" has {other.shape}'
            )


def same_batch(layer: Layer, blobs: list[Blob]) -> None:
    """Raise ShapeError where the blobs differ in the size of their first axis."""
    for blob in blobs:
        if not blob.shape or blob.shape[0] != blobs[0].shape[0]:
            raise layer.fail(
                f'bottoms differ in their number of items: "{blobs[0].name}" has shape {blobs[0].shape}, '
                f'"{blob.name}" has {blob.shape}'
            )


def labelled_batch(layer: Layer, blobs: list[Blob]) -> None:
    """Raise ShapeError unless all blobs have equally many items, and blobs[1], where there is one, labels for each."""
    same_batch(layer, blobs)
    if len(blobs) > 1 and not math.prod(blobs[1].shape[1:]):
        raise layer.fail(f'"{blobs[1].name}" has shape {blobs[1].shape}', mend="give at least one label an item")


def known_below(labels: Blob, classes: int) -> bool:
    """Whether all labels are known to be class numbers below `classes`, by the layer that writes them."""
    limit = labels.data_storage.below
    return limit is not None and limit <= classes


Explain = Callable[[int, float], Exception]


def check_labels(
    layer: Layer, labels: Blob, classes: int, ignore: int | None = None, explain: Explain | None = None
) -> None:
    """Raise DataError where a label is no class number below `classes`, or what `explain` makes of its place and value.

    A device that works asynchronously keeps the first wrong label in a report, until the net settles.
    """
    report = layer.report("wrong label")
    report.explain = explain or partial(bad_label, layer, labels, classes)
    if layer.ops.check_labels(labels.data, classes, ignore, report.array) >= 0:
        report.settle()


def bad_label(layer: Layer, labels: Blob, classes: int, index: int, value: float) -> Exception:
    """The error for the label `value` at a flat index."""
    return layer.fail(
        f'label {value:g} at index {index} of "{labels.name}" is not a class: there are {classes}, '
        f"numbered 0 to {classes - 1}",
        error=DataError,
        mend="correct the labels of the data source, or num_output of the layer that makes the scores",
    )
