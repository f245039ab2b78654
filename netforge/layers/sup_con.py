"""The supervised contrastive loss on the items of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.device.operations.sup_con import POSITIVES, TALLY
from netforge.layers.axes import rows, same_batch, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.collapse import CollapseWatch

SHORTEST = 1e-6
"""Shorter embeddings count as this long: a bound on the gradient of one that is 0."""


@register_layer("SupConLoss", settings="sup_con_loss_param")
class SupConLoss(Layer):
    """Pulls each item to all others of its class, against all of the batch (Khosla et al., NeurIPS 2020, equation 2).

    With s = cosine / temperature of two embeddings, which need not be normalised before, an item i costs the mean over
    the other items p of its class of -log(exp(s_ip) / sum over all others a of exp(s_ia)); the loss is the mean over
    the items that have another one of their class in the batch, 0 where none has.

    Give it several images of each of several classes (data_param { batch_classes batch_images }). Labels (only column 0
    counts) may be any numbers.

    The second top gives the mean cosine of pairs of one class, and of pairs of two; it gets no gradient. Embeddings
    that collapse, and batches without pairs of one class, are reported once where the solver displays.
    """

    bottoms = slots("embedding (N, D...)", "labels (N, 1 or more)")
    tops = slots("loss scalar", optional=("cosines (2,), mean of pairs of one class, mean of others",))
    is_loss = True
    blocked_bottoms = (1,)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for what is known about pairs."""
        names = ("unit", "norm", "similarities", "slopes", "tally", "anchors", "means")
        self.unit, self.norm, self.similarities, self.slopes = map(self.buffer, names[:4])
        self.tally, self.anchors, self.means = map(self.buffer, names[4:])
        resting = math.log(max(1, bottom[0].shape[0] - 1)) if bottom[0].shape else 0.0
        self.watch = CollapseWatch(self.settings.temperature, resting, "a lower temperature")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One row of labels for each embedding."""
        same_batch(self, bottom)
        if not math.prod(bottom[1].shape[1:]):
            raise self.fail(f'"{bottom[1].name}" has shape {bottom[1].shape}', mend="give at least one label an item")
        items = bottom[0].shape[0]
        self.unit.reshape(items, math.prod(bottom[0].shape[1:]))
        self.norm.reshape(items)
        self.similarities.reshape(items, items)
        self.slopes.reshape(items, items)
        self.tally.reshape(items, TALLY)
        self.anchors.reshape(1)
        self.means.reshape(2)
        for blob, shape in zip(top, ((), (2,)), strict=False):
            blob.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Compare all pairs."""
        unit, similarities, tally = self.unit.data, self.similarities.data, self.tally.data
        self.ops.unit_forward(rows(bottom[0].data), self.norm.data, unit, SHORTEST)
        self.ops.matmul(unit, unit, similarities, transpose_b=True)
        self.ops.sup_con_pairs(similarities, rows(bottom[1].data), self.slopes.data, tally, self.settings.temperature)
        self.ops.sup_con_summary(tally, scalar(top[0].data), self.anchors.data, self.means.data)
        if len(top) > 1:
            self.ops.copy(self.means.data, top[1].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull pairs of one class together, and others apart."""
        if not propagate_down[0]:
            return
        unit, weights, dx = self.unit.data, self.similarities.data, rows(bottom[0].diff)
        self.ops.sup_con_backward(self.slopes.data, self.anchors.data, scalar(top[0].diff), weights)
        self.ops.matmul(weights, unit, dx)
        self.ops.unit_backward(unit, self.norm.data, dx, dx, SHORTEST)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """A collapse, or a batch in which no class has two items."""
        if not self.device.to_host(self.tally.data)[:, POSITIVES].any():
            return (
                "no class has two images in the batch, so nothing is learned from it; give it several images of each "
                "of several classes: data_param { batch_classes: 10 batch_images: 4 }"
            )
        alike, unlike = self.device.to_host(self.means.data).tolist()
        return self.watch.look(round(1 - alike, 5), round(1 - unlike, 5))  # less is the cosines' own rounding
