"""Pooling over windows of an image, and over a pyramid of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netforge.blob import Blob
from netforge.device.operations.pooling import PoolGeometry, pool_output_shape
from netforge.layers.axes import rows
from netforge.layers.base import Layer, register_layer, slots


def check_image(layer: Layer, blob: Blob) -> tuple[int, int]:
    """Height and width of a bottom (N, C, H, W); raises ShapeError for other shapes."""
    if len(blob.shape) != 4:
        raise layer.fail(f'bottom "{blob.name}" has shape {blob.shape}', mend="this layer takes (N, C, H, W)")
    return blob.shape[2], blob.shape[3]


@register_layer("Pooling", settings="pooling_param")
class Pooling(Layer):
    """Maximum or average of each window; windows may overhang the image's far borders (round_mode CEIL).

    MAX: windows are clipped to the image; the first of equal values wins and takes the gradient; NaN is never chosen.
    The optional second top says where each maximum came from, as h * W + w within its plane.
    AVE: divides by the window's area within the padded image, so padding counts and overhang does not.
    LeCun et al. 1998; overlapping windows: Krizhevsky et al. 2012, section 3.4.
    """

    bottoms = slots("x (N, C, H, W)")
    tops = slots("y (N, C, out_h, out_w)", optional=("mask of y's shape, MAX only",))
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the window's size, stride and padding."""
        s = self.settings
        height, width = check_image(self, bottom[0])
        self.average = s.pool == s.AVE
        if s.pool == s.STOCHASTIC:
            raise self.fail("stochastic pooling is not offered", setting="pooling_param.pool", mend="use MAX or AVE")
        if self.average and len(top) > 1:
            raise self.fail("average pooling has no mask for a second top", mend="remove the second top, or use MAX")
        kernel = (height, width) if s.global_pooling else self._kernel()
        self.geometry = PoolGeometry(kernel, self._pair("stride"), self._pair("pad"))
        if s.global_pooling and (self._given_kernel() or any(self.geometry.pad) or self.geometry.stride != (1, 1)):
            raise self.fail(
                "global_pooling takes the whole image as its window",
                setting="pooling_param.global_pooling",
                mend="remove kernel, pad and stride",
            )
        if not s.global_pooling and any(p >= k for p, k in zip(self.geometry.pad, kernel, strict=True)):
            raise self.fail(
                f"pad {self.geometry.pad} is not smaller than the window {kernel}",
                setting="pooling_param.pad" if s.HasField("pad") else "pooling_param",
                mend="use less padding",
            )
        self.mask = self.buffer("mask", np.int32)

    def _given_kernel(self) -> list[str]:
        return [name for name in ("kernel_size", "kernel_h", "kernel_w") if self.settings.HasField(name)]

    def _kernel(self) -> tuple[int, int]:
        given = self._given_kernel()
        if given not in (["kernel_size"], ["kernel_h", "kernel_w"]):
            found = (
                " and ".join(given) + (" is" if len(given) == 1 else " are") + " given"
                if given
                else "no window is given"
            )
            raise self.fail(found, setting="pooling_param", mend="give kernel_size, or both kernel_h and kernel_w")
        kernel = self._pair("kernel_size", "kernel")
        if min(kernel) < 1:
            raise self.fail(f"the window is {kernel}", setting=f"pooling_param.{given[0]}", mend="use 1 or more")
        return kernel

    def _pair(self, field: str, prefix: str | None = None) -> tuple[int, int]:
        """(height, width) of a setting that has a common form and a form for each axis."""
        names = [f"{prefix or field}_{side}" for side in "hw"]
        present = [name for name in names if self.settings.HasField(name)]
        if not present:
            value = getattr(self.settings, field)
            pair = (value, value)
        elif self.settings.HasField(field) or len(present) != 2:
            raise self.fail(
                f"{field} is given in a mixed form",
                setting=f"pooling_param.{present[0]}",
                mend=f"give {field}, or both {names[0]} and {names[1]}",
            )
        else:
            pair = (getattr(self.settings, names[0]), getattr(self.settings, names[1]))
        if field == "stride" and min(pair) < 1:
            raise self.fail(f"stride is {pair}", setting="pooling_param.stride", mend="use 1 or more")
        return pair

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Tops get the number of windows along each axis."""
        spatial = check_image(self, bottom[0])
        if self.settings.global_pooling:
            self.geometry = PoolGeometry(spatial)
        ceil = self.settings.round_mode == self.settings.CEIL
        sizes = pool_output_shape(spatial, self.geometry, ceil=ceil)
        if min(sizes) < 1:
            raise self.fail(
                f'the window {self.geometry.kernel} does not fit into bottom "{bottom[0].name}" {bottom[0].shape}',
                setting="pooling_param",
                mend="use a smaller window or more padding",
            )
        for blob in top:
            blob.reshape((*bottom[0].shape[:2], *sizes))
        if not self.average:
            self.mask.reshape(top[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Pool, and keep where maxima came from."""
        if self.average:
            self.ops.pool_average_forward(bottom[0].data, top[0].data, self.geometry)
            return
        self.ops.pool_max_forward(bottom[0].data, top[0].data, self.mask.data, self.geometry)
        if len(top) > 1:
            top[1].data[...] = self.mask.data

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Give each window's gradient to its maximum, or share it out."""
        if not propagate_down[0]:
            return
        if self.average:
            self.ops.pool_average_backward(top[0].diff, bottom[0].diff, self.geometry)
        else:
            self.ops.pool_max_backward(top[0].diff, self.mask.data, bottom[0].diff, self.geometry)

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        """One for each element of each window."""
        return top[0].count * math.prod(self.geometry.kernel)


