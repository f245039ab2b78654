"""The prototypical and the supervised contrastive loss on a GPU (kernels/prototypical.cu, sup_con.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import WARP
from netforge.device.operations.prototypical import PrototypeRule
from netforge.device.operations.sup_con import PairRule

Array = Any  # a CuPy array

TALLY = 5
"""Numbers that a query leaves for the summary of its loss (TALLY in prototypical.cu)."""


class CudaPrototypical(CudaCore):
    """`PrototypicalOps` and `SupConOps` by kernels."""

    def split_episode(
        self, labels: Array, shots: int, targets: Array, shares: Array, absent: Array, report: Array
    ) -> int:
        """Split a batch into support, the first `shots` items of each class, and queries; -1, the report says more."""
        items = len(labels)
        firsts, members = self.scratch.take("episode", (2, max(1, items)), np.int32)
        self.launch.warps("episode_members", labels.dtype, items, labels, firsts, members, targets, *labels.shape)
        arrays = (labels, firsts, members, targets, shares, absent, report)
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
        items, dtype = len(distances), distances.dtype
        tally = self.scratch.take("prototypical tally", (max(1, items), TALLY), dtype)
        arrays, numbers = (distances, targets, probabilities, tally), (rule.temperature, rule.factor)
        self.launch.warps("prototypical_forward", dtype, items, *arrays, *distances.shape, *numbers)
        self.launch.grid("prototypical_summary", dtype, (1,), tally, queries, loss, accuracy, means, items)

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
            numbers = (len(own), size, len(others), *strides)
            tiles = len(own) * -(-size // WARP)
            self.launch.blocks("squared_distances_backward", x.dtype, tiles, own, others, slopes, out, *numbers)

    # --- pairs -------------------------------------------------------------------------------------------------------

    def sup_con_pairs(self, values: Array, labels: Array, slopes: Array, tally: Array, rule: PairRule) -> None:
        """The cost of each anchor, and slopes, its gradient by the row's values."""
        kernel = "sup_con_against_negatives" if rule.negatives_only else "sup_con_against_all"
        arrays = (values, labels, slopes, tally)
        self.launch.blocks(kernel, slopes.dtype, len(labels), *arrays, *labels.shape, rule.temperature)

    def sup_con_summary(self, tally: Array, loss: Array, anchors: Array, means: Array) -> None:
        """loss[0] = the mean cost of anchors, anchors[0] their number, at least 1; means of values."""
        self.launch.grid("sup_con_summary", tally.dtype, (1,), tally, loss, anchors, means, len(tally))

    def sup_con_backward(self, slopes: Array, anchors: Array, scale: Array, weights: Array) -> None:
        """weights = scale[0] / anchors[0] * (slopes + slopes transposed)."""
        arrays = (slopes, anchors, scale, weights)
        self.launch.each("sup_con_backward", slopes.dtype, slopes.size, *arrays, slopes.size, len(slopes))
