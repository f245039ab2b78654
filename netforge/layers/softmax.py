"""Softmax, and the losses built on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from netforge.blob import Blob
from netforge.device.operations.shape import around
from netforge.errors import SettingsError
from netforge.layers.axes import canonical_axis, check_labels, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.schema import messages, parse_binary, resolve_path


@register_layer("Softmax", settings="softmax_param")
class Softmax(Layer):
    """y = exp(x) / sum of exp(x) along `axis`."""

    in_place = True
    backward_reads_top = True
    per_item = True
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top's shape is the bottom's."""
        axis = canonical_axis(self, self.settings.axis, bottom[0], "softmax_param.axis")
        self.view = around(bottom[0].shape, axis)
        if top[0] is not bottom[0]:
            top[0].reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Normalise."""
        self.ops.softmax_forward(bottom[0].data.reshape(self.view), top[0].data.reshape(self.view))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """dx = y * (dy - sum of dy * y)."""
        if propagate_down[0]:
            dy, dx = top[0].diff.reshape(self.view), bottom[0].diff.reshape(self.view)
            self.ops.softmax_backward(top[0].data.reshape(self.view), dy, dx)


class LossDivisor:
    """What the sum of losses over labels is divided by, as loss_param says.

    VALID: the labels that count. FULL: all labels. BATCH_SIZE: the items before the class axis. NONE: 1. Never below 1;
    then divided by loss_scale. `ignore` is the label that does not count, or None. `value` is a blob of one element,
    written by `write`.
    """

    def __init__(self, layer: Layer, default: str = "VALID") -> None:
        message = layer.definition.settings("loss_param")
        self.layer = layer
        self.ignore = int(message.ignore_label) if message.HasField("ignore_label") else None
        if message.HasField("normalization"):
            default = message.NormalizationMode.Name(message.normalization)
        elif message.HasField("normalize"):
            default = "VALID" if message.normalize else "BATCH_SIZE"
        self.mode = default
        self.scale = float(message.loss_scale)
        self.value = layer.buffer("divisor")
        self.value.reshape(1)

    def write(self, labels: Any, outer: int) -> Any:
        """Write the divisor for these labels, of `outer` items, and return the array that holds it."""
        divisor = self.value.data
        if self.mode == "VALID":
            self.layer.ops.count_labels(labels, divisor, self.ignore)
        else:
            count = max(1, {"FULL": math.prod(labels.shape), "BATCH_SIZE": outer, "NONE": 1}[self.mode])
            self.layer.ops.fill(divisor, count)
        if self.scale != 1:
            self.layer.ops.weighted_sum([divisor], [1 / self.scale], divisor)
        return divisor


class LabelLoss(Layer):
    """What losses over softmax scores and class labels share: shapes, probabilities, divisor, checks of labels.

    Labels have one number for each position that is left when the class axis is taken out of the scores.
    """

    also_reads = ("loss_param",)
    is_loss = True
    blocked_bottoms: tuple[int, ...] = (1,)
    axis_setting = "softmax_param"
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read loss_param and make room for the probabilities."""
        self.divisor = LossDivisor(self)
        self.probability = self.buffer("probability")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Scores and labels must fit; the loss is a scalar."""
        axis = canonical_axis(self, self.settings.axis, bottom[0], f"{self.axis_setting}.axis")
        self.view = around(bottom[0].shape, axis)
        self.labels_view = (self.view[0], self.view[2])
        if bottom[1].count != self.view[0] * self.view[2]:
            raise self.fail(
                f'"{bottom[1].name}" {bottom[1].shape} holds {bottom[1].count} labels, scores "{bottom[0].name}" '
                f"{bottom[0].shape} with classes on axis {axis} need {self.view[0] * self.view[2]}",
                mend="give one whole-number label for each item and position",
            )
        self.probability.reshape(self.view)
        top[0].reshape(())
        if len(top) > 1:
            top[1].reshape(bottom[0].shape)

    def _labels(self, bottom: list[Blob]) -> Any:
        return bottom[1].data.reshape(self.labels_view)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check labels, compute probabilities, then the loss."""
        check_labels(self, bottom[1], self.view[1], self.divisor.ignore)
        p = self.probability.data
        self.ops.softmax_forward(bottom[0].data.reshape(self.view), p)
        if len(top) > 1:
            self.ops.copy(p, top[1].data.reshape(self.view))
        labels = self._labels(bottom)
        self.loss(p, labels, bottom, scalar(top[0].data), self.divisor.write(labels, self.view[0]))

    def loss(self, p: Any, labels: Any, bottom: list[Blob], loss: Any, divisor: Any) -> None:
        """Write the loss."""
        raise self._lacks("loss")