@register_layer("SPP", settings="spp_param")
class SPP(Layer):
    """Spatial pyramid pooling (He et al. 2014): level l pools 2^l x 2^l windows; all are joined along axis 1.

    top: (N, C * sum of 4^l), or (N, C, 1, 1) for a single level; so its size does not depend on the image's.
    """

    bottoms = slots("x (N, C, H, W)")
    tops = slots("y (N, C * sum of 4^level)")
    per_item = True
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the pyramid and make room for each level."""
        s = self.settings
        if s.pyramid_height < 1:
            raise self.fail("pyramid_height is missing", setting="spp_param", mend="give pyramid_height, 1 or more")
        if s.pool == s.STOCHASTIC:
            raise self.fail("stochastic pooling is not offered", setting="spp_param.pool", mend="use MAX or AVE")
        self.levels = [self.buffer(f"level{level}") for level in range(s.pyramid_height)]
        self.masks = [self.buffer(f"mask{level}", np.int32) for level in range(s.pyramid_height)]
        self.level_diff = self.buffer("level_diff")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Lay a grid of 2^l x 2^l windows over the image for each level."""
        height, width = check_image(self, bottom[0])
        self.geometries = [self._geometry((height, width), 2**level) for level in range(len(self.levels))]
        for level, (values, mask) in enumerate(zip(self.levels, self.masks, strict=True)):
            for blob in (values, mask):
                blob.reshape((*bottom[0].shape[:2], 2**level, 2**level))
        self.level_diff.reshape(bottom[0].shape)
        batch, channels = bottom[0].shape[:2]
        windows = sum(4**level for level in range(len(self.levels)))
        top[0].reshape((batch, channels, 1, 1) if windows == 1 else (batch, channels * windows))

    def _geometry(self, spatial: tuple[int, int], bins: int) -> PoolGeometry:
        kernel = tuple(math.ceil(size / bins) for size in spatial)
        pad = tuple((k * bins - size + 1) // 2 for k, size in zip(kernel, spatial, strict=True))
        geometry = PoolGeometry((kernel[0], kernel[1]), (kernel[0], kernel[1]), (pad[0], pad[1]))
        if any(p >= k for p, k in zip(pad, kernel, strict=True)) or pool_output_shape(spatial, geometry) != (
            bins,
            bins,
        ):
            raise self.fail(
                f"an image of {spatial} is too small for {bins} x {bins} windows",
                setting="spp_param.pyramid_height",
                mend="use fewer levels",
            )
        return geometry

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Pool each level and join them."""
        average = self.settings.pool == self.settings.AVE
        joined = rows(top[0].data)
        start = 0
        for values, mask, geometry in zip(self.levels, self.masks, self.geometries, strict=True):
            if average:
                self.ops.pool_average_forward(bottom[0].data, values.data, geometry)
            else:
                self.ops.pool_max_forward(bottom[0].data, values.data, mask.data, geometry)
            flat = rows(values.data)
            self.ops.copy_columns(flat, 0, joined, start, flat.shape[1])
            start += flat.shape[1]

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add up the gradients of the levels."""
        if not propagate_down[0]:
            return
        joined = rows(top[0].diff)
        dx = bottom[0].diff
        self.ops.fill(dx, 0.0)
        start = 0
        for values, mask, geometry in zip(self.levels, self.masks, self.geometries, strict=True):
            flat = rows(values.diff)
            self.ops.copy_columns(joined, start, flat, 0, flat.shape[1])
            start += flat.shape[1]
            if self.settings.pool == self.settings.AVE:
                self.ops.pool_average_backward(values.diff, self.level_diff.data, geometry)
            else:
                self.ops.pool_max_backward(values.diff, mask.data, self.level_diff.data, geometry)
            self.ops.weighted_sum([dx, self.level_diff.data], [1.0, 1.0], dx)
