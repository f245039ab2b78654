"""The triplet loss on embeddings: of given triplets, and of those that are found in the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.device.operations.triplet import Divisor
from netforge.device.operations.triplet_miners import Mining
from netforge.device.operations.triplet_rule import COUNTED, TALLY, TripletRule
from netforge.layers.axes import labelled_batch, rows, same_batch, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.collapse import CollapseWatch
from netforge.layers.directions import Directions


@register_layer("TripletLoss", settings="triplet_loss_param")
class TripletLoss(Layer):
    """Asks each anchor to lie nearer to items of its class than to others, by a margin.

    A triplet costs max(z, 0) with z = alpha + distance(anchor, positive) - distance(anchor, negative), or log(1 + e^z)
    without alpha where soft_margin is set; it is active where z > 0. distance: SQUARED (sum of squares), EUCLIDEAN (its
    root), COSINE (1 - cosine). Distances of 0 get finite gradients.

    Bottoms anchor, positive, negative (and labels, which are not used): the loss is the sum of costs over 2 N.

    Bottoms embedding and labels (only column 0 counts): the triplets are found in the batch. Give it several images of
    each of several classes (data_param { batch_classes batch_images }). mining ALL: every triplet, the mean over the
    active ones, or with soft_margin over all of them (Hermans et al. 2017, "batch all"). HARD: each anchor with its
    farthest positive and nearest negative, the mean over anchors (ibid., "batch hard"). SEMIHARD: each anchor and
    positive with the nearest negative that is farther than the positive, or the farthest one where none is, the mean
    over these pairs (Schroff et al. 2015). Which items were found is constant for the gradient.

    Two more tops show how training goes: the share of triplets that are active, and the mean distance to positives and
    to negatives (of given triplets, or of all pairs in the batch). They get no gradient. Embeddings that collapse are
    reported once where the solver displays.
    """

    bottoms = slots(
        "embedding (N, D...), or anchor", "labels (N, 1 or more), or positive", optional=("negative", "labels")
    )
    tops = slots("loss scalar", optional=("active share scalar", "distances (2,), means to positives, to negatives"))
    is_loss = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Turn the settings into a rule."""
        s = self.settings
        self.mines = len(bottom) == 2
        self.blocked_bottoms = (1,) if self.mines else (3,)
        self.mining: Mining = s.Mining.Name(s.mining)
        self._check_settings()
        kind = s.Distance.Name(s.distance)
        self.rule = TripletRule(
            margin=0.0 if s.soft_margin else s.alpha,
            soft=s.soft_margin,
            euclidean=kind == "EUCLIDEAN",
            factor=0.5 if kind == "COSINE" else 1.0,
        )
        self.over: Divisor = "TWICE"
        if self.mines:
            self.over = "ACTIVE" if self.mining == "ALL" and not s.soft_margin else "COUNTED"
        names = ("distances", "slope", "tally", "divisor", "means")
        self.distances, self.slope, self.tally, self.divisor, self.means = map(self.buffer, names)
        self.embeddings = [
            Directions(self, name, normalize=kind == "COSINE") for name in ("x" if self.mines else "apn")
        ]
        self.watch = self._make_watch()

    def _check_settings(self) -> None:
        """Refuse settings that would have no effect."""
        if not self.mines and self.settings.HasField("mining"):
            raise self.fail(
                "mining needs the two bottoms embedding and labels",
                setting="triplet_loss_param.mining",
                mend="give these, or remove mining",
            )
        if self.settings.soft_margin and self.settings.HasField("alpha"):
            raise self.fail(
                "alpha is the hard margin's, and has no effect beside soft_margin",
                setting="triplet_loss_param.alpha",
                mend="remove one of them",
            )

    def _make_watch(self) -> CollapseWatch:
        cost = math.log(2) if self.rule.soft else self.rule.margin
        mends = ["mining: SEMIHARD or ALL"] if self.mines and self.mining == "HARD" else []
        mends += [] if self.rule.soft else ["a smaller alpha"]
        return CollapseWatch(self.rule.margin or 1.0, cost if self.mines else cost / 2, ", ".join(mends))

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Embeddings of one size, and one row of labels for each."""
        (labelled_batch if self.mines else same_batch)(self, bottom)
        for blob in bottom[1 : len(self.embeddings)]:
            if blob.count != bottom[0].count:
                raise self.fail(
                    f'embeddings differ in size: "{bottom[0].name}" {bottom[0].shape}, "{blob.name}" {blob.shape}'
                )
        items = bottom[0].shape[0]
        self.distances.reshape((items, items if self.mines else 2))
        self.slope.reshape((items, items) if self.mines else (items,))
        self.tally.reshape((items, TALLY))
        self.divisor.reshape(1)
        self.means.reshape(2)
        for embedding in self.embeddings:
            embedding.reshape(items, math.prod(bottom[0].shape[1:]))
        for blob, shape in zip(top, ((), (), (2,)), strict=False):
            blob.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Measure distances, judge triplets, sum up."""
        embeddings = [e.forward(rows(blob.data)) for e, blob in zip(self.embeddings, bottom, strict=False)]
        distances, slope, tally = self.distances.data, self.slope.data, self.tally.data
        if self.mines:
            self.ops.pair_distances(embeddings[0], distances, self.rule)
            self.ops.triplet_mine(distances, rows(bottom[1].data), slope, tally, self.mining, self.rule)
        else:
            a, p, n = embeddings
            self.ops.triplet_forward(a, p, n, distances, slope, tally, self.rule)
        active = scalar(top[1].data) if len(top) > 1 else None
        self.ops.triplet_summary(tally, scalar(top[0].data), self.divisor.data, active, self.means.data, self.over)
        if len(top) > 2:
            self.ops.copy(self.means.data, top[2].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull anchors to their positives, push them from their negatives."""
        used = list(zip(self.embeddings, bottom, propagate_down, strict=False))
        values = [embedding.again(rows(blob.data)) for embedding, blob, _ in used]
        diffs = [rows(blob.diff) if wanted else None for _, blob, wanted in used]
        distances, slope, divisor = self.distances.data, self.slope.data, self.divisor.data
        scale = scalar(top[0].diff)
        if not self.mines:
            a, p, n = values
            da, dp, dn = diffs
            self.ops.triplet_backward(a, p, n, distances, slope, divisor, scale, da, dp, dn, self.rule)
        elif diffs[0] is not None:
            self.ops.mined_triplet_backward(values[0], distances, slope, divisor, scale, diffs[0], self.rule)
        for embedding, diff in zip(self.embeddings, diffs, strict=True):
            if diff is not None:
                embedding.backward(diff)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """A collapse, or a batch in which there is no triplet."""
        if not self.device.to_host(self.tally.data)[:, COUNTED].any():
            return (
                "the batch holds no triplet, which takes two items of one class and one of another; give it several "
                "images of each of several classes: data_param { batch_classes: 10 batch_images: 4 }"
            )
        within, between = self.device.to_host(self.means.data).tolist()
        return self.watch.look(within, between)
