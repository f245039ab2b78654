"""The supervised contrastive loss on the items of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.device.operations.sup_con import POSITIVES, TALLY, PairRule
from netforge.layers.axes import labelled_batch, rows, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.collapse import CollapseWatch
from netforge.layers.directions import Directions


@register_layer("SupConLoss", settings="sup_con_loss_param")
class SupConLoss(Layer):
    """Pulls each item to all others of its class, against all of the batch (Khosla et al., NeurIPS 2020, equation 2).

    With scores s_ij of two items, an item i costs the mean over the other items p of its class of
    -log(exp(s_ip) / sum over a of exp(s_ia)); the loss is the mean over the items that have another one of their class
    in the batch, 0 where none has. distance COSINE: s = cosine / temperature of embeddings that need not be normalised
    before; SQUARED: s = -(squared distance) / temperature, for which a temperature of 1 is usual. against ALL: the a
    are all other items; NEGATIVES: p and the items of other classes, so that pairs of one class do not compete with
    each other (the N-pair loss of Sohn, NeurIPS 2016, equation 6, over all pairs of the batch).

    Give it several images of each of several classes (data_param { batch_classes batch_images }). Labels (only column 0
    counts) may be any numbers.

    The second top gives the mean cosine, or squared distance, of pairs of one class, and of pairs of two; it gets no
    gradient. Embeddings that collapse, and batches without pairs of one class, are reported once where the solver
    displays.
    """

    bottoms = slots("embedding (N, D...)", "labels (N, 1 or more)")
    tops = slots("loss scalar", optional=("means (2,), of pairs of one class, of others",))
    is_loss = True
    blocked_bottoms = (1,)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Turn the settings into a rule."""
        s = self.settings
        self.compares_angles = s.distance == s.COSINE
        self.rule = PairRule(s.temperature if self.compares_angles else -s.temperature, s.against == s.NEGATIVES)
        self.directions = Directions(self, "x", normalize=self.compares_angles)
        self.values, self.slopes, self.dothers = map(self.buffer, ("values", "slopes", "others' gradient"))
        self.tally, self.anchors, self.means = map(self.buffer, ("tally", "anchors", "means"))
        resting = math.log(max(1, bottom[0].shape[0] - 1)) if bottom[0].shape else 0.0
        self.watch = CollapseWatch(s.temperature, resting, "a lower temperature")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One row of labels for each embedding."""
        labelled_batch(self, bottom)
        items, size = bottom[0].shape[0], math.prod(bottom[0].shape[1:])
        self.directions.reshape(items, size)
        if not self.compares_angles:
            self.dothers.reshape(items, size)
        self.values.reshape(items, items)
        self.slopes.reshape(items, items)
        self.tally.reshape(items, TALLY)
        self.anchors.reshape(1)
        self.means.reshape(2)
        for blob, shape in zip(top, ((), (2,)), strict=False):
            blob.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Compare all pairs."""
        x, values, tally = self.directions.forward(rows(bottom[0].data)), self.values.data, self.tally.data
        if self.compares_angles:
            self.ops.matmul(x, x, values, transpose_b=True)
        else:
            self.ops.centroid_distances(x, x, values, None)
        self.ops.sup_con_pairs(values, rows(bottom[1].data), self.slopes.data, tally, self.rule)
        self.ops.sup_con_summary(tally, scalar(top[0].data), self.anchors.data, self.means.data)
        if len(top) > 1:
            self.ops.copy(self.means.data, top[1].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull pairs of one class together, and others apart."""
        if not propagate_down[0]:
            return
        x, weights, dx = self.directions.again(rows(bottom[0].data)), self.values.data, rows(bottom[0].diff)
        self.ops.sup_con_backward(self.slopes.data, self.anchors.data, scalar(top[0].diff), weights)
        if self.compares_angles:
            self.ops.matmul(weights, x, dx)
            self.directions.backward(dx)
        else:  # the weights are symmetric: what the items get as the first of a pair is all of it
            self.ops.squared_distances_backward(x, x, weights, dx, self.dothers.data)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """A collapse, or a batch in which no class has two items."""
        if not self.device.to_host(self.tally.data)[:, POSITIVES].any():
            return (
                "no class has two images in the batch, so nothing is learned from it; give it several images of each "
                "of several classes: data_param { batch_classes: 10 batch_images: 4 }"
            )
        within, between = self.device.to_host(self.means.data).tolist()
        if self.compares_angles:
            within, between = round(1 - within, 5), round(1 - between, 5)  # less is the cosines' own rounding
        return self.watch.look(within, between)
