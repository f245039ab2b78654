"""Arithmetic on whole arrays on a GPU (kernels/arithmetic.cu, and sums over rows with kernels/reduce.cu)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.operations.arithmetic import SumOf

Array = Any  # a CuPy array

_SLOPES: dict[SumOf, int] = {"SUM": 0, "ASUM": 1, "SUMSQ": 2}


class CudaArithmetic(CudaCore):
    """`ArithmeticOps` by kernels, several elements a thread; folds of many inputs take them two by two."""

    def fill(self, y: Array, value: float, *, accumulate: bool = False) -> None:
        """y = value; added to what y holds with `accumulate`."""
        self.launch.each("fill", y.dtype, y.size, y, y.size, value, accumulate)

    def copy(self, x: Array, y: Array) -> None:
        """y = x."""
        self.launch.several("copy", x.dtype, x.size, x, y, x.size, 1.0)

    def weighted_sum(self, inputs: Sequence[Array], factors: Sequence[float], y: Array) -> None:
        """y = sum of factors[i] * inputs[i], added in the order of i; y may be inputs[0]."""
        total, factor = inputs[0], factors[0]
        if len(inputs) == 1:
            self.launch.several("copy", y.dtype, y.size, total, y, y.size, factor)
        for x, own in zip(inputs[1:], factors[1:], strict=True):
            self.launch.several("weighted_sum", y.dtype, y.size, total, x, y, y.size, factor, own)
            total, factor = y, 1.0

    def product(self, inputs: Sequence[Array], y: Array) -> None:
        """y = product of the inputs, multiplied in their order; y may be inputs[0]."""
        total = inputs[0]
        for x in inputs[1:]:
            self.launch.several("product", y.dtype, y.size, total, x, y, y.size)
            total = y

    def product_backward(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        """dx = y / x * dy."""
        self.launch.several("product_backward", x.dtype, x.size, x, y, dy, dx, x.size)

    def reduce_forward(self, x: Array, y: Array, of: SumOf, factor: float) -> None:
        """y[r] = factor * the sum over row r."""
        rows, columns = x.shape
        if of == "SUMSQ":
            self.launch.channels("channel_dot", (x, x), (y,), (1, rows, columns), factor, False)
        else:
            name = "channel_sum" if of == "SUM" else "channel_magnitudes"
            self.launch.channels(name, (x,), (y,), (1, rows, columns), factor, False)

    def reduce_backward(self, x: Array, dy: Array, dx: Array, of: SumOf, factor: float) -> None:
        """dx = dy[r] * factor * slope."""
        arrays = (x, dy, dx)
        self.launch.several("reduce_backward", x.dtype, x.size, *arrays, x.size, x.shape[1], _SLOPES[of], factor)
