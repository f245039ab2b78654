"""Matrix products (cuBLAS), biases, factors and random numbers on a GPU."""

from __future__ import annotations

from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from netforge.device.cublas import Cublas, Matrix
from netforge.device.cuda_ops_image import CudaImage
from netforge.device.operations.shape import around
from netforge.device.random import RandomStream
from netforge.errors import DeviceError

Array = Any  # a CuPy array


class CudaLinear(CudaImage):
    """`LinearOps` and `RandomOps` by kernels and NVIDIA's libraries.

    cuda: CuPy's major version of CUDA. allow_tf32, deterministic: see `CudaDevice`.
    """

    cuda: int
    allow_tf32: bool
    deterministic: bool

    @cached_property
    def cublas(self) -> Cublas:
        """cuBLAS; raises DeviceError where it is missing."""
        return Cublas(self.cuda, self.xp.cuda.alloc, allow_tf32=self.allow_tf32)

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
        self.launch.several("bias_forward", y.dtype, y.size, y, b, y.size, channels, inner)

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
        self.launch.several("scale_forward", x.dtype, x.size, x, factor, bias, y, kept, x.size, *x.shape[1:])

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
