"""The share of right answers: among scores, and among distances."""

from __future__ import annotations

import logging
import math
from functools import partial

from netforge.blob import Blob
from netforge.device.operations.shape import around
from netforge.layers.axes import canonical_axis, check_labels, rows, same_batch, scalar
from netforge.layers.base import Layer, register_layer, slots

logger = logging.getLogger("netforge")


def ignored_labels(layer: Layer) -> tuple[int, ...]:
    """The labels that accuracy_param leaves out: ignore_label, and ignore_labels as "{0,1}".

    Raises SettingsError where ignore_labels reads otherwise.
    """
    settings = layer.definition.settings("accuracy_param")
    labels = [settings.ignore_label] if settings.HasField("ignore_label") else []
    words = settings.ignore_labels.strip("{}[]() ").replace(",", " ").split()
    try:
        labels += [int(word) for word in words]
    except ValueError:
        raise layer.fail(
            f'ignore_labels "{settings.ignore_labels}" is no list of whole numbers',
            setting="accuracy_param.ignore_labels",
            mend='write it as "{0,1}"',
        ) from None
    return tuple(labels)


def refuse_last_element(layer: Layer) -> None:
    """Raise SettingsError where accuracy_param asks for the last element of sequences only."""
    if layer.definition.settings("accuracy_param").enable_last_element_only:
        raise layer.fail(
            "enable_last_element_only is not offered",
            setting="accuracy_param.enable_last_element_only",
            mend="cut the last element off with a Slice layer",
        )


def plain_accuracy(layer: Layer) -> None:
    """Raise SettingsError for settings of accuracy_param that only Accuracy can follow."""
    refuse_last_element(layer)
    settings = layer.definition.settings("accuracy_param")
    for name in ("top_k", "axis"):
        if getattr(settings, name) != 1:
            raise layer.fail(
                f"{name} is {getattr(settings, name)}",
                setting=f"accuracy_param.{name}",
                mend=f"this layer needs {name}: 1",
            )


@register_layer("Accuracy", settings="accuracy_param")
class Accuracy(Layer):
    """The share of labels whose class is among the top_k largest scores. No gradient.

    A label is right where fewer than top_k other classes score as high as its own: ties count against the model, so
    constant scores give 0. Scores that hold NaN count as wrong, and a warning says so once. Labels equal to
    ignore_label do not count. The second top is the accuracy of each class, 0 for a class without labels.
    """

    bottoms = slots("scores (N, C, ...)", "labels (N, ...), whole numbers below C")
    tops = slots("accuracy scalar", optional=("accuracy of each class (C,)",))
    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read which label to leave out."""
        refuse_last_element(self)
        ignored = ignored_labels(self)
        if len(ignored) > 1:
            raise self.fail(
                "ignore_labels names several labels",
                setting="accuracy_param.ignore_labels",
                mend="Accuracy leaves out one; AccuracyDecode any number",
            )
        self.ignore = ignored[0] if ignored else None
        self.warned = False

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One label for each item and position."""
        axis = canonical_axis(self, self.settings.axis, bottom[0], "accuracy_param.axis")
        self.view = around(bottom[0].shape, axis)
        outer, classes, inner = self.view
        if self.settings.top_k < 1 or self.settings.top_k > classes:
            raise self.fail(f"top_k is {self.settings.top_k} of {classes} classes", setting="accuracy_param.top_k")
        if bottom[1].count != outer * inner:
            raise self.fail(
                f'"{bottom[1].name}" {bottom[1].shape} holds {bottom[1].count} labels, scores "{bottom[0].name}" '
                f"{bottom[0].shape} with classes on axis {axis} need {outer * inner}"
            )
        top[0].reshape(())
        if len(top) > 1:
            top[1].reshape(classes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Count the right ones."""
        check_labels(self, bottom[1], self.view[1], self.ignore)
        outer, _, inner = self.view
        report = self.report("NaN")
        report.explain = partial(self._warn, bottom[0])
        bad = self.ops.accuracy_forward(
            bottom[0].data.reshape(self.view),
            bottom[1].data.reshape(outer, inner),
            scalar(top[0].data),
            top[1].data if len(top) > 1 else None,
            self.settings.top_k,
            self.ignore,
            report.array,
        )
        if bad >= 0:
            report.settle()

    def _warn(self, scores: Blob, index: int, value: float) -> None:
        """Say once that scores hold NaN."""
        if not self.warned:
            logger.warning(
                '%s: the scores of item %d in "%s" hold NaN; they count as wrong', self.label, index, scores.name
            )
            self.warned = True


@register_layer("AccuracyDecode", settings="accuracy_param")
class AccuracyDecode(Layer):
    """The share of items whose smallest distance is that to their own class; the lowest class wins ties. No gradient.

    Items with a label in ignore_label or ignore_labels do not count. Distances of FLT_MAX, and NaN, never win.
    """

    bottoms = slots("distances (N, classes...), from Decode", "labels (N, 1 or more), of which the first counts")
    tops = slots("accuracy scalar")
    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read which labels to leave out."""
        plain_accuracy(self)
        self.ignore = ignored_labels(self)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One row of labels for each row of distances."""
        same_batch(self, bottom)
        if len(bottom[0].shape) < 2 or not math.prod(bottom[1].shape[1:]):
            raise self.fail(f'"{bottom[0].name}" {bottom[0].shape} and "{bottom[1].name}" {bottom[1].shape} do not fit')
        top[0].reshape(())

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Count the items whose own class is nearest."""
        distances, labels = (rows(blob.data) for blob in bottom)
        self.ops.nearest_accuracy(distances, labels, scalar(top[0].data), self.ignore)
