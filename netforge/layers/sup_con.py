"""The supervised contrastive loss on the items of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.device.operations.sup_con import POSITIVES, TALLY
from netforge.layers.axes import labelled_batch, rows, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.collapse import CollapseWatch
from netforge.layers.directions import Directions


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
        self.directions = Directions(self, "x", normalize=True)
        self.similarities, self.slopes = self.buffer("similarities"), self.buffer("slopes")
        self.tally, self.anchors, self.means = map(self.buffer, ("tally", "anchors", "means"))
        resting = math.log(max(1, bottom[0].shape[0] - 1)) if bottom[0].shape else 0.0
        self.watch = CollapseWatch(self.settings.temperature, resting, "a lower temperature")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One row of labels for each embedding."""
        labelled_batch(self, bottom)
        items = bottom[0].shape[0]
        self.directions.reshape(items, math.prod(bottom[0].shape[1:]))
        self.similarities.reshape(items, items)
        self.slopes.reshape(items, items)
        self.tally.reshape(items, TALLY)
        self.anchors.reshape(1)
        self.means.reshape(2)
        for blob, shape in zip(top, ((), (2,)), strict=False):
            blob.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Compare all pairs."""
        unit, similarities, tally = (
            self.directions.forward(rows(bottom[0].data)),
            self.similarities.data,
            self.tally.data,
        )
        self.ops.matmul(unit, unit, similarities, transpose_b=True)
        self.ops.sup_con_pairs(similarities, rows(bottom[1].data), self.slopes.data, tally, self.settings.temperature)
        self.ops.sup_con_summary(tally, scalar(top[0].data), self.anchors.data, self.means.data)
        if len(top) > 1:
            self.ops.copy(self.means.data, top[1].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull pairs of one class together, and others apart."""
        if not propagate_down[0]:
            return
        unit, weights, dx = self.directions.again(rows(bottom[0].data)), self.similarities.data, rows(bottom[0].diff)
        self.ops.sup_con_backward(self.slopes.data, self.anchors.data, scalar(top[0].diff), weights)
        self.ops.matmul(weights, unit, dx)
        self.directions.backward(dx)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """A collapse, or a batch in which no class has two items."""
        if not self.device.to_host(self.tally.data)[:, POSITIVES].any():
            return (
                "no class has two images in the batch, so nothing is learned from it; give it several images of each "
                "of several classes: data_param { batch_classes: 10 batch_images: 4 }"
            )
        alike, unlike = self.device.to_host(self.means.data).tolist()
        return self.watch.look(round(1 - alike, 5), round(1 - unlike, 5))  # less is the cosines' own rounding
