"""The newest items of a stream on a GPU (kernels/newest.cu)."""

from __future__ import annotations

from typing import Any

from netforge.device.cuda_ops_core import CudaCore

Array = Any  # a CuPy array


class CudaNewest(CudaCore):
    """`NewestOps` by kernels."""

    def ring_store(self, x: Array, ring: Array, cursor: Array) -> None:
        """Write the items of x into the slots from cursor[0] on, in order."""
        self.launch.each("ring_store", x.dtype, x.size, x, ring, cursor, x.size, ring.shape[1], len(ring))

    def ring_advance(self, cursor: Array, items: int, slots: int) -> None:
        """Move a cursor on, once all rings that share it have taken the items."""
        self.launch.grid("ring_advance", cursor.dtype, (1,), cursor, items, slots)

    def nearest_scores(self, x: Array, ring: Array, labels: Array, cursor: Array, scores: Array, k: int) -> None:
        """scores = how near each class is, from 1 for the nearest one down to 0 for the farthest."""
        items, slots = len(x), len(ring)
        distances, chosen = self.scratch.take("stored distances", (2, items, slots), x.dtype)
        sizes = (*x.shape, slots)
        self.launch.warps("stored_distances", x.dtype, items * slots, x, ring, cursor, distances, *sizes)
        arrays = (distances, labels, cursor, scores, chosen)
        self.launch.blocks("nearest_scores", x.dtype, items, *arrays, *scores.shape, slots, k)
