"""Operations: elementwise activations.

Unless said otherwise an output may be the same array as an input (layers that work in place), and all arrays of a call
have one shape and one floating type. Formulas use x for the bottom, y for the top, dy and dx for their gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def rectify(x: Array, y: Array, slope: float) -> None:
    """y = max(x, 0) + slope * min(x, 0)."""
    if slope == 0:
        np.maximum(x, 0, out=y)
    else:
        np.copyto(y, np.where(x > 0, x, slope * x))


def rectify_gradient(x: Array, dy: Array, dx: Array, slope: float) -> None:
    """dx = dy where x > 0, slope * dy elsewhere."""
    if slope == 0:
        np.multiply(dy, x > 0, out=dx)
    else:
        np.copyto(dx, np.where(x > 0, dy, slope * dy))


class NeuronOps:
    """NumPy reference of elementwise activations."""

    def relu_forward(self, x: Array, y: Array, slope: float) -> None:
        """y = max(x, 0) + slope * min(x, 0)."""
        rectify(x, y, slope)

    def relu_backward(self, x: Array, dy: Array, dx: Array, slope: float) -> None:
        """dx = dy where x > 0, slope * dy elsewhere; y may stand in for x where slope >= 0."""
        rectify_gradient(x, dy, dx, slope)

    def relu_of_sum_forward(self, a: Array, b: Array, y: Array, slope: float) -> None:
        """y = max(a + b, 0) + slope * min(a + b, 0)."""
        np.add(a, b, out=y)
        self.relu_forward(y, y, slope)

    def relu_of_sum_backward(self, y: Array, dy: Array, da: Array | None, db: Array | None, slope: float) -> None:
        """da = db = dy where y > 0, slope * dy elsewhere, each where given; slope >= 0."""
        if da is not None:
            self.relu_backward(y, dy, da, slope)
        if db is not None and da is not None:
            np.copyto(db, da)
        elif db is not None:
            self.relu_backward(y, dy, db, slope)

    def prelu_forward(self, x: Array, slope: Array, y: Array) -> None:
        """y = max(x, 0) + slope[c] * min(x, 0); x (N, C, inner), slope (C,) or (1,)."""
        np.copyto(y, np.where(x > 0, x, slope[:, None] * x))

    def prelu_backward(self, x: Array, slope: Array, dy: Array, dx: Array) -> None:
        """dx = dy where x > 0, slope[c] * dy elsewhere; shapes as in `prelu_forward`."""
        np.copyto(dx, np.where(x > 0, dy, slope[:, None] * dy))

    def prelu_backward_slope(self, x: Array, dy: Array, dslope: Array) -> None:
        """Add the sum of dy * min(x, 0) over items and positions to dslope, (C,) or (1,)."""
        total = (dy * np.minimum(x, 0)).sum(axis=(0, 2))
        dslope += total.sum() if dslope.size == 1 else total

    def sigmoid_forward(self, x: Array, y: Array) -> None:
        """y = 1 / (1 + exp(-x)), computed as (1 + tanh(x/2)) / 2, which cannot overflow."""
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        y *= 0.5
        y += 0.5

    def sigmoid_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * y * (1 - y)."""
        slope = 1 - y
        slope *= y
        np.multiply(dy, slope, out=dx)

    def tanh_forward(self, x: Array, y: Array) -> None:
        """y = tanh(x)."""
        np.tanh(x, out=y)

    def tanh_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * (1 - y^2)."""
        slope = y * y
        np.subtract(1, slope, out=slope)
        np.multiply(dy, slope, out=dx)

    def elu_forward(self, x: Array, y: Array, alpha: float) -> None:
        """y = x where x > 0, alpha * (exp(x) - 1) elsewhere."""
        np.copyto(y, np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))

    def elu_backward(self, y: Array, dy: Array, dx: Array, alpha: float) -> None:
        """dx = dy where y > 0, dy * (y + alpha) elsewhere; alpha >= 0, so that y > 0 exactly where x > 0."""
        np.multiply(dy, np.where(y > 0, 1, y + alpha), out=dx)

    def swish_forward(self, x: Array, y: Array, beta: float) -> None:
        """y = x * sigmoid(beta * x)."""
        np.multiply(x, 0.5 + 0.5 * np.tanh((0.5 * beta) * x), out=y)

    def swish_backward(self, x: Array, dy: Array, dx: Array, beta: float) -> None:
        """dx = dy * s * (1 + beta * x * (1 - s)) with s = sigmoid(beta * x)."""
        s = 0.5 + 0.5 * np.tanh((0.5 * beta) * x)
        np.multiply(dy, s * (1 + beta * x * (1 - s)), out=dx)

    def clip_forward(self, x: Array, y: Array, low: float, high: float) -> None:
        """y = min(max(x, low), high)."""
        np.clip(x, low, high, out=y)

    def clip_backward(self, x: Array, dy: Array, dx: Array, low: float, high: float) -> None:
        """dx = dy where low <= x <= high, 0 elsewhere."""
        np.multiply(dy, (x >= low) & (x <= high), out=dx)

    def bnll_forward(self, x: Array, y: Array) -> None:
        """y = log(1 + exp(x)), without overflow."""
        np.logaddexp(x, x.dtype.type(0), out=y)

    def bnll_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * sigmoid(x) = dy * (1 - exp(-y))."""
        np.multiply(dy, -np.expm1(-y), out=dx)

    def absval_forward(self, x: Array, y: Array) -> None:
        """y = |x|."""
        np.abs(x, out=y)

    def absval_backward(self, x: Array, dy: Array, dx: Array) -> None:
        """dx = dy * sign(x)."""
        np.multiply(dy, np.sign(x), out=dx)

    def threshold_forward(self, x: Array, y: Array, threshold: float) -> None:
        """y = 1 where x > threshold, 0 elsewhere."""
        np.copyto(y, x > threshold)

    def power_forward(self, x: Array, y: Array, power: float, scale: float, shift: float) -> None:
        """y = (shift + scale * x) ^ power."""
        np.multiply(x, scale, out=y)
        y += shift
        if power != 1:
            np.power(y, power, out=y)

    def power_backward(self, x: Array, dy: Array, dx: Array, power: float, scale: float, shift: float) -> None:
        """dx = dy * power * scale * (shift + scale * x) ^ (power - 1); 0 where power * scale = 0."""
        if power * scale == 0:
            dx[...] = 0
        elif power == 1:
            np.multiply(dy, scale, out=dx)
        else:
            np.multiply(dy, (power * scale) * np.power(shift + scale * x, power - 1), out=dx)

    def exp_forward(self, x: Array, y: Array, log_base: float, scale: float, shift: float) -> None:
        """y = base ^ (shift + scale * x); `log_base` is the natural logarithm of the base."""
        np.multiply(x, log_base * scale, out=y)
        y += log_base * shift
        np.exp(y, out=y)

    def exp_backward(self, y: Array, dy: Array, dx: Array, log_base: float, scale: float) -> None:
        """dx = dy * y * ln(base) * scale."""
        np.multiply(dy, y * (log_base * scale), out=dx)

    def log_forward(self, x: Array, y: Array, log_base: float, scale: float, shift: float) -> None:
        """y = ln(shift + scale * x) / ln(base); minus infinity at 0, NaN below."""
        np.multiply(x, scale, out=y)
        y += shift
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(y, out=y)
        y *= 1 / log_base

    def log_backward(self, x: Array, dy: Array, dx: Array, log_base: float, scale: float, shift: float) -> None:
        """dx = dy * scale / ((shift + scale * x) * ln(base))."""
        with np.errstate(divide="ignore", invalid="ignore"):
            np.multiply(dy, (scale / log_base) / (shift + scale * x), out=dx)

    def lstm_unit_forward(self, c_before: Array, gates: Array, cont: Array, c: Array, h: Array) -> None:
        """One step of an LSTM (Hochreiter and Schmidhuber 1997, with forget gates).

        gates (N, 4H): before their nonlinearities, in the order input, forget, output, candidate; overwritten with the
        values after them. cont (N,): 0 where a sequence starts.
        c = cont * f * c_before + i * g, h = o * tanh(c), (N, H).
        """
        hidden = c.shape[-1]
        with_sigmoid = gates[:, : 3 * hidden]
        self.sigmoid_forward(with_sigmoid, with_sigmoid)
        candidate = gates[:, 3 * hidden :]
        np.tanh(candidate, out=candidate)
        i, f, o = (gates[:, k * hidden : (k + 1) * hidden] for k in range(3))
        np.copyto(c, cont[:, None] * f * c_before + i * candidate)
        np.multiply(o, np.tanh(c), out=h)

    def lstm_unit_backward(
        self,
        c_before: Array,
        gates: Array,
        cont: Array,
        c: Array,
        dc: Array,
        dh: Array,
        dc_before: Array,
        dgates: Array,
    ) -> None:
        """Gradients of `lstm_unit_forward`: overwrites dc_before (N, H), which may be dc, and dgates (N, 4H).

        dgates are those of the gates before their nonlinearities.
        """
        hidden = c.shape[-1]
        i, f, o, g = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
        di, df, do, dg = (dgates[:, k * hidden : (k + 1) * hidden] for k in range(4))
        tanh_c = np.tanh(c)
        total = dc + dh * o * (1 - tanh_c * tanh_c)
        np.multiply(dh * tanh_c, o * (1 - o), out=do)
        np.multiply(total * g, i * (1 - i), out=di)
        np.multiply(cont[:, None] * total * c_before, f * (1 - f), out=df)
        np.multiply(total * i, 1 - g * g, out=dg)
        np.multiply(cont[:, None] * total, f, out=dc_before)
