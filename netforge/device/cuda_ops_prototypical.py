"""The prototypical and the supervised contrastive loss on a GPU (kernels/prototypical.cu, sup_con.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.operations.prototypical import PrototypeRule
from netforge.device.operations.sup_con import PairRule

Array = Any  # a CuPy array


class CudaPrototypical(CudaCore):
    """`PrototypicalOps` and `SupConOps` by kernels."""

    def split_episode(
        self, labels: Array, shots: int, targets: Array, shares: Array, absent: Array, report: Array
    ) -> int:
        """Split a batch into support, the first `shots` items of each class, and queries; -1, the report says more."""
        firsts = self.scratch.take("first items", (max(1, len(labels)),), np.int32)
        arrays = (labels, firsts, targets, shares, absent, report)
        self.launch.grid("split_episode", labels.dtype, (1,), *arrays, *labels.shape, len(shares), shots)
        return -1

    def prototypical_forward(
        self,
        distances: Array,
        targets: Array,
        probabilities: Array,
        queries: Array,
        loss: Array,
        accuracy: Array | None,
        means: Array | None,
        rule: PrototypeRule,
    ) -> None:
        """loss[0] = mean over queries of -log softmax(-d / temperature)[target]."""
        arrays = (distances, targets, probabilities, queries, loss, accuracy, means)
        numbers = (*distances.shape, rule.temperature, rule.factor)
        self.launch.grid("prototypical_forward", distances.dtype, (1,), *arrays, *numbers)

    def prototypical_backward(
        self, probabilities: Array, targets: Array, queries: Array, scale: Array, slopes: Array, rule: PrototypeRule
    ) -> None:
        """slopes = scale[0] times the gradient of the loss by the distances."""
        arrays = (probabilities, targets, queries, scale, slopes)
        numbers = (slopes.size, slopes.shape[1], rule.factor / rule.temperature)
        self.launch.each("prototypical_backward", slopes.dtype, slopes.size, *arrays, *numbers)

    def squared_distances_backward(
        self, x: Array, centroids: Array, slopes: Array, dx: Array, dcentroids: Array
    ) -> None:
        """dx, dcentroids = gradients of the sum of slopes * squared distances."""
        size, classes = x.shape[1], len(centroids)
        for own, others, out, strides in ((x, centroids, dx, (classes, 1)), (centroids, x, dcentroids, (1, classes))):
            arrays = (own, others, slopes, out, own.size)
            self.launch.each("squared_distances_backward", x.dtype, own.size, *arrays, size, len(others), *strides)

    # --- pairs -------------------------------------------------------------------------------------------------------

    def sup_con_pairs(self, values: Array, labels: Array, slopes: Array, tally: Array, rule: PairRule) -> None:
        """The cost of each anchor, and slopes, its gradient by the row's values."""
        kernel = "sup_con_against_negatives" if rule.negatives_only else "sup_con_against_all"
        arrays = (values, labels, slopes, tally)
        self.launch.warps(kernel, slopes.dtype, len(labels), *arrays, *labels.shape, rule.temperature)

    def sup_con_summary(self, tally: Array, loss: Array, anchors: Array, means: Array) -> None:
        """loss[0] = the mean cost of anchors, anchors[0] their number, at least 1; means of values."""
        self.launch.grid("sup_con_summary", tally.dtype, (1,), tally, loss, anchors, means, len(tally))

    def sup_con_backward(self, slopes: Array, anchors: Array, scale: Array, weights: Array) -> None:
        """weights = scale[0] / anchors[0] * (slopes + slopes transposed)."""
        arrays = (slopes, anchors, scale, weights)
        self.launch.each("sup_con_backward", slopes.dtype, slopes.size, *arrays, slopes.size, len(slopes))
