"""Operations: filling, copying, adding and multiplying whole arrays, and sums over their rows.

All arrays of a call are C-contiguous and have one shape and one floating type, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

Array = Any
SumOf = Literal["SUM", "ASUM", "SUMSQ"]
"""What is summed: the values, their magnitudes, or their squares (Caffe's names)."""


class ArithmeticOps:
    """NumPy reference of arithmetic on whole arrays."""

    def fill(self, y: Array, value: float, *, accumulate: bool = False) -> None:
        """y = value; added to what y holds with `accumulate`."""
        if accumulate:
            y += value
        else:
            y.fill(value)

    def copy(self, x: Array, y: Array) -> None:
        """y = x."""
        np.copyto(y, x)

    def weighted_sum(self, inputs: Sequence[Array], factors: Sequence[float], y: Array) -> None:
        """y = sum of factors[i] * inputs[i], added in the order of i; one input or more. y may be inputs[0]."""
        total = inputs[0]
        if factors[0] != 1 or len(inputs) == 1:
            np.multiply(total, factors[0], out=y)
            total = y
        for x, factor in zip(inputs[1:], factors[1:], strict=True):
            np.add(total, x if factor == 1 else x * factor, out=y)
            total = y

    def product(self, inputs: Sequence[Array], y: Array) -> None:
        """y = product of the inputs, multiplied in their order; two inputs or more. y may be inputs[0]."""
        total = inputs[0]
        for x in inputs[1:]:
            np.multiply(total, x, out=y)
            total = y

    def product_backward(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        """dx = y / x * dy: the gradient of one factor x of a product y, not a number where x is 0."""
        np.divide(y, x, out=dx)
        dx *= dy

    def reduce_forward(self, x: Array, y: Array, of: SumOf, factor: float) -> None:
        """y[r] = factor * the sum over row r; x (rows, columns), y (rows,)."""
        if of == "ASUM":
            x = np.abs(x)
        elif of == "SUMSQ":
            x = x * x
        np.sum(x, axis=1, out=y)
        y *= factor

    def reduce_backward(self, x: Array, dy: Array, dx: Array, of: SumOf, factor: float) -> None:
        """dx = dy[r] * factor * slope; the slope is 1 for SUM, sign(x) for ASUM, 2 x for SUMSQ. Shapes as forward."""
        column = (dy * factor)[:, None]
        if of == "ASUM":
            np.sign(x, out=dx)
            dx *= column
        elif of == "SUMSQ":
            np.multiply(x, 2 * column, out=dx)
        else:
            np.copyto(dx, column)
