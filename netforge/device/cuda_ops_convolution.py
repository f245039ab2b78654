"""Convolutions on a GPU: products of matrices where windows are single pixels, cuDNN for all others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Any

from netforge.device.cublas import Matrix
from netforge.device.cuda_ops_linear import CudaLinear
from netforge.device.cudnn import Convolution, ConvolutionOptions, Cudnn
from netforge.device.operations.convolution import ConvGeometry
from netforge.errors import DeviceError

Array = Any  # a CuPy array

logger = logging.getLogger("netforge")

COLUMNS_BYTES = 64 << 20
"""Memory for the windows of as many images at a time as fit; at least one image."""
FEWEST_POSITIONS = 16
"""Output pixels of an image from which on a product of matrices for each image keeps a GPU busy."""


class CudaConvolution(CudaLinear):
    """`ConvolutionOps` by NVIDIA's libraries.

    A convolution with windows of one pixel is a product of matrices, the weights times the pixels of each image, and
    cuBLAS computes it faster than cuDNN's deterministic algorithms do. With other windows it is cuDNN's, or, where
    there is no cuDNN, a product with the windows that `im2col` lays out as columns.
    """

    @cached_property
    def cudnn(self) -> Cudnn | None:
        """cuDNN, or None where it is missing, which is said once."""
        options = ConvolutionOptions(deterministic=self.deterministic, allow_tf32=self.allow_tf32)
        try:
            return Cudnn(self.cuda, self.xp.cuda.alloc, options)
        except DeviceError as error:
            logger.warning("convolutions run as matrix products, which is slower: %s", error)
            return None

    def conv_forward(self, x: Array, w: Array, y: Array, g: ConvGeometry, b: Array | None = None) -> None:
        """y = w * x, plus `b` (O,) per output channel where given."""
        if not y.size:
            return
        convolution = self._convolution(x, w, y, g)
        if convolution is not None:
            convolution.forward(self._stream(), x.data.ptr, w.data.ptr, y.data.ptr)
        else:
            for images, columns in self._columns(x, y, w.shape[2:], g):
                if columns is not x:
                    self.im2col(x[images], columns, w.shape[2:], g)
                self._products(w, columns, y[images], g)
        if b is not None:
            self.bias_forward(y, b)

    def conv_backward_data(self, dy: Array, w: Array, dx: Array, g: ConvGeometry) -> None:
        """dx = gradient with respect to x (overwritten); also the forward pass of a deconvolution."""
        if not dx.size:
            return
        convolution = self._convolution(dx, w, dy, g)
        if convolution is not None:
            convolution.backward_data(self._stream(), dy.data.ptr, w.data.ptr, dx.data.ptr)
            return
        for images, columns in self._columns(dx, dy, w.shape[2:], g):
            self._products(w, dy[images], columns, g, transpose=True)
            if columns is not dx:
                self.col2im(columns, dx[images], w.shape[2:], g)

    def conv_backward_weights(self, x: Array, dy: Array, dw: Array, g: ConvGeometry) -> None:
        """dw += gradient with respect to w."""
        if not dy.size:
            return
        convolution = self._convolution(x, dw, dy, g)
        if convolution is not None:
            convolution.backward_weights(self._stream(), x.data.ptr, dy.data.ptr, dw.data.ptr)
            return
        for images, columns in self._columns(x, dy, dw.shape[2:], g):
            if columns is not x:
                self.im2col(x[images], columns, dw.shape[2:], g)
            self._weight_products(columns, dy[images], dw, g)

    def _convolution(self, x: Array, w: Array, y: Array, g: ConvGeometry) -> Convolution | None:
        """cuDNN's convolution; None where products of matrices compute it."""
        if _of_single_pixels(w.shape[2:], g) and prod(y.shape[2:]) >= FEWEST_POSITIONS:
            return None
        return None if self.cudnn is None else self.cudnn.convolution(x.shape, w.shape, x.dtype, g)

    def _columns(self, x: Array, y: Array, kernel: tuple[int, ...], g: ConvGeometry) -> Iterator[tuple[slice, Array]]:
        """Slices of the batch, with memory for the windows of those images; x itself where they are its pixels."""
        if _of_single_pixels(kernel, g) and all(step == 1 for step in g.stride):
            yield slice(None), x
            return
        shape = (x.shape[1] * prod(kernel), *y.shape[2:])
        at_once = max(1, COLUMNS_BYTES // (prod(shape) * x.itemsize))
        for start in range(0, x.shape[0], at_once):
            images = slice(start, min(start + at_once, x.shape[0]))
            yield images, self.scratch.take("columns", (images.stop - start, *shape), x.dtype)

    def _products(self, w: Array, right: Array, out: Array, g: ConvGeometry, *, transpose: bool = False) -> None:
        """out = w (transposed) times `right` for each image; the channels of both are those of groups, in turn."""
        rows, inner = w.shape[0] // g.group, prod(w.shape[1:])
        heights = (rows, inner) if transpose else (inner, rows)
        for group in range(g.group):
            weights = Matrix(w.data.ptr + group * rows * inner * w.itemsize, rows, inner, inner)
            b, y = (_of_group(a, group, g.group, height) for a, height in zip((right, out), heights, strict=True))
            self.cublas.matmul(weights, b, y, w.dtype, self._stream(), transpose_a=transpose, count=len(out))

    def _weight_products(self, columns: Array, dy: Array, dw: Array, g: ConvGeometry) -> None:
        """dw += the sum over images of dy times the transposed columns, whichever way moves less memory.

        Either one product for each image, and the sum of these; or, where that is more than the arrays themselves hold,
        one product of all images, whose pixels are laid behind each other for each channel first.
        """
        items = len(dy)
        if items > 1 and items * dw.size > columns.size + dy.size:
            columns, dy, items = self._channels_first(columns, "columns"), self._channels_first(dy, "gradients"), 1
        rows, inner = dw.shape[0] // g.group, prod(dw.shape[1:])
        parts = dw if items == 1 else self.scratch.take("weight parts", (items, *dw.shape), dw.dtype)
        for group in range(g.group):
            a, b = (_of_group(array, group, g.group, height) for array, height in ((dy, rows), (columns, inner)))
            start = parts.data.ptr + group * rows * inner * dw.itemsize
            out = Matrix(start, rows, inner, inner, dw.size)
            options: dict[str, Any] = {"accumulate": items == 1, "count": items}
            self.cublas.matmul(a, b, out, dw.dtype, self._stream(), transpose_b=True, **options)
        if parts is not dw:
            self.bias_backward(parts.reshape(items, dw.size), dw.reshape(dw.size))  # a sum over images

    def _channels_first(self, array: Array, purpose: str) -> Array:
        """(N, channels, ...) as (1, channels, N * ...)."""
        outer, middle, inner = len(array), array.shape[1], prod(array.shape[2:])
        swapped = self.scratch.take(f"{purpose}, channels first", (1, middle, outer * inner), array.dtype)
        self.launch.blocks("swap_axes", array.dtype, outer * middle, array, swapped, outer, middle, inner)
        return swapped


def _of_single_pixels(kernel: tuple[int, ...], g: ConvGeometry) -> bool:
    return all(size == 1 for size in kernel) and not any(g.pad)


def _of_group(array: Array, group: int, groups: int, rows: int) -> Matrix:
    """The channels of one group, as one matrix of `rows` rows for each image of the batch."""
    item = prod(array.shape[1:])
    columns = item // groups // rows
    return Matrix(array.data.ptr + group * (item // groups) * array.itemsize, rows, columns, columns, item)
