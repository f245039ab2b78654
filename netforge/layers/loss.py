"""Losses between predictions and targets, except those built on softmax and those on pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.layers.axes import check_labels, same_batch, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.softmax import LossDivisor


@register_layer("EuclideanLoss")
class EuclideanLoss(Layer):
    """Sum of (a - b)^2 over 2 N, N = number of items; both bottoms get gradients."""

    bottoms = slots("a (N, ...)", "b with as many elements per item")
    tops = slots("loss scalar")
    is_loss = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for the difference."""
        self.difference = self.buffer("difference")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Both bottoms have as many items, of as many elements."""
        same_batch(self, bottom)
        if bottom[0].count != bottom[1].count:
            raise self.fail(
                f'"{bottom[0].name}" {bottom[0].shape} and "{bottom[1].name}" {bottom[1].shape} differ in elements'
            )
        self.view = (bottom[0].shape[0], math.prod(bottom[0].shape[1:]))
        self.difference.reshape(self.view)
        top[0].reshape(())

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Half the mean squared distance."""
        a, b = bottom[0].data.reshape(self.view), bottom[1].data.reshape(self.view)
        self.ops.euclidean_loss_forward(a, b, self.difference.data, scalar(top[0].data))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """The difference over N, with opposite signs."""
        for blob, wanted, sign in zip(bottom, propagate_down, (1, -1), strict=True):
            if wanted:
                dx = blob.diff.reshape(self.view)
                self.ops.euclidean_loss_backward(self.difference.data, dx, scalar(top[0].diff), sign)


class RowLoss(Layer):
    """What losses over one row of scores and one label for each item share."""

    bottoms = slots("scores (N, C...)", "labels (N,), whole numbers below C")
    tops = slots("loss scalar")
    is_loss = True
    blocked_bottoms = (1,)
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One label for each item."""
        same_batch(self, bottom)
        if bottom[1].count != bottom[0].shape[0]:
            raise self.fail(f'"{bottom[1].name}" has shape {bottom[1].shape}', mend="give one label for each item")
        self.view = (bottom[0].shape[0], math.prod(bottom[0].shape[1:]))
        top[0].reshape(())


@register_layer("HingeLoss", settings="hinge_loss_param")
class HingeLoss(RowLoss):
    """One against all with margin 1: sum of max(0, 1 -/+ score) over classes (norm L1), or its square (L2), over N."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for the margins."""
        self.norm = 2 if self.settings.norm == self.settings.L2 else 1
        self.margins = self.buffer("margins")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """A margin for each score."""
        super().reshape(bottom, top)
        self.margins.reshape(self.view)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Sum the violated margins."""
        check_labels(self, bottom[1], self.view[1])
        x, labels = bottom[0].data.reshape(self.view), bottom[1].data.reshape(-1)
        self.ops.hinge_loss_forward(x, labels, self.margins.data, scalar(top[0].data), self.norm)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Push the scores whose margin is violated."""
        if propagate_down[0]:
            labels, dx = bottom[1].data.reshape(-1), bottom[0].diff.reshape(self.view)
            self.ops.hinge_loss_backward(labels, self.margins.data, dx, scalar(top[0].diff), self.norm)


@register_layer("MultinomialLogisticLoss")
class MultinomialLogisticLoss(RowLoss):
    """-sum of log p[label] / N for probabilities p, taken as they are and raised to at least 1e-20."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Cross entropy."""
        check_labels(self, bottom[1], self.view[1])
        self.ops.multinomial_loss_forward(
            bottom[0].data.reshape(self.view), bottom[1].data.reshape(-1), scalar(top[0].data)
        )

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """-1 / p at the label."""
        if propagate_down[0]:
            p, dx = bottom[0].data.reshape(self.view), bottom[0].diff.reshape(self.view)
            self.ops.multinomial_loss_backward(p, bottom[1].data.reshape(-1), dx, scalar(top[0].diff))


@register_layer("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(Layer):
    """Cross entropy of sigmoid(scores) against targets in [0, 1], summed and divided as loss_param says.

    The default divisor is the number of items (BATCH_SIZE). Elements whose target is loss_param.ignore_label do not
    count.
    """

    bottoms = slots("scores any shape", "targets with as many elements, in [0, 1]")
    tops = slots("loss scalar")
    also_reads = ("loss_param",)
    is_loss = True
    blocked_bottoms = (1,)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read loss_param."""
        self.divisor = LossDivisor(self, "BATCH_SIZE")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Both bottoms hold as many elements."""
        same_batch(self, bottom)
        if bottom[0].count != bottom[1].count:
            raise self.fail(
                f'"{bottom[0].name}" {bottom[0].shape} and "{bottom[1].name}" {bottom[1].shape} differ in elements'
            )
        top[0].reshape(())

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Sum the entropies of all elements."""
        x, targets = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        divisor = self.divisor.write(targets, bottom[0].shape[0])
        self.ops.sigmoid_loss_forward(x, targets, scalar(top[0].data), divisor, self.divisor.ignore)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Sigmoid minus target."""
        if propagate_down[0]:
            x, targets, dx = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), bottom[0].diff.reshape(-1)
            scale, divisor = scalar(top[0].diff), self.divisor.value.data
            self.ops.sigmoid_loss_backward(x, targets, dx, scale, divisor, self.divisor.ignore)
