"""Operations: max and average pooling over two spatial axes, with Caffe's rules at the borders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PoolGeometry:
    """How pooling windows lie over an image: (height, width) each."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)


def pool_output_shape(spatial: tuple[int, int], g: PoolGeometry, *, ceil: bool = True) -> tuple[int, int]:
    """Height and width after pooling, as in Caffe: the quotient rounded up (or down), plus one.

    Where there is any padding, a last window that would start beyond the image and its left padding is dropped.
    A result below 1 means that the window does not fit: callers refuse it.
    """
    height, width = (
        _axis_output(size, k, s, p, clip=any(g.pad), ceil=ceil)
        for size, k, s, p in zip(spatial, g.kernel, g.stride, g.pad, strict=True)
    )
    return height, width


def _axis_output(size: int, kernel: int, stride: int, pad: int, *, clip: bool, ceil: bool) -> int:
    span = size + 2 * pad - kernel
    out = (-(-span // stride) if ceil else span // stride) + 1
    return out - 1 if clip and (out - 1) * stride >= size + pad else out


def window_areas(size: tuple[int, int], out: tuple[int, int], g: PoolGeometry, dtype: npt.DTypeLike) -> Array:
    """What average pooling divides by, (out_h, out_w): the window's area within the padded image.

    Padding counts, the overhang beyond it does not (Caffe). At least 1, so that an empty window averages to 0.
    """
    rows, columns = (
        np.minimum(np.arange(o) * s - p + k, n + p) - (np.arange(o) * s - p)
        for n, o, k, s, p in zip(size, out, g.kernel, g.stride, g.pad, strict=True)
    )
    areas: Array = np.maximum(np.outer(np.maximum(rows, 0), np.maximum(columns, 0)), 1).astype(dtype)
    return areas


class PoolingOps:
    """NumPy reference of max and average pooling.

    x: (N, C, H, W). y: (N, C, out_h, out_w), see `pool_output_shape`. mask: int32, of y's shape.
    """

    def pool_max_forward(self, x: Array, y: Array, mask: Array, g: PoolGeometry) -> None:
        """y = the largest value of each window clipped to the image, mask = its index h W + w within the plane.

        The first of equal values wins. NaN is never chosen: a window of nothing else gives the dtype's lowest number
        and mask -1.
        """
        framed = _framed(x, y.shape[2:], g, -np.inf)
        y.fill(np.finfo(y.dtype).min)
        mask.fill(-1)
        top, left = (np.arange(o) * s - p for o, s, p in zip(y.shape[2:], g.stride, g.pad, strict=True))
        for i, j in product(*map(range, g.kernel)):
            values = framed[_window_element(i, j, y.shape[2:], g)]
            better = values > y
            np.copyto(y, values, where=better)
            index = ((top + i)[:, None] * x.shape[3] + (left + j)).astype(np.int32)
            np.copyto(mask, index, where=better)

    def pool_max_backward(self, dy: Array, mask: Array, dx: Array, g: PoolGeometry) -> None:
        """dx (overwritten) gets each dy at the pixel its mask names, added where windows overlap."""
        planes, pixels = prod(dx.shape[:2]), prod(dx.shape[2:])
        index = (mask.reshape(planes, prod(mask.shape[2:])) + np.arange(planes)[:, None] * pixels).ravel()
        chosen = mask.ravel() >= 0
        total = np.bincount(index[chosen], weights=dy.ravel()[chosen], minlength=dx.size)
        dx[...] = total.reshape(dx.shape)

    def pool_average_forward(self, x: Array, y: Array, g: PoolGeometry) -> None:
        """y = the sum of each window over its area within the padded image (`window_areas`)."""
        framed = _framed(x, y.shape[2:], g, 0)
        y.fill(0)
        for i, j in product(*map(range, g.kernel)):
            y += framed[_window_element(i, j, y.shape[2:], g)]
        y /= window_areas(_plane(x), _plane(y), g, y.dtype)

    def pool_average_backward(self, dy: Array, dx: Array, g: PoolGeometry) -> None:
        """dx (overwritten) gets the sum of dy over area of all windows that contain the pixel."""
        share = dy / window_areas(_plane(dx), _plane(dy), g, dy.dtype)
        framed = _framed(np.zeros_like(dx), dy.shape[2:], g, 0)
        for i, j in product(*map(range, g.kernel)):
            framed[_window_element(i, j, dy.shape[2:], g)] += share
        (top, left), (height, width) = g.pad, dx.shape[2:]
        dx[...] = framed[:, :, top : top + height, left : left + width]


def _plane(x: Array) -> tuple[int, int]:
    return x.shape[2], x.shape[3]


def _framed(x: Array, out: tuple[int, ...], g: PoolGeometry, value: float) -> Array:
    """`x` in a frame of `value` that covers the padding and the overhang of the last windows."""
    axes = zip(x.shape[2:], out, g.kernel, g.stride, g.pad, strict=True)
    sizes = tuple(max(p + n, (o - 1) * s + k) for n, o, k, s, p in axes)
    (top, left), (height, width) = g.pad, x.shape[2:]
    framed = np.full((*x.shape[:2], *sizes), value, x.dtype)
    framed[:, :, top : top + height, left : left + width] = x
    return framed


def _window_element(i: int, j: int, out: tuple[int, ...], g: PoolGeometry) -> tuple[slice, ...]:
    """Index, into a framed image, of element (i, j) of every window."""
    rows, columns = (slice(k, k + s * (o - 1) + 1, s) for k, s, o in zip((i, j), g.stride, out, strict=True))
    return slice(None), slice(None), rows, columns