@register_layer("SoftmaxWithLoss", settings="softmax_param", aliases=("SoftmaxLoss",))
class SoftmaxWithLoss(LabelLoss):
    """-log of the softmax probability of each label, summed and divided as loss_param.normalization says.

    Probabilities below 1.18e-38 count as that, so that one item costs at most 87.3365. Labels equal to
    loss_param.ignore_label do not count. Every other label is checked.
    """

    bottoms = slots("scores (N, C, ...)", "labels (N, ...), whole numbers below C")
    tops = slots("loss scalar", optional=("probabilities of the scores' shape",))

    def loss(self, p: Any, labels: Any, bottom: list[Blob], loss: Any, divisor: Any) -> None:
        """Cross entropy."""
        self.ops.softmax_loss_forward(p, labels, loss, divisor, self.divisor.ignore)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Probability minus one at the label."""
        if propagate_down[0]:
            dx, divisor = bottom[0].diff.reshape(self.view), self.divisor.value.data
            labels = self._labels(bottom)
            self.ops.softmax_loss_backward(
                self.probability.data, labels, dx, scalar(top[0].diff), divisor, self.divisor.ignore
            )


@register_layer("InfogainLoss", settings="infogain_loss_param")
class InfogainLoss(LabelLoss):
    """Cross entropy weighted by a matrix: -sum over classes k of H[label, k] * log p[k], p = softmax(scores).

    H (C, C) is bottom 2, or the BlobProto file `source`; the identity gives SoftmaxWithLoss. Probabilities are raised
    to at least 1e-20 before the logarithm.
    """

    bottoms = slots("scores (N, C, ...)", "labels (N, ...), whole numbers below C", optional=("H with C * C elements",))
    tops = slots("loss scalar", optional=("probabilities of the scores' shape",))
    blocked_bottoms = (1, 2)
    axis_setting = "infogain_loss_param"

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read H from its file where it is no bottom."""
        super().setup(bottom, top)
        if self.definition.settings("loss_param").HasField("normalize"):
            raise self.fail(
                "normalize does not go with InfogainLoss", setting="loss_param.normalize", mend="use normalization"
            )
        self.gains: Blob | None = None
        if len(bottom) < 3:
            self.gains = self._gains_from_file()

    def _gains_from_file(self) -> Blob:
        if not self.settings.source:
            raise self.fail(
                "H is missing", setting="infogain_loss_param", error=SettingsError, mend="give bottom 2, or source"
            )
        path = resolve_path(self.settings.source, self.context.folder)
        try:
            proto = parse_binary(messages.BlobProto, path.read_bytes(), str(path))
        except OSError as error:
            raise self.fail(
                f"{path} cannot be read: {error.strerror}",
                setting="infogain_loss_param.source",
                mend="name a file with a BlobProto of K x K numbers",
            ) from error
        values = list(proto.data) or list(proto.double_data)
        blob = self.buffer("H")
        blob.reshape(len(values))

        def fill(flat: Any) -> None:
            flat[...] = self.device.from_host(np.asarray(values, self.dtype))

        blob.data_storage.fill = fill
        return blob

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """H must be a square of the number of classes."""
        super().reshape(bottom, top)
        gains, classes = self.gains or bottom[2], self.view[1]
        if gains.count != classes * classes:
            raise self.fail(f"H has {gains.count} elements, {classes} classes need {classes * classes}")

    def _gains(self, bottom: list[Blob]) -> Any:
        return (self.gains or bottom[2]).data.reshape(self.view[1], self.view[1])

    def loss(self, p: Any, labels: Any, bottom: list[Blob], loss: Any, divisor: Any) -> None:
        """Weighted cross entropy."""
        self.ops.infogain_loss_forward(p, labels, self._gains(bottom), loss, divisor, self.divisor.ignore)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """p * sum of H[label] - H[label]."""
        if propagate_down[0]:
            labels, dx = self._labels(bottom), bottom[0].diff.reshape(self.view)
            scale, divisor = scalar(top[0].diff), self.divisor.value.data
            self.ops.infogain_loss_backward(
                self.probability.data, labels, self._gains(bottom), dx, scale, divisor, self.divisor.ignore
            )
