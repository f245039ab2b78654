"""Layers that fold values together: over bottoms, over axes, or to the largest ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netforge.blob import Blob
from netforge.device.operations.arithmetic import SumOf
from netforge.device.operations.shape import around
from netforge.layers.axes import canonical_axis, same_shape
from netforge.layers.base import Layer, register_layer, slots


@register_layer("Eltwise", settings="eltwise_param")
class Eltwise(Layer):
    """Bottoms of one shape folded element by element: SUM (with a factor `coeff` for each), PROD or MAX.

    MAX: at ties the later bottom wins, and the winner alone gets the gradient. PROD: the gradient of a bottom is the
    product of the others; with stable_prod_grad false it is computed as y / x, which fails at x = 0.
    """

    bottoms = slots("x0 any shape", "x1", more="more of the same shape")
    tops = slots("y of the same shape")
    backward_reads_top = True
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the operation and its factors."""
        s = self.settings
        if s.operation not in (s.SUM, s.PROD, s.MAX):
            name = s.EltwiseOp.Name(s.operation)
            raise self.fail(
                f"operation {name} is not offered", setting="eltwise_param.operation", mend="use SUM, PROD or MAX"
            )
        if s.coeff and s.operation == s.PROD:
            raise self.fail(
                "coeff does not go with PROD", setting="eltwise_param.coeff", mend="remove coeff, or use SUM"
            )
        if s.coeff and len(s.coeff) != len(bottom):
            raise self.fail(
                f"coeff is given {len(s.coeff)} times for {len(bottom)} bottoms",
                setting="eltwise_param.coeff",
                mend="give one for each bottom, or none",
            )
        self.factors = list(s.coeff) or [1.0] * len(bottom)
        self.winner = self.buffer("winner", np.int32)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """All shapes are equal."""
        same_shape(self, bottom)
        top[0].reshape(bottom[0].shape)
        if self.settings.operation == self.settings.MAX:
            self.winner.reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Fold."""
        s, inputs, y = self.settings, [blob.data for blob in bottom], top[0].data
        if s.operation == s.MAX:
            self.ops.maximum_forward(inputs, y, self.winner.data)
        elif s.operation == s.PROD:
            self.ops.product(inputs, y)
        else:
            self.ops.weighted_sum(inputs, self.factors, y)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Share the gradient out."""
        s, dy = self.settings, top[0].diff
        for i, blob in enumerate(bottom):
            if not propagate_down[i]:
                continue
            if s.operation == s.MAX:
                self.ops.maximum_backward(dy, self.winner.data, blob.diff, i)
            elif s.operation == s.SUM:
                self.ops.weighted_sum([dy], [self.factors[i]], blob.diff)
            elif s.stable_prod_grad:
                self.ops.product([dy, *(other.data for other in bottom[:i] + bottom[i + 1 :])], blob.diff)
            else:
                self.ops.product_backward(blob.data, top[0].data, dy, blob.diff)


@register_layer("Reduction", settings="reduction_param")
class Reduction(Layer):
    """All axes from `axis` on folded into one number: SUM, ASUM (of magnitudes), SUMSQ (of squares) or MEAN; * coeff.

    top: bottom.shape[:axis], a scalar for axis 0.
    """

    tops = slots("y (bottom.shape[:axis])")
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the operation."""
        s = self.settings
        if s.operation not in (s.SUM, s.ASUM, s.SUMSQ, s.MEAN):
            name = s.ReductionOp.Name(s.operation)
            raise self.fail(
                f"operation {name} is not offered",
                setting="reduction_param.operation",
                mend="use SUM, ASUM, SUMSQ or MEAN",
            )

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The folded axes vanish."""
        shape = bottom[0].shape
        axis = canonical_axis(self, self.settings.axis, bottom[0], "reduction_param.axis") if shape else 0
        self.rows, self.columns = math.prod(shape[:axis]), math.prod(shape[axis:])
        top[0].reshape(shape[:axis])
        s = self.settings
        mean = s.operation == s.MEAN
        self.factor = s.coeff / max(1, self.columns) if mean else s.coeff
        self.sum_of: SumOf = "ASUM" if s.operation == s.ASUM else "SUMSQ" if s.operation == s.SUMSQ else "SUM"

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Fold."""
        x, y = bottom[0].data.reshape(self.rows, self.columns), top[0].data.reshape(self.rows)
        self.ops.reduce_forward(x, y, self.sum_of, self.factor)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Spread the gradient."""
        if not propagate_down[0]:
            return
        view = (self.rows, self.columns)
        x, dx = bottom[0].data.reshape(view), bottom[0].diff.reshape(view)
        self.ops.reduce_backward(x, top[0].diff.reshape(self.rows), dx, self.sum_of, self.factor)


@register_layer("ArgMax", settings="argmax_param")
class ArgMax(Layer):
    """The places of the top_k largest values, largest first; at ties the larger index comes first. No gradient.

    Without `axis` each item is searched as a whole: top (N, 1, top_k), or (N, 2, top_k) with indices then values for
    out_max_val, with trailing 1s up to the bottom's number of axes. With `axis`: that axis shrinks to top_k and holds
    indices, or values for out_max_val.
    """

    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for both results."""
        if self.settings.operation != self.settings.MAX:
            raise self.fail(
                "operation MIN is not offered", setting="argmax_param.operation", mend="negate with a Power layer"
            )
        self.indices, self.values = self.buffer("indices"), self.buffer("values")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Work out what is searched."""
        s, shape, k = self.settings, bottom[0].shape, self.settings.top_k
        self.whole = not s.HasField("axis")
        if self.whole:
            self.view = (shape[0] if shape else 1, math.prod(shape[1:]), 1)
            top[0].reshape((self.view[0], 2 if s.out_max_val else 1, k, *(1 for _ in shape[3:])))
        else:
            axis = canonical_axis(self, s.axis, bottom[0], "argmax_param.axis")
            self.view = around(shape, axis)
            top[0].reshape((*shape[:axis], k, *shape[axis + 1 :]))
        if not 1 <= k <= self.view[1]:
            raise self.fail(
                f"top_k is {k}, there are {self.view[1]} values to choose from", setting="argmax_param.top_k"
            )
        for blob in (self.indices, self.values):
            blob.reshape((self.view[0], k, self.view[2]))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Search."""
        self.ops.top_k(bottom[0].data.reshape(self.view), self.indices.data, self.values.data, self.settings.top_k)
        if self.whole:
            items, parts, k = *top[0].shape[:2], self.settings.top_k
            y = top[0].data.reshape(items, parts * k)
            for part, found in zip(range(parts), (self.indices, self.values), strict=False):
                self.ops.copy_columns(found.data.reshape(items, k), 0, y, part * k, k)
        else:
            chosen = self.values if self.settings.out_max_val else self.indices
            self.ops.copy(chosen.data, top[0].data.reshape(chosen.shape))
