"""Matrix products, table look-ups, and scaling and shifting along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from netforge.blob import Blob
from netforge.errors import DataError
from netforge.layers.axes import canonical_axis, check_labels
from netforge.layers.base import Layer, register_layer, slots
from netforge.schema import messages


@register_layer("InnerProduct", settings="inner_product_param")
class InnerProduct(Layer):
    """y = x W^T + b, all axes from `axis` on taken as one of size K.

    bottom: (..., K as one or several axes). top: bottom.shape[:axis] + (num_output,). Weights: W (num_output, K), or
    (K, num_output) with `transpose`; bias (num_output,).
    """

    bottoms = slots("x (N..., any)")
    tops = slots("y (N..., num_output)")
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare W and the bias for the bottom's size."""
        s = self.settings
        if not s.num_output:
            raise self.fail("num_output is missing", setting="inner_product_param", mend="give num_output, 1 or more")
        self.axis = canonical_axis(self, s.axis, bottom[0], "inner_product_param.axis")
        self.inputs = math.prod(bottom[0].shape[self.axis :])
        shape = (self.inputs, s.num_output) if s.transpose else (s.num_output, self.inputs)
        self.add_weight(shape, s.weight_filler)
        if s.bias_term:
            self.add_weight((s.num_output,), s.bias_filler)
        self.has_bias, self.transpose = s.bias_term, s.transpose

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The multiplied axes must keep their product."""
        shape = bottom[0].shape
        if len(shape) < self.axis or math.prod(shape[self.axis :]) != self.inputs:
            raise self.fail(
                f'bottom "{bottom[0].name}" has shape {shape}; from axis {self.axis} on it must hold '
                f"{self.inputs} elements, as when the net was built"
            )
        top[0].reshape((*shape[: self.axis], self.settings.num_output))

    def _rows(self, array: Any, columns: int) -> Any:
        return array if array.ndim == 2 and array.shape[1] == columns else array.reshape(-1, columns)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Multiply and add the bias."""
        x = self._rows(bottom[0].data, self.inputs)
        y = self._rows(top[0].data, self.settings.num_output)
        self.ops.matmul(x, self.weights[0].data, y, transpose_b=not self.transpose)
        if self.has_bias:
            self.ops.bias_forward(y, self.weights[1].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of W, the bias and the bottom."""
        x = self._rows(bottom[0].data, self.inputs)
        dy = self._rows(top[0].diff, self.settings.num_output)
        if self.learns(0):
            a, b = (x, dy) if self.transpose else (dy, x)
            self.ops.matmul(a, b, self.weights[0].diff, transpose_a=True, accumulate=True)
        if self.learns(1):
            self.ops.bias_backward(dy, self.weights[1].diff)
        if propagate_down[0]:
            dx = self._rows(bottom[0].diff, self.inputs)
            self.ops.matmul(dy, self.weights[0].data, dx, transpose_b=self.transpose)

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        """Rows times the size of W."""
        return math.prod(bottom[0].shape[: self.axis]) * self.weights[0].count


@register_layer("Embed", settings="embed_param")
class Embed(Layer):
    """A row of a learned table for each index: y[i] = W[x[i]] + b.

    bottom: indices, any shape. top: bottom.shape + (num_output,). Weights: W (input_dim, num_output), bias
    (num_output,). Indices get no gradient.
    """

    bottoms = slots("indices any shape, whole numbers below input_dim")
    tops = slots("y (..., num_output)")
    blocked_bottoms = (0,)
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the table and the bias."""
        s = self.settings
        for name in ("num_output", "input_dim"):
            if not getattr(s, name):
                raise self.fail(f"{name} is missing", setting="embed_param", mend=f"give {name}, 1 or more")
        self.add_weight((s.input_dim, s.num_output), s.weight_filler)
        if s.bias_term:
            self.add_weight((s.num_output,), s.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One row for each index."""
        top[0].reshape((*bottom[0].shape, self.settings.num_output))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Look the rows up."""
        indices, rows = bottom[0], self.settings.input_dim
        check_labels(self, indices, rows, explain=partial(self._bad_index, indices))
        y = top[0].data.reshape(-1, self.settings.num_output)
        self.ops.gather_rows(self.weights[0].data, indices.data.reshape(-1), y)
        if self.settings.bias_term:
            self.ops.bias_forward(y, self.weights[1].data)

    def _bad_index(self, indices: Blob, index: int, value: float) -> Exception:
        return self.fail(
            f'index {value:g} at position {index} of "{indices.name}" is not in the table: '
            f"input_dim is {self.settings.input_dim}",
            error=DataError,
            mend="correct the indices, or raise input_dim",
        )

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add each gradient to its row, and to the bias."""
        dy = top[0].diff.reshape(-1, self.settings.num_output)
        if self.learns(0):
            self.ops.scatter_add_rows(dy, bottom[0].data.reshape(-1), self.weights[0].diff)
        if self.learns(1):
            self.ops.bias_backward(dy, self.weights[1].diff)


class AlongAxes(Layer):
    """What Scale and Bias share: an array that covers some neighbouring axes of bottom 0, learned or given as bottom 1.

    The covered axes start at `axis`; there are num_axes of them (-1: all the rest), or as many as bottom 1 has.
    """

    bottoms = slots("x any shape", optional=("factor or addend, in place of a learned one",))
    in_place = True
    field = ""
    default_value = 0.0
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the covered array as weight 0, unless it is given."""
        s = self.settings
        self.given = len(bottom) > 1
        if self.given and not bottom[1].shape:
            self.axis = 0
        else:
            self.axis = canonical_axis(self, s.axis, bottom[0], f"{self.field}.axis")
        if self.given:
            return
        rest = bottom[0].shape[self.axis :]
        if s.num_axes < -1 or s.num_axes > len(rest):
            raise self.fail(
                f'num_axes {s.num_axes} is too many from axis {self.axis} of "{bottom[0].name}" {bottom[0].shape}',
                setting=f"{self.field}.num_axes",
                mend=f"use at most {len(rest)}, or -1 for all",
            )
        filler: Any = messages.FillerParameter()
        filler.CopyFrom(s.filler)
        if not s.HasField("filler"):
            filler.type, filler.value = "constant", self.default_value
        self.add_weight(rest if s.num_axes == -1 else rest[: s.num_axes], filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check that the covered axes match, and work out the broadcast."""
        shape = bottom[0].shape
        covered = (bottom[1] if self.given else self.weights[0]).shape
        if shape[self.axis : self.axis + len(covered)] != covered:
            raise self.fail(
                f'shape {covered} does not match bottom "{bottom[0].name}" {shape} from axis {self.axis} on'
            )
        self.view = (
            math.prod(shape[: self.axis]),
            math.prod(covered),
            math.prod(shape[self.axis + len(covered) :]),
        )
        if top[0] is not bottom[0]:
            top[0].reshape(shape)

    def _factor(self, bottom: list[Blob]) -> Blob:
        return bottom[1] if self.given else self.weights[0]


@register_layer("Scale", settings="scale_param")
class Scale(AlongAxes):
    """y = x * s, plus a learned bias with bias_term; s is learned (from 1), or bottom 1.

    s covers the axes of x from `axis` on (see `num_axes`) and is repeated over the others.
    """

    field = "scale_param"
    default_value = 1.0

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the factor, then the bias."""
        super().setup(bottom, top)
        self.kept = self.buffer("input") if top[0] is bottom[0] else None
        if self.settings.bias_term:
            self.add_weight(self._factor(bottom).shape, self.settings.bias_filler)
        self.bias_index = len(self.weights) - 1

    @property
    def bias(self) -> Blob | None:
        """The weight that is added, where there is one."""
        return self.weights[self.bias_index] if self.settings.bias_term else None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Keep room for the input where the layer works in place."""
        super().reshape(bottom, top)
        if self.kept is not None:
            self.kept.reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Multiply, then add."""
        x, y = bottom[0].data.reshape(self.view), top[0].data.reshape(self.view)
        kept = None if self.kept is None else self.kept.data.reshape(self.view)
        bias = None if self.bias is None else self.bias.data.reshape(-1)
        self.ops.scale_forward(x, self._factor(bottom).data.reshape(-1), bias, y, kept)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of the bias, the factor and the bottom."""
        dy = top[0].diff.reshape(self.view)
        dbias = None
        if self.bias is not None and self.learns(self.bias_index):
            dbias = self.bias.diff.reshape(-1)
        factor = self._factor(bottom)
        if propagate_down[1] if self.given else self.learns(0):
            x = (self.kept or bottom[0]).data.reshape(self.view)
            gradient = factor.diff.reshape(-1)
            if self.given:
                self.ops.fill(gradient, 0.0)
            self.ops.scale_backward_factor(dy, x, gradient, dbias)
        elif dbias is not None:
            self.ops.bias_backward(dy, dbias)
        if propagate_down[0]:
            self.ops.scale_forward(dy, factor.data.reshape(-1), None, bottom[0].diff.reshape(self.view))


@register_layer("Bias", settings="bias_param")
class Bias(AlongAxes):
    """y = x + b; b is learned (from 0), or bottom 1. It covers the axes of x from `axis` on (see `num_axes`)."""

    field = "bias_param"

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Add."""
        y = top[0].data.reshape(self.view)
        if top[0] is not bottom[0]:
            self.ops.copy(bottom[0].data, top[0].data)
        self.ops.bias_forward(y, self._factor(bottom).data.reshape(-1))

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of the bias and the bottom."""
        dy = top[0].diff.reshape(self.view)
        if propagate_down[1] if self.given else self.learns(0):
            gradient = self._factor(bottom).diff.reshape(-1)
            if self.given:
                self.ops.fill(gradient, 0.0)
            self.ops.bias_backward(dy, gradient)
        if propagate_down[0] and top[0] is not bottom[0]:
            self.ops.copy(top[0].diff, bottom[0].diff)
