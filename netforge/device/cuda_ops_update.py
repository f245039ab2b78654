"""The solvers' update rules on a GPU: one launch each over a net's flat weights (kernels/update.cu)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import AT_ONCE, BLOCK, sum_blocks
from netforge.device.operations.update import Segment

Array = Any  # a CuPy array

CHUNK = AT_ONCE * BLOCK
"""Elements that one block updates: a net of some hundred thousand weights still fills a GPU."""
MOST_SPLITS = 256
"""Blocks that share a segment's sum at most, and MOST_BLOCKS those of all segments."""
MOST_BLOCKS = 8192


@dataclass(frozen=True)
class ChunkTable:
    """Segments cut into chunks, in device memory: where each starts and ends, and its multipliers."""

    starts: Array
    ends: Array
    lr_mults: Array
    decay_mults: Array
    count: int

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """As the kernels take them."""
        return self.starts, self.ends, self.lr_mults, self.decay_mults


class CudaUpdate(CudaCore):
    """`UpdateOps` by kernels."""

    @cached_property
    def _tables(self) -> dict[tuple[Any, ...], ChunkTable]:
        return {}

    def _table(self, segments: Sequence[Segment], dtype: np.dtype[Any]) -> ChunkTable:
        """The table of these segments, copied to the device once; blobs whose lr_mult is 0 are left out."""
        key = (tuple(segments), dtype.name)
        if key not in self._tables:
            rows = [
                (start, min(start + CHUNK, s.offset + s.size), s.lr_mult, s.decay_mult)
                for s in segments
                if s.lr_mult != 0
                for start in range(s.offset, s.offset + s.size, CHUNK)
            ]
            starts, ends, lr_mults, decay_mults = (
                self.xp.asarray(np.array([row[i] for row in rows], np.int32 if i < 2 else dtype)) for i in range(4)
            )
            self._tables[key] = ChunkTable(starts, ends, lr_mults, decay_mults, len(rows))
        return self._tables[key]

    def _update(
        self,
        name: str,
        arrays: tuple[Array, ...],
        segments: Sequence[Segment],
        control: Array,
        *numbers: float,
    ) -> None:
        dtype = arrays[0].dtype
        table = self._table(segments, dtype)
        self.launch.blocks(name, dtype, table.count, *arrays, *table.arrays, control, table.count, *numbers)

    def clip_gradients(
        self, diffs: Array, segments: Sequence[Segment], control: Array, *, threshold: float, iter_size: int
    ) -> None:
        """control[NORM] = |diffs|; control[SCALE] = min(1, threshold / |diffs|) / iter_size.

        The gaps between segments hold zeros, so that the whole array is summed.
        """
        blocks = sum_blocks(diffs.size)
        parts = self.scratch.take("parts", (blocks,), diffs.dtype)
        self.launch.grid("gradient_squares", diffs.dtype, (blocks,), diffs, parts, diffs.size)
        self.launch.grid("clip_gradients", diffs.dtype, (1,), parts, control, blocks, threshold, iter_size)

    @cached_property
    def _bounds(self) -> dict[tuple[Segment, ...], tuple[Array, Array]]:
        return {}

    def segment_mean_squares(self, values: Array, segments: Sequence[Segment], means: Array) -> None:
        """means[i] = mean of the squares of segment i of the flat `values`, whatever its multipliers; 0 where empty."""
        key = tuple(segments)
        if key not in self._bounds:
            limits = np.array([(s.offset, s.offset + s.size) for s in segments], np.int32)
            self._bounds[key] = self.xp.asarray(limits[:, 0].copy()), self.xp.asarray(limits[:, 1].copy())
        bounds, count = self._bounds[key], len(segments)
        splits = segment_splits(segments)
        parts = self.scratch.take("parts", (count, splits), values.dtype)
        self.launch.grid("segment_squares", values.dtype, (count, splits), values, *bounds, parts, count)
        self.launch.warps("segment_mean_squares", values.dtype, count, parts, *bounds, means, count, splits)

    def update_sgd(
        self,
        weights: Array,
        diffs: Array,
        velocity: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
    ) -> None:
        """v = momentum * v + a * g; update = v."""
        self._update("update_sgd", (weights, diffs, velocity), segments, control, weight_decay, l1, momentum)

    def update_nesterov(
        self,
        weights: Array,
        diffs: Array,
        velocity: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
    ) -> None:
        """p = v; v = momentum * v + a * g; update = (1 + momentum) * v - momentum * p."""
        self._update("update_nesterov", (weights, diffs, velocity), segments, control, weight_decay, l1, momentum)

    def update_adagrad(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        delta: float,
    ) -> None:
        """s += g^2; update = a * g / (sqrt(s) + delta)."""
        self._update("update_adagrad", (weights, diffs, squares), segments, control, weight_decay, l1, delta)

    def update_rmsprop(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        rms_decay: float,
        delta: float,
    ) -> None:
        """s = rms_decay * s + (1 - rms_decay) * g^2; update = a * g / (sqrt(s) + delta)."""
        arrays, numbers = (weights, diffs, squares), (weight_decay, l1, rms_decay, 1 - rms_decay, delta)
        self._update("update_rmsprop", arrays, segments, control, *numbers)

    def update_adadelta(
        self,
        weights: Array,
        diffs: Array,
        squares: Array,
        updates: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        momentum: float,
        delta: float,
    ) -> None:
        """The rule of Zeiler, arXiv:1212.5701, where `momentum` is its rho."""
        arrays, numbers = (weights, diffs, squares, updates), (weight_decay, l1, momentum, 1 - momentum, delta)
        self._update("update_adadelta", arrays, segments, control, *numbers)

    def update_adam(
        self,
        weights: Array,
        diffs: Array,
        mean: Array,
        variance: Array,
        segments: Sequence[Segment],
        control: Array,
        *,
        weight_decay: float,
        l1: bool,
        beta1: float,
        beta2: float,
        delta: float,
        adamw_decay: float = 0.0,
    ) -> None:
        """The rule of Kingma and Ba, arXiv:1412.6980, with the decay of AdamW beside the gradient."""
        numbers = (weight_decay, l1, beta1, 1 - beta1, beta2, 1 - beta2, delta, adamw_decay)
        self._update("update_adam", (weights, diffs, mean, variance), segments, control, *numbers)


def segment_splits(segments: Sequence[Segment]) -> int:
    """Blocks that share the sum over each segment: enough for the largest one, from the sizes alone."""
    largest = max((s.size for s in segments), default=0)
    return max(1, min(-(-largest // (2 * CHUNK)), MOST_SPLITS, MOST_BLOCKS // max(1, len(segments))))
