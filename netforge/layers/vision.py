"""Convolution, its transpose, and the rearrangement of patches into channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob
from netforge.device.operations.convolution import ConvGeometry, conv_output_shape, deconv_output_shape
from netforge.layers.axes import canonical_axis, same_shape
from netforge.layers.base import Layer, register_layer, slots


class Windowed(Layer):
    """What layers with `convolution_param` share: windows over the axes behind the channel axis."""

    bottoms = slots("x (N..., C, spatial...)", more="further inputs of the same shape, under the same weights")
    tops = slots("y (N..., num_output, spatial...)", more="one for each further bottom")
    paired = True
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the window's size, stride, padding and dilation."""
        self.axis = canonical_axis(self, self.settings.axis, bottom[0], "convolution_param.axis")
        self.channels = bottom[0].shape[self.axis]
        self.axes = len(bottom[0].shape) - self.axis - 1
        self.kernel = self._per_axis("kernel_size", "kernel", None)
        self.geometry = ConvGeometry(
            stride=self._per_axis("stride", "stride", 1),
            pad=self._per_axis("pad", "pad", 0),
            dilation=self._per_axis("dilation", None, 1),
            group=self.settings.group,
        )

    def _per_axis(self, field: str, pair: str | None, default: int | None) -> tuple[int, ...]:
        """One number per spatial axis, from `field` (one number, or one an axis) or from `pair`_h and `pair`_w."""
        given = list(getattr(self.settings, field))
        names = [f"{pair}_{side}" for side in "hw"] if pair else []
        present = [name for name in names if self.settings.HasField(name)]
        if present:
            return self._height_width(field, names, present, given, default)
        if not self.axes:
            return ()
        if not given and default is not None:
            return (default,) * self.axes
        if len(given) not in (1, self.axes):
            raise self.fail(
                f"{field} is given {len(given)} times for {self.axes} spatial axes",
                setting=f"convolution_param.{field}",
                mend="give it once, or once for each spatial axis",
            )
        return self._positive(field, tuple(given * self.axes if len(given) == 1 else given), default)

    def _height_width(
        self, field: str, names: list[str], present: list[str], given: list[int], default: int | None
    ) -> tuple[int, ...]:
        setting = f"convolution_param.{present[0]}"
        if given:
            raise self.fail(
                f"both {field} and {present[0]} are given", setting=setting, mend="keep one of the two forms"
            )
        if self.axes != 2:
            raise self.fail(
                f"{present[0]} is for 2 spatial axes, there are {self.axes}", setting=setting, mend=f"use {field}"
            )
        if default is None and len(present) != 2:
            raise self.fail(f"{present[0]} is given alone", setting=setting, mend=f"give {names[0]} and {names[1]}")
        values = tuple(getattr(self.settings, name) if name in present else default or 0 for name in names)
        return self._positive(field, values, default)

    def _positive(self, field: str, values: tuple[int, ...], default: int | None) -> tuple[int, ...]:
        if default != 0 and min(values) < 1:
            raise self.fail(f"{field} holds {min(values)}", setting=f"convolution_param.{field}", mend="use 1 or more")
        return values

    def _check_bottoms(self, bottom: list[Blob]) -> tuple[int, ...]:
        """The spatial sizes of the bottoms, which must agree with each other and with `setup`."""
        same_shape(self, bottom)
        shape = bottom[0].shape
        if len(shape) != self.axis + 1 + self.axes or shape[self.axis] != self.channels:
            raise self.fail(
                f'bottom "{bottom[0].name}" has shape {shape}, but the layer was made for {self.channels} channels '
                f"on axis {self.axis} and {self.axes} spatial axes"
            )
        return shape[self.axis + 1 :]

    def _check_sizes(self, sizes: tuple[int, ...], blob: Blob) -> None:
        if any(size < 1 for size in sizes):
            raise self.fail(
                f'the window {self.kernel} does not fit into bottom "{blob.name}" {blob.shape}: '
                f"the top would have spatial sizes {sizes}",
                setting="convolution_param",
                mend="use a smaller kernel or dilation, or more padding",
            )

    def _items(self, array: Any) -> Any:
        """The array with all axes before the channels as one."""
        return array if self.axis == 1 else array.reshape(-1, *array.shape[self.axis :])


