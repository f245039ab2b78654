"""Operations: convolution and its gradients, as matrix products over columns of windows (im2col)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ConvGeometry:
    """How windows lie over an input: `stride`, `pad` and `dilation` hold one number per spatial axis.

    Any number of spatial axes, none included (then a convolution is a product over channels at each position).
    """

    stride: tuple[int, ...] = (1, 1)
    pad: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    group: int = 1


def conv_output_shape(spatial: tuple[int, ...], kernel: tuple[int, ...], g: ConvGeometry) -> tuple[int, ...]:
    """Sizes of the spatial axes after a convolution: floor((size + 2 pad - extent) / stride) + 1, as in Caffe.

    extent = dilation (kernel - 1) + 1. A result below 1 means that the window does not fit: callers refuse it.
    """
    return tuple(
        (size + 2 * p - (d * (k - 1) + 1)) // s + 1
        for size, k, s, p, d in zip(spatial, kernel, g.stride, g.pad, g.dilation, strict=True)
    )


def deconv_output_shape(spatial: tuple[int, ...], kernel: tuple[int, ...], g: ConvGeometry) -> tuple[int, ...]:
    """Sizes of the spatial axes after a deconvolution: stride (size - 1) + extent - 2 pad."""
    return tuple(
        s * (size - 1) + (d * (k - 1) + 1) - 2 * p
        for size, k, s, p, d in zip(spatial, kernel, g.stride, g.pad, g.dilation, strict=True)
    )


def interior(spatial: tuple[int, ...], pad: tuple[int, ...]) -> tuple[slice, ...]:
    """Index of the image inside its padded form (behind two leading axes)."""
    return (slice(None), slice(None), *(slice(p, p + size) for size, p in zip(spatial, pad, strict=True)))


def padded(x: Array, pad: tuple[int, ...]) -> Array:
    """`x` (N, C, spatial...) with `pad` zeros on both sides of each spatial axis; `x` itself where there are none."""
    if not any(pad):
        return x
    spatial = x.shape[2:]
    out = np.zeros((*x.shape[:2], *(size + 2 * p for size, p in zip(spatial, pad, strict=True))), x.dtype)
    out[interior(spatial, pad)] = x
    return out


def windows(x: Array, kernel: tuple[int, ...], out: tuple[int, ...], g: ConvGeometry) -> Array:
    """A read-only view (N, C, kernel..., out...) of all windows of a padded input; no copy."""
    axes = x.strides[2:]
    within = (a * d for a, d in zip(axes, g.dilation, strict=True))
    between = (a * s for a, s in zip(axes, g.stride, strict=True))
    strides = (*x.strides[:2], *within, *between)
    return np.lib.stride_tricks.as_strided(x, (*x.shape[:2], *kernel, *out), strides, writeable=False)


def add_windows(columns: Array, x: Array, g: ConvGeometry) -> None:
    """Add windows (N, C, kernel..., out...) onto a padded image, where each of them came from."""
    axes = len(g.stride)
    kernel, out = columns.shape[2 : 2 + axes], columns.shape[2 + axes :]
    for offset in product(*map(range, kernel)):
        place = (slice(k * d, k * d + s * o, s) for k, d, s, o in zip(offset, g.dilation, g.stride, out, strict=True))
        image = x[(slice(None), slice(None), *place)]
        element: tuple[slice | int, ...] = (slice(None), slice(None), *offset)
        image += columns[element]


class ConvolutionOps:
    """NumPy reference of convolution (cross-correlation, as everywhere in deep learning) and its gradients.

    x: (N, C, spatial...). w: (O, C / group, kernel...). y: (N, O, out...), out = `conv_output_shape`.
    """

    def im2col(self, x: Array, columns: Array, kernel: tuple[int, ...], g: ConvGeometry) -> None:
        """Windows of x (N, C, spatial...) as columns (N, C prod(kernel), out...), zeros where padding lies."""
        out = columns.shape[2:]
        view = windows(padded(x, g.pad), kernel, out, g)
        columns.reshape(*x.shape[:2], *kernel, *out)[...] = view

    def col2im(self, columns: Array, x: Array, kernel: tuple[int, ...], g: ConvGeometry) -> None:
        """Adjoint of `im2col`: x (overwritten) is the sum of all window elements over each of its pixels."""
        spatial = x.shape[2:]
        image = np.zeros((*x.shape[:2], *(size + 2 * p for size, p in zip(spatial, g.pad, strict=True))), x.dtype)
        add_windows(columns.reshape(*x.shape[:2], *kernel, *columns.shape[2:]), image, g)
        x[...] = image[interior(spatial, g.pad)]

    def conv_forward(self, x: Array, w: Array, y: Array, g: ConvGeometry, b: Array | None = None) -> None:
        """y = w * x, plus `b` (O,) per output channel where given."""
        columns = np.empty((x.shape[0], x.shape[1] * prod(w.shape[2:]), *y.shape[2:]), x.dtype)
        self.im2col(x, columns, w.shape[2:], g)
        np.matmul(_weights(w, g), _grouped(columns, g), out=_grouped(y, g))
        if b is not None:
            y += b.reshape(-1, *(1 for _ in g.stride))

    def conv_backward_data(self, dy: Array, w: Array, dx: Array, g: ConvGeometry) -> None:
        """dx = gradient with respect to x (overwritten); also the forward pass of a deconvolution."""
        columns = np.empty((dx.shape[0], dx.shape[1] * prod(w.shape[2:]), *dy.shape[2:]), dx.dtype)
        np.matmul(_weights(w, g).swapaxes(1, 2), _grouped(dy, g), out=_grouped(columns, g))
        self.col2im(columns, dx, w.shape[2:], g)

    def conv_backward_weights(self, x: Array, dy: Array, dw: Array, g: ConvGeometry) -> None:
        """dw += gradient with respect to w."""
        columns = np.empty((x.shape[0], x.shape[1] * prod(dw.shape[2:]), *dy.shape[2:]), x.dtype)
        self.im2col(x, columns, dw.shape[2:], g)
        products = np.matmul(_grouped(dy, g), _grouped(columns, g).swapaxes(2, 3))
        dw += products.sum(axis=0).reshape(dw.shape)


def _grouped(x: Array, g: ConvGeometry) -> Array:
    """(N, C, spatial...) as (N, group, C / group, positions)."""
    return x.reshape(x.shape[0], g.group, x.shape[1] // g.group, prod(x.shape[2:]))


def _weights(w: Array, g: ConvGeometry) -> Array:
    """(O, C / group, kernel...) as (group, O / group, C / group * prod(kernel))."""
    return w.reshape(g.group, w.shape[0] // g.group, prod(w.shape[1:]))
