"""The triplet loss on a GPU (kernels/triplet.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import BLOCK, LARGE_BLOCK, sum_blocks
from netforge.device.operations.triplet import Divisor
from netforge.device.operations.triplet_miners import Mining
from netforge.device.operations.triplet_rule import TripletRule

Array = Any  # a CuPy array

_OVER: dict[Divisor, int] = {"ACTIVE": 0, "COUNTED": 1, "TWICE": 2}
_TILE = 16


class CudaTriplet(CudaCore):
    """`TripletOps` by kernels."""

    def triplet_forward(
        self, a: Array, p: Array, n: Array, distances: Array, slope: Array, tally: Array, rule: TripletRule
    ) -> None:
        """Given triplets: distances (N, 2), slope (N,), tally (N, 7)."""
        arrays = (a, p, n, distances, slope, tally)
        self.launch.warps("triplet_forward", a.dtype, len(a), *arrays, *a.shape, *_judging(rule), *_measure(rule))

    def triplet_backward(
        self,
        a: Array,
        p: Array,
        n: Array,
        distances: Array,
        slope: Array,
        divisor: Array,
        scale: Array,
        da: Array | None,
        dp: Array | None,
        dn: Array | None,
        rule: TripletRule,
    ) -> None:
        """Gradients of given triplets; None where none is wanted."""
        arrays = (a, p, n, distances, slope, divisor, scale, da, dp, dn)
        self.launch.each("triplet_backward", a.dtype, a.size, *arrays, a.size, a.shape[1], *_measure(rule))

    def pair_distances(self, x: Array, distances: Array, rule: TripletRule) -> None:
        """distances (N, N) between all items of x."""
        across = -(-len(x) // _TILE)
        self.launch.blocks("pair_distances", x.dtype, across**2, x, distances, *x.shape, across, *_measure(rule))

    def triplet_mine(
        self, distances: Array, labels: Array, slope: Array, tally: Array, mining: Mining, rule: TripletRule
    ) -> None:
        """Find the triplets of a batch: slope (N, N), tally (N, 7)."""
        arrays: tuple[Array, ...] = (distances, labels, slope, tally)
        if mining == "SEMIHARD":
            arrays += (self.scratch.take("chosen negatives", distances.shape, np.int32),)
        sizes = (len(distances), labels.shape[1], *_judging(rule))
        name, threads = f"triplet_mine_{mining.lower()}", BLOCK if mining == "HARD" else LARGE_BLOCK
        self.launch.blocks(name, distances.dtype, len(distances), *arrays, *sizes, threads=threads)

    def triplet_summary(
        self,
        tally: Array,
        loss: Array,
        divisor: Array,
        active: Array | None,
        means: Array | None,
        over: Divisor,
    ) -> None:
        """loss[0], divisor[0], active[0] and means (2,) from tallies."""
        blocks = sum_blocks(tally.size)
        if blocks > 1:
            parts = self.scratch.take("tallies", (blocks, tally.shape[1]), tally.dtype)
            self.launch.grid("tally_parts", tally.dtype, (blocks,), tally, parts, len(tally))
            tally = parts
        arrays = (tally, loss, divisor, active, means)
        self.launch.grid("triplet_summary", tally.dtype, (1,), *arrays, len(tally), _OVER[over])

    def mined_triplet_backward(
        self, x: Array, distances: Array, slope: Array, divisor: Array, scale: Array, dx: Array, rule: TripletRule
    ) -> None:
        """dx (N, D) = scale[0] / divisor[0] * the gradient of the sum of slope * distances."""
        arrays = (x, distances, slope, divisor, scale, dx)
        self.launch.each("mined_triplet_backward", x.dtype, x.size, *arrays, x.size, *x.shape, *_measure(rule))


def _judging(rule: TripletRule) -> tuple[float, bool]:
    return rule.margin, rule.soft


def _measure(rule: TripletRule) -> tuple[bool, float]:
    return rule.euclidean, rule.factor
