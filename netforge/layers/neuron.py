"""Elementwise activations: one value in, one value out, every shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob
from netforge.layers.base import Layer, register_layer, slots


class Neuron(Layer):
    """What elementwise layers share: the top has the bottom's shape and may use its memory.

    keeps_input: `backward` needs the bottom's values; a layer that works in place sets a copy aside in `forward`.
    """

    in_place = True
    keeps_input = False
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for a copy of the input where it will be needed."""
        if self.keeps_input and top[0] is bottom[0]:
            self.kept: Blob | None = self.buffer("input")
        else:
            self.kept = None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top's shape is the bottom's."""
        if top[0] is not bottom[0]:
            top[0].reshape(bottom[0].shape)
        if self.kept is not None:
            self.kept.reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Compute each value."""
        if self.kept is not None:
            self.ops.copy(bottom[0].data, self.kept.data)
        self.compute(bottom[0].data, top[0].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Multiply each gradient by the slope."""
        if propagate_down[0]:
            x = self.kept.data if self.kept is not None else bottom[0].data
            self.gradient(x, top[0].data, top[0].diff, bottom[0].diff)

    def compute(self, x: Any, y: Any) -> None:
        """Write y, which may be x itself."""
        raise self._lacks("compute")

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Write dx, which may be dy itself; x is meaningful only with `keeps_input`."""
        raise self._lacks("gradient")


@register_layer("ReLU", settings="relu_param")
class ReLU(Neuron):
    """y = max(x, 0) + negative_slope * min(x, 0) (Nair and Hinton 2010; leaky: Maas et al. 2013)."""

    backward_reads_top = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the slope; below 0 the sign of y no longer tells that of x, so that the input is kept."""
        self.slope = float(self.settings.negative_slope)
        self.keeps_input = self.slope < 0
        super().setup(bottom, top)

    def compute(self, x: Any, y: Any) -> None:
        """Rectify."""
        self.ops.relu_forward(x, y, self.slope)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Pass gradients where x > 0."""
        self.ops.relu_backward(x if self.keeps_input else y, dy, dx, self.slope)


@register_layer("PReLU", settings="prelu_param")
class PReLU(Neuron):
    """ReLU with a learned slope for negative values, per channel or one for all (He et al. 2015).

    bottom: (N, C, ...). weight: slopes (C,), or () with channel_shared; 0.25 unless a filler says otherwise.
    """

    bottoms = slots("x (N, C, ...)")
    keeps_input = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the slopes."""
        super().setup(bottom, top)
        if len(bottom[0].shape) < 2:
            raise self.fail(f'bottom "{bottom[0].name}" has shape {bottom[0].shape}', mend="PReLU takes (N, C, ...)")
        filler = type(self.settings)()
        filler.CopyFrom(self.settings)
        if not filler.HasField("filler"):
            filler.filler.type, filler.filler.value = "constant", 0.25
        self.add_weight(() if self.settings.channel_shared else (bottom[0].shape[1],), filler.filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The number of channels stays as it was."""
        if not self.settings.channel_shared and bottom[0].shape[1] != self.weights[0].count:
            raise self.fail(f'bottom "{bottom[0].name}" has {bottom[0].shape[1]} channels, not {self.weights[0].count}')
        super().reshape(bottom, top)

    def _view(self, array: Any) -> Any:
        return array.reshape(*array.shape[:2], math.prod(array.shape[2:]))

    def compute(self, x: Any, y: Any) -> None:
        """Rectify."""
        self.ops.prelu_forward(self._view(x), self.weights[0].data.reshape(-1), self._view(y))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of the slopes, then of the bottom."""
        if self.learns(0):
            x = self.kept.data if self.kept is not None else bottom[0].data
            slopes = self.weights[0].diff.reshape(-1)
            self.ops.prelu_backward_slope(self._view(x), self._view(top[0].diff), slopes)
        super().backward(top, propagate_down, bottom)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Pass gradients, times the slope where x <= 0."""
        slopes = self.weights[0].data.reshape(-1)
        self.ops.prelu_backward(self._view(x), slopes, self._view(dy), self._view(dx))


@register_layer("Sigmoid", settings="sigmoid_param")
class Sigmoid(Neuron):
    """y = 1 / (1 + exp(-x))."""

    backward_reads_top = True

    def compute(self, x: Any, y: Any) -> None:
        """Squash into (0, 1)."""
        self.ops.sigmoid_forward(x, y)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope y (1 - y)."""
        self.ops.sigmoid_backward(y, dy, dx)


@register_layer("TanH", settings="tanh_param")
class TanH(Neuron):
    """y = tanh(x)."""

    backward_reads_top = True

    def compute(self, x: Any, y: Any) -> None:
        """Squash into (-1, 1)."""
        self.ops.tanh_forward(x, y)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope 1 - y^2."""
        self.ops.tanh_backward(y, dy, dx)


@register_layer("ELU", settings="elu_param")
class ELU(Neuron):
    """y = x where x > 0, alpha * (exp(x) - 1) elsewhere; alpha >= 0 (Clevert et al. 2016)."""

    backward_reads_top = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check alpha."""
        super().setup(bottom, top)
        if self.settings.alpha < 0:
            raise self.fail(f"alpha is {self.settings.alpha:g}", setting="elu_param.alpha", mend="use 0 or more")

    def compute(self, x: Any, y: Any) -> None:
        """Bend negative values towards -alpha."""
        self.ops.elu_forward(x, y, self.settings.alpha)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope 1 where y > 0, y + alpha elsewhere."""
        self.ops.elu_backward(y, dy, dx, self.settings.alpha)


@register_layer("Swish", settings="swish_param")
class Swish(Neuron):
    """y = x * sigmoid(beta * x) (Ramachandran et al. 2017)."""

    keeps_input = True

    def compute(self, x: Any, y: Any) -> None:
        """Gate each value by itself."""
        self.ops.swish_forward(x, y, self.settings.beta)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope s (1 + beta x (1 - s))."""
        self.ops.swish_backward(x, dy, dx, self.settings.beta)


@register_layer("Clip", settings="clip_param")
class Clip(Neuron):
    """y = min(max(x, min), max); the gradient passes where min <= x <= max."""

    keeps_input = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Both borders must be given."""
        super().setup(bottom, top)
        for name in ("min", "max"):
            if not self.settings.HasField(name):
                raise self.fail(f"{name} is missing", setting="clip_param", mend="give min and max")
        if self.settings.min > self.settings.max:
            raise self.fail("min is above max", setting="clip_param.min", mend="exchange them")

    def compute(self, x: Any, y: Any) -> None:
        """Limit each value."""
        self.ops.clip_forward(x, y, self.settings.min, self.settings.max)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope 1 inside, 0 outside."""
        self.ops.clip_backward(x, dy, dx, self.settings.min, self.settings.max)


@register_layer("BNLL")
class BNLL(Neuron):
    """y = log(1 + exp(x)), the binomial normal log likelihood, also called softplus (Dugas et al. 2001)."""

    backward_reads_top = True

    def compute(self, x: Any, y: Any) -> None:
        """Smooth rectifier."""
        self.ops.bnll_forward(x, y)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope sigmoid(x)."""
        self.ops.bnll_backward(y, dy, dx)


@register_layer("AbsVal")
class AbsVal(Neuron):
    """y = |x|; the gradient at 0 is 0."""

    keeps_input = True

    def compute(self, x: Any, y: Any) -> None:
        """Drop the sign."""
        self.ops.absval_forward(x, y)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope sign(x)."""
        self.ops.absval_backward(x, dy, dx)


@register_layer("Threshold", settings="threshold_param")
class Threshold(Neuron):
    """y = 1 where x > threshold, 0 elsewhere; no gradient."""

    differentiable = False

    def compute(self, x: Any, y: Any) -> None:
        """Compare."""
        self.ops.threshold_forward(x, y, self.settings.threshold)


@register_layer("Power", settings="power_param")
class Power(Neuron):
    """y = (shift + scale * x) ^ power."""

    keeps_input = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the three numbers."""
        super().setup(bottom, top)
        self.numbers = (self.settings.power, self.settings.scale, self.settings.shift)

    def compute(self, x: Any, y: Any) -> None:
        """Shift, scale and raise."""
        self.ops.power_forward(x, y, *self.numbers)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope power * scale * (shift + scale x) ^ (power - 1)."""
        self.ops.power_backward(x, dy, dx, *self.numbers)


class Exponential(Neuron):
    """What Exp and Log share: a base (-1 stands for e), and scale and shift of the argument."""

    field = ""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Turn the base into its natural logarithm."""
        super().setup(bottom, top)
        base = self.settings.base
        if base != -1 and (base <= 0 or (base == 1 and self.field == "log_param")):
            raise self.fail(
                f"base {base:g} is not usable", setting=f"{self.field}.base", mend="use -1 for e, or a base above 0"
            )
        self.log_base = 1.0 if base == -1 else math.log(base)


@register_layer("Exp", settings="exp_param")
class Exp(Exponential):
    """y = base ^ (shift + scale * x); base -1 stands for e."""

    field = "exp_param"
    backward_reads_top = True

    def compute(self, x: Any, y: Any) -> None:
        """Raise the base."""
        self.ops.exp_forward(x, y, self.log_base, self.settings.scale, self.settings.shift)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope y * ln(base) * scale."""
        self.ops.exp_backward(y, dy, dx, self.log_base, self.settings.scale)


@register_layer("Log", settings="log_param")
class Log(Exponential):
    """y = log to `base` of (shift + scale * x); base -1 stands for e."""

    field = "log_param"
    keeps_input = True

    def compute(self, x: Any, y: Any) -> None:
        """Take the logarithm."""
        self.ops.log_forward(x, y, self.log_base, self.settings.scale, self.settings.shift)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Slope scale / ((shift + scale x) ln(base))."""
        self.ops.log_backward(x, dy, dx, self.log_base, self.settings.scale, self.settings.shift)