class Filtering(Windowed):
    """A windowed layer with weights: what Convolution and Deconvolution share."""

    transposed = False

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare weights [0] and, with bias_term, the bias [1]."""
        super().setup(bottom, top)
        outputs, group = self.settings.num_output, self.settings.group
        if not outputs:
            raise self.fail("num_output is missing", setting="convolution_param", mend="give num_output, 1 or more")
        for what, number in (("num_output", outputs), ("the number of input channels", self.channels)):
            if group < 1 or number % group:
                raise self.fail(
                    f"group {group} does not divide {what}, {number}",
                    setting="convolution_param.group",
                    mend="choose a common divisor of num_output and the input's channels",
                )
        first, second = (self.channels, outputs) if self.transposed else (outputs, self.channels)
        self.add_weight((first, second // group, *self.kernel), self.settings.weight_filler)
        if self.settings.bias_term:
            self.add_weight((outputs,), self.settings.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Tops get num_output channels and the spatial sizes that the windows leave."""
        spatial = self._check_bottoms(bottom)
        sizes = (deconv_output_shape if self.transposed else conv_output_shape)(spatial, self.kernel, self.geometry)
        self._check_sizes(sizes, bottom[0])
        for blob in top:
            blob.reshape((*bottom[0].shape[: self.axis], self.settings.num_output, *sizes))

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        """Each weight is used once per position of the convolution's output."""
        scanned = bottom[0] if self.transposed else top[0]
        positions = math.prod(scanned.shape[: self.axis]) * math.prod(scanned.shape[self.axis + 1 :])
        return len(bottom) * positions * self.weights[0].count

    def _add_bias_gradient(self, dy: Any) -> None:
        if self.learns(1):
            self.ops.bias_backward(dy, self.weights[1].diff)


@register_layer("Convolution", settings="convolution_param")
class Convolution(Filtering):
    """Cross-correlation with learned filters over any number of spatial axes, with groups and dilation.

    y[o] = b[o] + sum over channels c and taps t of w[o, c, t] * x[c, position * stride + t * dilation - pad].
    Sizes: floor((in + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1. Weights: (num_output, C / group, kernel...),
    bias (num_output,). LeCun et al. 1998.
    """

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Convolve each bottom into its top."""
        weights = self.weights[0].data
        bias = self.weights[1].data if self.settings.bias_term else None
        for source, target in zip(bottom, top, strict=True):
            self.ops.conv_forward(self._items(source.data), weights, self._items(target.data), self.geometry, bias)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of the bias, the filters and the bottoms."""
        for target, wanted, source in zip(top, propagate_down, bottom, strict=True):
            dy = self._items(target.diff)
            self._add_bias_gradient(dy)
            if self.learns(0):
                self.ops.conv_backward_weights(self._items(source.data), dy, self.weights[0].diff, self.geometry)
            if wanted:
                self.ops.conv_backward_data(dy, self.weights[0].data, self._items(source.diff), self.geometry)


@register_layer("Deconvolution", settings="convolution_param")
class Deconvolution(Filtering):
    """The transpose of Convolution: each input pixel adds its filter to the output (Zeiler et al. 2010).

    Sizes: stride (in - 1) + dilation (kernel - 1) + 1 - 2 pad. Weights: (C, num_output / group, kernel...), bias
    (num_output,). With the bilinear filler and group = num_output it enlarges images.
    """

    transposed = True

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Spread each bottom into its top."""
        for source, target in zip(bottom, top, strict=True):
            y = self._items(target.data)
            self.ops.conv_backward_data(self._items(source.data), self.weights[0].data, y, self.geometry)
            if self.settings.bias_term:
                self.ops.bias_forward(y, self.weights[1].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Gradients of the bias, the filters and the bottoms."""
        for target, wanted, source in zip(top, propagate_down, bottom, strict=True):
            dy = self._items(target.diff)
            self._add_bias_gradient(dy)
            if self.learns(0):
                self.ops.conv_backward_weights(dy, self._items(source.data), self.weights[0].diff, self.geometry)
            if wanted:
                self.ops.conv_forward(dy, self.weights[0].data, self._items(source.diff), self.geometry)


@register_layer("Im2col", settings="convolution_param")
class Im2col(Windowed):
    """Each window as a column of channels: what a convolution sees. top: (N..., C * prod(kernel), out...)."""

    bottoms = slots("x (N..., C, spatial...)")
    tops = slots("y (N..., C * prod(kernel), spatial...)")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top has a channel for each element of a window."""
        sizes = conv_output_shape(self._check_bottoms(bottom), self.kernel, self.geometry)
        self._check_sizes(sizes, bottom[0])
        top[0].reshape((*bottom[0].shape[: self.axis], self.channels * math.prod(self.kernel), *sizes))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy windows."""
        self.ops.im2col(self._items(bottom[0].data), self._items(top[0].data), self.kernel, self.geometry)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add windows up."""
        if propagate_down[0]:
            self.ops.col2im(self._items(top[0].diff), self._items(bottom[0].diff), self.kernel, self.geometry)
