"""Contrastive loss, centroids, rows and columns on a GPU (kernels/contrastive.cu, decode.cu, shape.cu, top_k.cu)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import AT_ONCE, WARP
from netforge.device.operations.contrastive import ContrastiveRule

Array = Any  # a CuPy array

SCATTER_COLUMNS = 128
"""Columns that a warp of scatter_add_rows adds up."""

_WHICH = {"MATCHING": 0, "NONMATCHING": 1, "ALL": 2}


class CudaEmbedding(CudaCore):
    """`ContrastiveOps`, `DecodeOps` and `ShapeOps` by kernels."""

    def pair_similarity(self, labels: Array, similar: Array) -> None:
        """similar[i] = 1 for pairs of one class."""
        self.launch.each("pair_similarity", labels.dtype, len(labels), labels, similar, *labels.shape)

    def contrastive_targets(
        self,
        a: Array,
        labels: Array,
        similar: Array,
        centroids: Array,
        which: Literal["MATCHING", "NONMATCHING", "ALL"],
        target: Array,
        replaced: Array,
        active: Array,
    ) -> None:
        """target[i] = the centroid of the pair's first label instead of a[i], where `which` says so."""
        self.launch.grid("contrastive_active", a.dtype, (1,), centroids, active, centroids.size)
        arrays = (a, labels, similar, centroids, target, replaced, active)
        numbers = (a.size, a.shape[1], len(centroids), _WHICH[which])
        self.launch.several("contrastive_targets", a.dtype, a.size, *arrays, *numbers)

    def contrastive_forward(
        self,
        a: Array,
        b: Array,
        similar: Array,
        active: Array,
        difference: Array,
        distance: Array,
        loss: Array,
        matches: Array | None,
        rule: ContrastiveRule,
    ) -> None:
        """difference = a - b, the distance of each pair, and loss[0] = sum of costs / 2N."""
        factor = 0.5 / max(1, len(a))
        before = (a, b, similar, active, difference, distance, loss, matches)
        self.launch.sum(
            "contrastive_forward",
            a.dtype,
            len(a) * WARP * AT_ONCE,
            before,
            loss,
            (*a.shape, *_numbers(rule), factor),
            factor=factor,
        )

    def contrastive_backward(
        self,
        difference: Array,
        distance: Array,
        similar: Array,
        active: Array,
        dx: Array,
        scale: Array,
        sign: int,
        rule: ContrastiveRule,
    ) -> None:
        """dx = sign * scale[0] / N * slope of each pair's cost."""
        arrays = (difference, distance, similar, active, dx, scale)
        factor = sign / max(1, len(difference))
        numbers = (dx.size, difference.shape[1], *_numbers(rule), factor)
        self.launch.several("contrastive_backward", dx.dtype, dx.size, *arrays, *numbers)

    # --- centroids ---------------------------------------------------------------------------------------------------

    def centroid_update(
        self,
        x: Array,
        labels: Array,
        centroids: Array,
        counts: Array,
        status: Array,
        ignored: Array | None,
        horizon: int,
    ) -> None:
        """Take the items of a batch, in order, into the running estimate of their classes' centroids."""
        sizes = (*x.shape, labels.shape[1], len(centroids), horizon)
        arrays = (x, labels, centroids, counts, status, ignored)
        self.launch.blocks("centroid_update", x.dtype, len(centroids), *arrays, *sizes)

    def absent_classes(self, counts: Array, status: Array, ignored: Array | None, absent: Array) -> None:
        """absent = 1 for classes without a centroid, and for ignored ones."""
        self.launch.each("absent_classes", counts.dtype, len(absent), counts, status, ignored, absent, len(absent))

    def centroid_distances(self, x: Array, centroids: Array, distances: Array, ignored: Array | None) -> None:
        """distances (N, L) = squared Euclidean distance of each item to each centroid; FLT_MAX for ignored classes."""
        arrays = (x, centroids, distances, ignored)
        self.launch.warps("centroid_distances", x.dtype, distances.size, *arrays, *x.shape, len(centroids))

    def centroid_output(
        self, centroids: Array, status: Array, ignored: Array | None, passes: Array, least: int, out: Array
    ) -> None:
        """out = centroids once every class that is not ignored has status 1, and passes[0] >= least; zeros before."""
        arrays = (centroids, status, ignored, passes, out)
        self.launch.each("centroid_output", out.dtype, out.size, *arrays, out.size, len(centroids), least)

    def nearest_accuracy(self, distances: Array, labels: Array, accuracy: Array, ignore: tuple[int, ...]) -> None:
        """accuracy[0] = share of items whose smallest distance is that to their label's class."""
        ignored = self.constant(ignore, distances.dtype) if ignore else None
        sizes = (*distances.shape, labels.shape[1], len(ignore))
        self.launch.grid("nearest_accuracy", distances.dtype, (1,), distances, labels, accuracy, ignored, *sizes)

    def cache_encodings(self, x: Array, labels: Array, cache: Array, counts: Array) -> None:
        """Write each item into slot (class, n mod M) of cache (L, M, D), n = items of its class before it."""
        classes, slots = cache.shape[:2]
        sizes = (*x.shape, labels.shape[1], classes, slots)
        self.launch.blocks("cache_encodings", x.dtype, classes, x, labels, cache, counts, *sizes)

    def nearest_cached_distances(
        self, x: Array, cache: Array, counts: Array, distances: Array, ignored: Array | None, k: int
    ) -> None:
        """distances (N, L) = mean of the k smallest squared distances to the filled slots of each class."""
        classes, slots = cache.shape[:2]
        all_distances = self.scratch.take("cached distances", (*distances.shape, slots), x.dtype)
        arrays = (x, cache, counts, distances, all_distances, ignored)
        sizes = (*x.shape, classes, slots, k)
        self.launch.warps("nearest_cached_distances", x.dtype, distances.size, *arrays, *sizes)

    # --- rows by index -----------------------------------------------------------------------------------------------

    def copy_columns(self, x: Array, x_start: int, y: Array, y_start: int, width: int) -> None:
        """y[:, y_start : y_start + width] = x[:, x_start : x_start + width]."""
        numbers = (width, x_start, x.shape[1], y_start, y.shape[1])
        self.launch.several("copy_columns", x.dtype, len(x) * width, x, y, len(x) * width, *numbers)

    def crop_forward(self, x: Array, y: Array, offsets: tuple[int, ...]) -> None:
        """y = the window of x that starts at offsets and has the sizes of y."""
        geometry, axes = self._geometry(x.shape, y.shape, offsets)
        self.launch.several("crop_forward", y.dtype, y.size, x, y, geometry, y.size, axes)

    def crop_backward(self, dy: Array, dx: Array, offsets: tuple[int, ...]) -> None:
        """dx = dy in the window, 0 around it."""
        geometry, axes = self._geometry(dx.shape, dy.shape, offsets)
        self.launch.several("crop_backward", dx.dtype, dx.size, dy, dx, geometry, dx.size, axes)

    def _geometry(self, whole: tuple[int, ...], part: tuple[int, ...], offsets: tuple[int, ...]) -> tuple[Array, int]:
        """A window as the kernels of crops take it, and the number of its axes."""
        folded = folded_window(whole, part, offsets)
        return self.constant(sum(folded, ()), np.int32), len(folded[0])

    def tile_forward(self, x: Array, y: Array) -> None:
        """y[o, t] = x[o] for each t."""
        self.launch.several("tile_forward", y.dtype, y.size, x, y, y.size, *y.shape[1:])

    def tile_backward(self, dy: Array, dx: Array) -> None:
        """dx[o] = sum of dy[o, t] over t."""
        self.launch.each("tile_backward", dx.dtype, dx.size, dy, dx, dx.size, *dy.shape[1:])

    def gather_rows(self, x: Array, index: Array, y: Array) -> None:
        """y[i] = x[index[i]]."""
        self.launch.several("gather_rows", x.dtype, y.size, x, index, y, y.size, *x.shape)

    def scatter_add_rows(self, dy: Array, index: Array, dx: Array) -> None:
        """dx[index[i]] += dy[i], in the order of i."""
        parts = -(-dy.shape[1] // SCATTER_COLUMNS)
        self.launch.warps("scatter_add_rows", dy.dtype, len(dy) * parts, dy, index, dx, *dy.shape, len(dx), parts)

    def selected_rows(self, selector: Array) -> Array:
        """Indices of the elements of selector (n,) that are not 0, on the host: the host waits for them."""
        return np.flatnonzero(selector.get())

    def maximum_forward(self, inputs: list[Array], y: Array, winner: Array) -> None:
        """y = elementwise maximum; winner = index of the input it came from, the later one at a tie."""
        done = min(2, len(inputs)) // 2 * 2
        if done:
            self.launch.several("maximum_of_two", y.dtype, y.size, *inputs[:2], y, winner, y.size)
        for index, x in enumerate(inputs[done:], done):
            self.launch.several("maximum_forward", y.dtype, y.size, x, y, winner, y.size, index)

    def maximum_backward(self, dy: Array, winner: Array, dx: Array, index: int) -> None:
        """dx = dy where `index` is the winner, 0 elsewhere."""
        self.launch.each("maximum_backward", dx.dtype, dx.size, dy, winner, dx, dx.size, index)

    def top_k(self, x: Array, indices: Array, values: Array, k: int) -> None:
        """The k largest elements along axis 1 of x (outer, C, inner), largest first."""
        self.launch.warps("top_k", x.dtype, x.shape[0] * x.shape[2], x, indices, values, *x.shape, k)


def folded_window(
    whole: tuple[int, ...], part: tuple[int, ...], offsets: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The same window with as few axes as it can have, but at least three.

    An axis that the window covers is one with the axis before it.
    """
    axes: list[tuple[int, int, int]] = []
    for size, own, offset in zip(whole, part, offsets, strict=True):
        if axes and size == own:
            before = axes.pop()
            axes.append((before[0] * size, before[1] * size, before[2] * size))
        else:
            axes.append((size, own, offset))
    sizes, parts, starts = zip(*[(1, 1, 0)] * (3 - len(axes)), *axes, strict=True)
    return sizes, parts, starts


def _numbers(rule: ContrastiveRule) -> tuple[float, bool, bool, float]:
    """A rule as the kernels take it."""
    return rule.margin, rule.squared_hinge, rule.manhattan, rule.similar_scale
