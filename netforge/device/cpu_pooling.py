"""Pooling on a CPU: a few images at a time, on all processors; windows of 2 x 2 without overlap by comparisons."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.operations.pooling import PoolGeometry, PoolingOps
from netforge.device.workers import Workers, piece_size, scratch

Array = npt.NDArray[Any]

PIECE_ELEMENTS = 1 << 18  # pixels of one piece of work: enough that handing it to a thread does not matter
HALVES = PoolGeometry((2, 2), (2, 2), (0, 0))


class CpuPooling(PoolingOps):
    """Pooling in pieces of a few images."""

    workers: Workers

    def pool_max_forward(self, x: Array, y: Array, mask: Array, g: PoolGeometry) -> None:
        """See `PoolingOps`."""
        pool = _halve if g == HALVES else super().pool_max_forward
        self._run(x, lambda part: pool(x[part], y[part], mask[part], g))

    def pool_max_backward(self, dy: Array, mask: Array, dx: Array, g: PoolGeometry) -> None:
        """See `PoolingOps`."""
        apart = all(s >= k for s, k in zip(g.stride, g.kernel, strict=True))
        spread = _scatter if apart else super().pool_max_backward
        self._run(dx, lambda part: spread(dy[part], mask[part], dx[part], g))

    def pool_average_forward(self, x: Array, y: Array, g: PoolGeometry) -> None:
        """See `PoolingOps`."""
        pool = super().pool_average_forward
        self._run(x, lambda part: pool(x[part], y[part], g))

    def pool_average_backward(self, dy: Array, dx: Array, g: PoolGeometry) -> None:
        """See `PoolingOps`."""
        spread = super().pool_average_backward
        self._run(dx, lambda part: spread(dy[part], dx[part], g))

    def _run(self, x: Array, body: Any) -> None:
        chunk = piece_size(x.shape[0], PIECE_ELEMENTS // max(prod(x.shape[1:]), 1))
        self.workers.run(-(-x.shape[0] // chunk), lambda i: body(slice(i * chunk, (i + 1) * chunk)))


def _halve(x: Array, y: Array, mask: Array, g: PoolGeometry) -> None:
    """Max pooling of 2 x 2 windows without overlap: four quarter images, compared with their maximum."""
    batch, channels, rows, columns = y.shape
    corners = scratch("corners", (2, 2, *y.shape), x.dtype)
    tiles = _even(x, 2 * rows, 2 * columns).reshape(batch, channels, rows, 2, columns, 2)
    np.copyto(corners, tiles.transpose(3, 5, 0, 1, 2, 4))
    (first, second), (third, fourth) = corners
    np.fmax(first, second, out=y)  # fmax passes over NaN
    np.fmax(np.fmax(y, third, out=y), fourth, out=y)
    # which corner holds the maximum first: 0, 1, 2 or 3
    which = (third != y).view(np.uint8)
    which += 1
    which *= (second != y).view(np.uint8)
    which += 1
    which *= (first != y).view(np.uint8)
    width = x.shape[3]
    np.take(np.array([0, 1, width, width + 1], np.int32), which, out=mask, mode="clip")
    mask += (np.arange(rows, dtype=np.int32)[:, None] * 2 * width) + np.arange(columns, dtype=np.int32) * 2
    lowest = np.finfo(x.dtype).min
    if not y.min(initial=np.inf) > lowest:  # some window holds nothing but NaN and -inf
        np.fmax(y, lowest, out=y)
        mask[y == lowest] = -1


def _even(x: Array, height: int, width: int) -> Array:
    """x, at its lower and right edge brought to that size: cut, or filled up with what is never chosen."""
    if x.shape[2:] == (height, width):
        return x
    tiled = scratch("even", (*x.shape[:2], height, width), x.dtype)
    rows, columns = min(height, x.shape[2]), min(width, x.shape[3])
    tiled[:, :, rows:], tiled[:, :, :, columns:] = -np.inf, -np.inf
    tiled[:, :, :rows, :columns] = x[:, :, :rows, :columns]
    return tiled


def _scatter(dy: Array, mask: Array, dx: Array, g: PoolGeometry) -> None:
    """Max pooling backward where no pixel lies in two windows: each pixel gets at most one value."""
    planes, pixels, windows = prod(dx.shape[:2]), prod(dx.shape[2:]), prod(dy.shape[2:])
    dx.fill(0)
    index = mask.reshape(planes, windows) + (np.arange(planes) * pixels)[:, None]
    if mask.size and mask.min() < 0:
        chosen = mask.reshape(planes, windows) >= 0
        dx.reshape(-1)[index[chosen]] = dy.reshape(planes, windows)[chosen]
    else:
        dx.reshape(-1)[index.reshape(-1)] = dy.reshape(-1)
