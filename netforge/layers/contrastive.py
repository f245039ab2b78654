"""The contrastive loss on pairs of embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from netforge.blob import Blob
from netforge.device.operations.contrastive import ContrastiveRule
from netforge.layers.axes import bad_label, rows, same_batch, scalar
from netforge.layers.base import Layer, register_layer, slots


@register_layer("ContrastiveLoss", settings="contrastive_loss_param")
class ContrastiveLoss(Layer):
    """Pulls embeddings of one class together and pushes others a margin apart (Hadsell et al., CVPR 2006, equation 4).

    With d = ||a - b|| a similar pair costs d^2, a dissimilar one max(margin - d, 0)^2, or with legacy_version
    max(margin - d^2, 0). distance_calculation MANHATTAN: sum of |a - b| in the place of d^2, in the legacy form. The
    loss is the sum of costs over 2 N. matching_distance_scale multiplies the distance (d^2) of similar pairs.

    labels: (N,) or (N, 1): not 0 for similar pairs; (N, 2) or (N, 3): class numbers, similar where all are equal.
    The second top needs output_matches: 1 where "nearer than the margin" agrees with the labels, else 0.

    centroid_learning: the centroid of the pair's first label, from the bottom `centroids`, takes the place of a for
    similar (MATCHING), dissimilar (NONMATCHING) or ALL pairs as soon as any centroid is not 0; such pairs give a no
    gradient. The gradient of a dissimilar pair divides by d + 1e-4, as Caffe's does.
    """

    bottoms = slots(
        "a (N, D...)", "b (N, D...)", "labels (N, 1 to 3)", optional=("centroids (classes, D) for centroid_learning",)
    )
    tops = slots("loss scalar", optional=("matches (N,), with output_matches",))
    is_loss = True
    blocked_bottoms = (2, 3)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Turn the settings into a rule, and check that the bottoms they need are there."""
        s = self.settings
        manhattan = s.distance_calculation == s.MANHATTAN
        self.rule = ContrastiveRule(
            margin=s.margin,
            squared_hinge=not (s.legacy_version or manhattan),
            manhattan=manhattan,
            similar_scale=s.matching_distance_scale,
        )
        self.learning = s.CentroidLearning.Name(s.centroid_learning)
        if self.learning != "NONE" and len(bottom) < 4:
            raise self.fail(
                f"centroid_learning {self.learning} needs a fourth bottom",
                setting="contrastive_loss_param.centroid_learning",
                mend="add the second top of a Decode layer as the last bottom",
            )
        if len(top) > 1 and not s.output_matches:
            raise self.fail(
                "the second top needs output_matches",
                setting="contrastive_loss_param",
                mend="write output_matches: true, or remove the second top",
            )
        names = ("similar", "distance", "difference", "target", "active", "replaced", "original")
        self.similar, self.distance, self.difference, self.target, self.active = map(self.buffer, names[:5])
        self.replaced, self.original = map(self.buffer, names[5:])  # 1 for items of a with a centroid, and without
        self.active.reshape(1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check shapes: pairs of embeddings, their labels, and centroids of the same size."""
        a, b, labels = bottom[:3]
        same_batch(self, [a, b, labels])
        if a.count != b.count:
            raise self.fail(f'embeddings differ in size: "{a.name}" {a.shape}, "{b.name}" {b.shape}')
        items = a.shape[0]
        self.view = (items, math.prod(a.shape[1:]))
        self.labels_view = (items, math.prod(labels.shape[1:]))
        learns = self.learning != "NONE"
        if self.labels_view[1] not in ((2,) if learns else (1, 2, 3)):
            needed = "2, for centroid_learning" if learns else "1 to 3"
            raise self.fail(f'"{labels.name}" {labels.shape} has {self.labels_view[1]} labels an item, not {needed}')
        if learns and math.prod(bottom[3].shape[1:]) != self.view[1]:
            raise self.fail(f'centroids "{bottom[3].name}" {bottom[3].shape} differ in size from "{a.name}" {a.shape}')
        self.difference.reshape(self.view)
        self.target.reshape(self.view if learns else (0,))
        self.similar.reshape(items)
        self.distance.reshape(items)
        for blob in (self.replaced, self.original):
            blob.reshape(items if learns else 0)
        top[0].reshape(())
        if len(top) > 1:
            top[1].reshape(items)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Measure each pair and sum the costs."""
        a, b = bottom[0].data.reshape(self.view), bottom[1].data.reshape(self.view)
        labels = bottom[2].data.reshape(self.labels_view)
        self.ops.pair_similarity(labels, self.similar.data)
        if self.learning == "NONE":
            self.ops.fill(self.active.data, 1.0)
        else:
            a = self._targets(a, bottom[2], labels, bottom[3])
        self.ops.contrastive_forward(
            a,
            b,
            self.similar.data,
            self.active.data,
            self.difference.data,
            self.distance.data,
            scalar(top[0].data),
            top[1].data if len(top) > 1 else None,
            self.rule,
        )

    def _targets(self, a: Any, labels_blob: Blob, labels: Any, centroids: Blob) -> Any:
        """The embeddings, with centroids in the place of some of them.

        Every label must have its centroid, except while none is there yet: a fresh Decode has not seen all classes.
        """
        classes = centroids.shape[0]
        report = self.report("wrong label")
        report.explain = partial(bad_label, self, labels_blob, classes)
        found = self.ops.check_labels(labels_blob.data, classes, None, report.array)
        self.ops.contrastive_targets(
            a,
            labels,
            self.similar.data,
            rows(centroids.data),
            self.learning,
            self.target.data,
            self.replaced.data,
            self.active.data,
        )
        faults = report.array.reshape(1, 1, 2)
        self.ops.scale_forward(faults, self.active.data, None, faults)  # forget those from before the first centroid
        if found >= 0:
            report.settle()
        return self.target.data

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull similar pairs together, push near dissimilar ones apart."""
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                dx = bottom[i].diff.reshape(self.view)
                self.ops.contrastive_backward(
                    self.difference.data,
                    self.distance.data,
                    self.similar.data,
                    self.active.data,
                    dx,
                    scalar(top[0].diff),
                    sign,
                    self.rule,
                )
                if i == 0 and self.learning != "NONE":
                    self.ops.power_forward(self.replaced.data, self.original.data, 1.0, -1.0, 1.0)
                    per_item = dx.reshape(1, *self.view)
                    self.ops.scale_forward(per_item, self.original.data, None, per_item)
