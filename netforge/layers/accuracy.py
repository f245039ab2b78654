"""The share of right answers among scores."""

from __future__ import annotations

import logging

from netforge.blob import Blob
from netforge.layers.axes import around, canonical_axis, check_labels, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.decode import ignored_labels

logger = logging.getLogger("netforge")


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
    per_item = False

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read which label to leave out."""
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
        bad = self.ops.accuracy_forward(
            bottom[0].data.reshape(self.view),
            bottom[1].data.reshape(outer, inner),
            scalar(top[0].data),
            top[1].data if len(top) > 1 else None,
            self.settings.top_k,
            self.ignore,
        )
        if bad >= 0 and not self.warned:
            logger.warning(
                '%s: the scores of item %d in "%s" hold NaN; they count as wrong', self.label, bad, bottom[0].name
            )
            self.warned = True
