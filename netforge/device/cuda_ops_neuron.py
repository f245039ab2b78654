"""Elementwise activations on a GPU: one kernel each (kernels/activation.cu), several elements a thread."""

from __future__ import annotations

from typing import Any

from netforge.device.cuda_ops_core import CudaCore

Array = Any  # a CuPy array


class CudaNeuron(CudaCore):
    """`NeuronOps` by kernels."""

    def relu_forward(self, x: Array, y: Array, slope: float) -> None:
        """y = max(x, 0) + slope * min(x, 0)."""
        self.launch.several("relu_forward", x.dtype, x.size, x, y, x.size, slope)

    def relu_backward(self, x: Array, dy: Array, dx: Array, slope: float) -> None:
        """dx = dy where x > 0, slope * dy elsewhere."""
        self.launch.several("relu_backward", x.dtype, x.size, x, dy, dx, x.size, slope)

    def relu_of_sum_forward(self, a: Array, b: Array, y: Array, slope: float) -> None:
        """y = max(a + b, 0) + slope * min(a + b, 0)."""
        self.launch.several("relu_of_sum_forward", y.dtype, y.size, a, b, y, y.size, slope)

    def relu_of_sum_backward(self, y: Array, dy: Array, da: Array | None, db: Array | None, slope: float) -> None:
        """da = db = dy where y > 0, slope * dy elsewhere, each where given."""
        self.launch.several("relu_of_sum_backward", y.dtype, y.size, y, dy, da, db, y.size, slope)

    def prelu_forward(self, x: Array, slope: Array, y: Array) -> None:
        """y = max(x, 0) + slope[c] * min(x, 0)."""
        self.launch.several("prelu_forward", x.dtype, x.size, x, slope, y, x.size, *x.shape[1:], slope.size)

    def prelu_backward(self, x: Array, slope: Array, dy: Array, dx: Array) -> None:
        """dx = dy where x > 0, slope[c] * dy elsewhere."""
        self.launch.several("prelu_backward", x.dtype, x.size, x, slope, dy, dx, x.size, *x.shape[1:], slope.size)

    def prelu_backward_slope(self, x: Array, dy: Array, dslope: Array) -> None:
        """Add the sum of dy * min(x, 0) to dslope."""
        view = (1, 1, x.size) if dslope.size == 1 else x.shape
        self.launch.channels("channel_dot_negative", (x, dy), (dslope,), view, 1, True)

    def sigmoid_forward(self, x: Array, y: Array) -> None:
        """y = 1 / (1 + exp(-x))."""
        self.launch.several("sigmoid_forward", x.dtype, x.size, x, y, x.size)

    def sigmoid_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * y * (1 - y)."""
        self.launch.several("sigmoid_backward", y.dtype, y.size, y, dy, dx, y.size)

    def tanh_forward(self, x: Array, y: Array) -> None:
        """y = tanh(x)."""
        self.launch.several("tanh_forward", x.dtype, x.size, x, y, x.size)

    def tanh_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * (1 - y^2)."""
        self.launch.several("tanh_backward", y.dtype, y.size, y, dy, dx, y.size)

    def elu_forward(self, x: Array, y: Array, alpha: float) -> None:
        """y = x where x > 0, alpha * (exp(x) - 1) elsewhere."""
        self.launch.several("elu_forward", x.dtype, x.size, x, y, x.size, alpha)

    def elu_backward(self, y: Array, dy: Array, dx: Array, alpha: float) -> None:
        """dx = dy where y > 0, dy * (y + alpha) elsewhere."""
        self.launch.several("elu_backward", y.dtype, y.size, y, dy, dx, y.size, alpha)

    def swish_forward(self, x: Array, y: Array, beta: float) -> None:
        """y = x * sigmoid(beta * x)."""
        self.launch.several("swish_forward", x.dtype, x.size, x, y, x.size, beta)

    def swish_backward(self, x: Array, dy: Array, dx: Array, beta: float) -> None:
        """dx = dy * s * (1 + beta * x * (1 - s)) with s = sigmoid(beta * x)."""
        self.launch.several("swish_backward", x.dtype, x.size, x, dy, dx, x.size, beta)

    def clip_forward(self, x: Array, y: Array, low: float, high: float) -> None:
        """y = min(max(x, low), high)."""
        self.launch.several("clip_forward", x.dtype, x.size, x, y, x.size, low, high)

    def clip_backward(self, x: Array, dy: Array, dx: Array, low: float, high: float) -> None:
        """dx = dy where low <= x <= high, 0 elsewhere."""
        self.launch.several("clip_backward", x.dtype, x.size, x, dy, dx, x.size, low, high)

    def bnll_forward(self, x: Array, y: Array) -> None:
        """y = log(1 + exp(x))."""
        self.launch.several("bnll_forward", x.dtype, x.size, x, y, x.size)

    def bnll_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = dy * (1 - exp(-y))."""
        self.launch.several("bnll_backward", y.dtype, y.size, y, dy, dx, y.size)

    def absval_forward(self, x: Array, y: Array) -> None:
        """y = |x|."""
        self.launch.several("absval_forward", x.dtype, x.size, x, y, x.size)

    def absval_backward(self, x: Array, dy: Array, dx: Array) -> None:
        """dx = dy * sign(x)."""
        self.launch.several("absval_backward", x.dtype, x.size, x, dy, dx, x.size)

    def threshold_forward(self, x: Array, y: Array, threshold: float) -> None:
        """y = 1 where x > threshold, 0 elsewhere."""
        self.launch.several("threshold_forward", x.dtype, x.size, x, y, x.size, threshold)

    def power_forward(self, x: Array, y: Array, power: float, scale: float, shift: float) -> None:
        """y = (shift + scale * x) ^ power."""
        self.launch.several("power_forward", x.dtype, x.size, x, y, x.size, power, scale, shift)

    def power_backward(self, x: Array, dy: Array, dx: Array, power: float, scale: float, shift: float) -> None:
        """dx = dy * power * scale * (shift + scale * x) ^ (power - 1); 0 where power * scale = 0."""
        self.launch.several("power_backward", x.dtype, x.size, x, dy, dx, x.size, power, scale, shift)

    def exp_forward(self, x: Array, y: Array, log_base: float, scale: float, shift: float) -> None:
        """y = base ^ (shift + scale * x)."""
        self.launch.several("exp_forward", x.dtype, x.size, x, y, x.size, log_base, scale, shift)

    def exp_backward(self, y: Array, dy: Array, dx: Array, log_base: float, scale: float) -> None:
        """dx = dy * y * ln(base) * scale."""
        self.launch.several("exp_backward", y.dtype, y.size, y, dy, dx, y.size, log_base, scale)

    def log_forward(self, x: Array, y: Array, log_base: float, scale: float, shift: float) -> None:
        """y = ln(shift + scale * x) / ln(base)."""
        self.launch.several("log_forward", x.dtype, x.size, x, y, x.size, log_base, scale, shift)

    def log_backward(self, x: Array, dy: Array, dx: Array, log_base: float, scale: float, shift: float) -> None:
        """dx = dy * scale / ((shift + scale * x) * ln(base))."""
        self.launch.several("log_backward", x.dtype, x.size, x, dy, dx, x.size, log_base, scale, shift)

    def lstm_unit_forward(self, c_before: Array, gates: Array, cont: Array, c: Array, h: Array) -> None:
        """One step of an LSTM; gates are overwritten with their values after the nonlinearities."""
        self.launch.each("lstm_unit_forward", c.dtype, c.size, c_before, gates, cont, c, h, c.size, c.shape[-1])

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
        """Gradients of `lstm_unit_forward`."""
        arrays = (c_before, gates, cont, c, dc, dh, dc_before, dgates)
        self.launch.each("lstm_unit_backward", c.dtype, c.size, *arrays, c.size, c.shape[-1])
