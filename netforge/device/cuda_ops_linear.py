"""Matrix products (cuBLAS), convolutions (cuDNN, or windows and products), biases, factors, random numbers on a GPU."""

from __future__ import annotations

import logging
from functools import cached_property
from math import ceil, prod
from typing import Any

import numpy as np

from netforge.device.cublas import Cublas, Matrix
from netforge.device.cuda_ops_image import CudaImage
from netforge.device.cudnn import Convolution, ConvolutionOptions, Cudnn
from netforge.device.operations.convolution import ConvGeometry
from netforge.device.operations.shape import around
from netforge.device.random import RandomStream
from netforge.errors import DeviceError

Array = Any  # a CuPy array

logger = logging.getLogger("netforge")

COLUMNS_BYTES = 64 << 20
"""Memory for the windows of as many images at a time as fit, where cuDNN is absent; at least one image."""


class CudaLinear(CudaImage):
    """`LinearOps`, `ConvolutionOps` and `RandomOps` by kernels and NVIDIA's libraries.

    cuda: CuPy's major version of CUDA. allow_tf32, deterministic: see `CudaDevice`.
    """

    cuda: int
    allow_tf32: bool
    deterministic: bool

    @cached_property
    def cublas(self) -> Cublas:
        """cuBLAS; raises DeviceError where it is missing."""
        return Cublas(self.cuda, self.xp.cuda.alloc, allow_tf32=self.allow_tf32)

    @cached_property
    def cudnn(self) -> Cudnn | None:
        """cuDNN, or None where it is missing, which is said once."""
        options = ConvolutionOptions(deterministic=self.deterministic, allow_tf32=self.allow_tf32)
        try:
            return Cudnn(self.cuda, self.xp.cuda.alloc, options)
        except DeviceError as error:
            logger.warning("convolutions run as matrix products, which is slower: %s", error)
            return None

    def _stream(self) -> int:
        return int(self.xp.cuda.get_current_stream().ptr)

    # --- matrix products and biases ----------------------------------------------------------------------------------

    def matmul(
        self,
        a: Array,
        b: Array,
        out: Array,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        accumulate: bool = False,
    ) -> None:
        """out (M, N) = a (M, K) times b (K, N), each transposed first where asked; added to `out` with `accumulate`."""
        if not out.size:
            return
        if not a.size:
            if not accumulate:
                out.fill(0)
            return
        left, right, product = _matrix(a), _matrix(b), _matrix(out)
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "accumulate": accumulate}
        self.cublas.matmul(left, right, product, out.dtype, self._stream(), **options)

    def bias_forward(self, y: Array, b: Array, axis: int = 1) -> None:
        """Add b, one number per index of `axis`, to y in place."""
        _, channels, inner = around(y.shape, axis)
        self.launch.each("bias_forward", y.dtype, y.size, y, b, y.size, channels, inner)

    def bias_backward(self, dy: Array, db: Array, axis: int = 1) -> None:
        """db += the sum of dy over all axes but `axis`."""
        outer, channels, inner = around(dy.shape, axis)
        if inner == 1:
            groups = -(-channels // 32)
            self.launch.blocks("sum_rows", dy.dtype, groups, dy, db, outer, channels, 1, True)
        else:
            self.launch.channels("channel_sum", (dy,), (db,), (outer, channels, inner), 1, True)

    def scale_forward(self, x: Array, factor: Array, bias: Array | None, y: Array, kept: Array | None = None) -> None:
        """y = x * factor[c], plus bias[c] where given; y may be x, of which kept gets a copy where given."""
        self.launch.each("scale_forward", x.dtype, x.size, x, factor, bias, y, kept, x.size, *x.shape[1:])

    def scale_backward_factor(self, dy: Array, x: Array, dfactor: Array, dbias: Array | None = None) -> None:
        """dfactor[c] += the sum of dy * x over outer and inner, dbias[c] += that of dy where given."""
        outer, channels, inner = x.shape
        if inner > 1 and dbias is not None:
            self.launch.channels("channel_sum_dot", (dy, x), (dbias, dfactor), x.shape, 1, True)
            return
        if inner > 1:
            self.launch.channels("channel_dot", (dy, x), (dfactor,), x.shape, 1, True)
        else:
            groups = -(-channels // 32)
            self.launch.blocks("dot_rows", x.dtype, groups, dy, x, dfactor, outer, channels, 1, True)
        if dbias is not None:
            self.bias_backward(dy, dbias)

    # --- convolution -------------------------------------------------------------------------------------------------

    def conv_forward(self, x: Array, w: Array, y: Array, g: ConvGeometry, b: Array | None = None) -> None:
        """y = w * x, plus `b` (O,) per output channel where given."""
        if not y.size:
            return
        convolution = self._convolution(x, w, g)
        if convolution is not None:
            convolution.forward(self._stream(), x.data.ptr, w.data.ptr, y.data.ptr)
        else:
            for images, columns in self._columns(x, y, w.shape[2:], g):
                self.im2col(x[images], columns, w.shape[2:], g)
                self._products(w, columns, y[images], g)
        if b is not None:
            self.bias_forward(y, b)

    def conv_backward_data(self, dy: Array, w: Array, dx: Array, g: ConvGeometry) -> None:
        """dx = gradient with respect to x (overwritten); also the forward pass of a deconvolution."""
        if not dx.size:
            return
        convolution = self._convolution(dx, w, g)
        if convolution is not None:
            convolution.backward_data(self._stream(), dy.data.ptr, w.data.ptr, dx.data.ptr)
            return
        for images, columns in self._columns(dx, dy, w.shape[2:], g):
            self._products(w, dy[images], columns, g, transpose=True)
            self.col2im(columns, dx[images], w.shape[2:], g)

    def conv_backward_weights(self, x: Array, dy: Array, dw: Array, g: ConvGeometry) -> None:
        """dw += gradient with respect to w."""
        if not dy.size:
            return
        convolution = self._convolution(x, dw, g)
        if convolution is not None:
            convolution.backward_weights(self._stream(), x.data.ptr, dy.data.ptr, dw.data.ptr)
            return
        rows, inner = dw.shape[0] // g.group, prod(dw.shape[1:])
        for images, columns in self._columns(x, dy, dw.shape[2:], g):
            self.im2col(x[images], columns, dw.shape[2:], g)
            windows = columns.reshape(len(columns), g.group, inner, -1)
            gradients = dy[images].reshape(len(columns), g.group, rows, -1)
            weights = dw.reshape(g.group, rows, inner)
            for image in range(len(columns)):
                for group in range(g.group):
                    a, b = gradients[image, group], windows[image, group]
                    self.matmul(a, b, weights[group], transpose_b=True, accumulate=True)

    def _convolution(self, x: Array, w: Array, g: ConvGeometry) -> Convolution | None:
        """cuDNN's convolution; None where there is no cuDNN."""
        return None if self.cudnn is None else self.cudnn.convolution(x.shape, w.shape, x.dtype, g)

    def _columns(self, x: Array, y: Array, kernel: tuple[int, ...], g: ConvGeometry) -> Any:
        """Slices of the batch, with memory for the windows of those images."""
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

    # --- random numbers ----------------------------------------------------------------------------------------------

    def uniform(self, out: Array, stream: RandomStream, position: int | Array) -> None:
        """out = k 2^-24, in [0, 1)."""
        blocks = -(-out.size // 8)
        place = self._position(position)
        self.launch.each("uniform", out.dtype, blocks, out, place, out.size, stream.seed, stream.key)

    def bernoulli(self, mask: Array, keep: float, stream: RandomStream, position: int | Array) -> None:
        """mask = 1 / keep where k 2^-24 < keep, else 0."""
        blocks = -(-mask.size // 8)
        place, threshold = self._position(position), ceil(keep * 2**24)
        arguments = (mask, place, mask.size, stream.seed, stream.key, threshold, 1 / keep)
        self.launch.each("bernoulli", mask.dtype, blocks, *arguments)

    def advance(self, position: Array) -> None:
        """position[0] += 1."""
        self.launch.grid("advance", np.float32, (1,), position)

    def _position(self, position: int | Array) -> Array:
        if not isinstance(position, int):
            return position
        place = self.scratch.take("position", (1,), np.uint64)
        place.fill(position)
        return place


def _matrix(array: Array) -> Matrix:
    """A 2-D array, or a window of one, as cuBLAS takes it; raises DeviceError where its rows are not contiguous."""
    rows, columns = array.shape
    size = array.itemsize
    if columns > 1 and array.strides[1] != size:
        raise DeviceError(f"a matrix of shape {array.shape} with strides {array.strides} has no contiguous rows")
    return Matrix(array.data.ptr, rows, columns, array.strides[0] // size if rows > 1 else columns)


def _of_group(array: Array, group: int, groups: int, rows: int) -> Matrix:
    """The channels of one group, as one matrix of `rows` rows for each image of the batch."""
    item = prod(array.shape[1:])
    columns = item // groups // rows
    return Matrix(array.data.ptr + group * (item // groups) * array.itemsize, rows, columns, columns, item)
