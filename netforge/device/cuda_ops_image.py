"""Pooling, normalisation and windows on a GPU (kernels/pooling.cu, normalize.cu, reduce.cu, im2col.cu)."""

from __future__ import annotations

from math import prod
from typing import Any

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import AT_ONCE, BLOCK, channel_splits
from netforge.device.operations.convolution import ConvGeometry
from netforge.device.operations.pooling import PoolGeometry
from netforge.errors import DeviceError

Array = Any  # a CuPy array

MOST_AXES = 3
"""Spatial axes that the kernels of windows know."""
CHANNEL_RUN = 16
"""Channels that a thread of local response normalisation takes one after another (RUN in normalize.cu)."""
LONG_ROW = AT_ONCE * BLOCK
"""Elements of a row that keep a whole block busy."""


class CudaImage(CudaCore):
    """`PoolingOps`, `NormalizeOps`, and the windows of `ConvolutionOps`, by kernels."""

    def im2col(self, x: Array, columns: Array, kernel: tuple[int, ...], g: ConvGeometry) -> None:
        """Windows of x (N, C, spatial...) as columns (N, C prod(kernel), out...), zeros where padding lies."""
        count = prod(x.shape[:2]) * prod(columns.shape[2:])
        self.launch.each("im2col", x.dtype, count, x, columns, count, *_windows(x, columns, kernel, g))

    def col2im(self, columns: Array, x: Array, kernel: tuple[int, ...], g: ConvGeometry) -> None:
        """Adjoint of `im2col`: x (overwritten) is the sum of all window elements over each of its pixels."""
        self.launch.each("col2im", x.dtype, x.size, columns, x, x.size, *_windows(x, columns, kernel, g))

    def pool_max_forward(self, x: Array, y: Array, mask: Array, g: PoolGeometry) -> None:
        """y = the largest value of each window, mask = its index within the plane."""
        self.launch.each("pool_max_forward", x.dtype, y.size, x, y, mask, *_pools(x, y, g))

    def pool_max_backward(self, dy: Array, mask: Array, dx: Array, g: PoolGeometry) -> None:
        """dx (overwritten) gets each dy at the pixel its mask names."""
        self.launch.each("pool_max_backward", dx.dtype, dx.size, dy, mask, dx, *_pools(dx, dy, g))

    def pool_average_forward(self, x: Array, y: Array, g: PoolGeometry) -> None:
        """y = the sum of each window over its area within the padded image."""
        self.launch.each("pool_average_forward", x.dtype, y.size, x, y, *_pools(x, y, g))

    def pool_average_backward(self, dy: Array, dx: Array, g: PoolGeometry) -> None:
        """dx (overwritten) gets the sum of dy over area of all windows that contain the pixel."""
        self.launch.each("pool_average_backward", dx.dtype, dx.size, dy, dx, *_pools(dx, dy, g))

    def lrn_forward(self, x: Array, scale: Array, y: Array, size: int, alpha: float, beta: float, k: float) -> None:
        """scale = k + alpha / size * sum of x^2 over `size` neighbouring channels; y = x * scale^-beta."""
        arrays = (x, scale, y)
        self.launch.each("lrn_forward", x.dtype, _runs(x.shape), *arrays, *x.shape, size, alpha, beta, k)

    def lrn_backward(
        self, x: Array, scale: Array, y: Array, dy: Array, dx: Array, size: int, alpha: float, beta: float
    ) -> None:
        """Gradient of `lrn_forward`, from x in place of y."""
        arrays = (x, scale, dy, dx)
        self.launch.each("lrn_backward", x.dtype, _runs(x.shape), *arrays, *x.shape, size, alpha, beta)

    def lrn_within_forward(self, x: Array, scale: Array, y: Array, size: int, alpha: float, beta: float) -> None:
        """scale = 1 + alpha / size^2 * sum of x^2 over a square of size * size; y = x * scale^-beta."""
        view, arrays = (prod(x.shape[:2]), *x.shape[2:]), (x, scale, y)
        self.launch.each("lrn_within_forward", x.dtype, _runs(view), *arrays, *view, size, alpha, beta)

    def lrn_within_backward(
        self, x: Array, scale: Array, y: Array, dy: Array, dx: Array, size: int, alpha: float, beta: float
    ) -> None:
        """Gradient of `lrn_within_forward`."""
        view, arrays = (prod(x.shape[:2]), *x.shape[2:]), (x, scale, y, dy, dx)
        self.launch.each("lrn_within_backward", x.dtype, _runs(view), *arrays, *view, size, alpha, beta)

    def channel_statistics(self, x: Array, mean: Array, variance: Array) -> None:
        """Mean and biased variance of each channel over items and positions."""
        outer, channels, inner = x.shape
        splits = channel_splits(x.shape)
        sums, squares = self.scratch.take("moments", (2, channels, splits), x.dtype)
        if channels:
            self.launch.grid("channel_moments", x.dtype, (channels, splits), x, sums, squares, *x.shape)
        arrays = (x, sums, squares, mean, variance)
        self.launch.warps("finish_moments", x.dtype, channels, *arrays, channels, splits, inner, outer * inner)

    def normalize_forward(
        self,
        x: Array,
        mean: Array,
        variance: Array,
        eps: float,
        normalized: Array,
        y: Array,
        factor: Array | None = None,
        bias: Array | None = None,
        slope: float = 1.0,
    ) -> None:
        """normalized = (x - mean) / sqrt(variance + eps), per channel; y = normalized * factor + bias, rectified."""
        arrays = (x, mean, variance, factor, bias, normalized, y)
        self.launch.several("normalize_forward", x.dtype, x.size, *arrays, x.size, *x.shape[1:], eps, slope)

    def normalize_backward(self, variance: Array, eps: float, dy: Array, dx: Array) -> None:
        """dx = dy / sqrt(variance + eps), per channel."""
        self.launch.several("normalize_backward", dy.dtype, dy.size, variance, dy, dx, dy.size, *dy.shape[1:], eps)

    def stored_statistics(
        self, mean_sum: Array, variance_sum: Array, weight: Array, mean: Array, variance: Array
    ) -> None:
        """mean = mean_sum / weight[0] and variance = variance_sum / weight[0]; 0 where weight[0] is 0."""
        arrays = (mean_sum, variance_sum, weight, mean, variance)
        self.launch.each("stored_statistics", mean.dtype, mean.size, *arrays, mean.size)

    def update_statistics(
        self,
        mean: Array,
        variance: Array,
        mean_sum: Array,
        variance_sum: Array,
        weight: Array,
        fraction: float,
        correction: float,
    ) -> None:
        """Take a batch's statistics into the sums of all batches, after these faded to `fraction`."""
        arrays = (mean, variance, mean_sum, variance_sum, weight)
        self.launch.each("update_statistics", mean.dtype, mean.size, *arrays, mean.size, fraction, correction)

    def batch_norm_backward(
        self,
        y: Array,
        variance: Array,
        eps: float,
        dy: Array,
        dx: Array,
        factor: Array | None = None,
        dfactor: Array | None = None,
        dbias: Array | None = None,
        bias: Array | None = None,
        slope: float = 1.0,
    ) -> None:
        """Gradient of normalisation by the batch's own statistics, and of a factor, a bias and a ReLU behind it."""
        share = 1 / max(1, y.shape[0] * y.shape[2])
        sums, dots = self.scratch.take("channel sums", (2, y.shape[1]), y.dtype)
        if slope == 1:
            self.launch.channels("channel_sum_dot", (dy, y), (sums, dots), y.shape, 1, False)
        else:
            rectified = (dy, y, factor, bias, slope)
            self.launch.channels("channel_sum_dot_rectified", rectified, (sums, dots), y.shape, 1, False)
        arrays = (y, variance, dy, sums, dots, factor, bias, dfactor, dbias, dx)
        self.launch.several("batch_norm_backward", y.dtype, y.size, *arrays, y.size, *y.shape[1:], eps, share, slope)

    def mvn_forward(self, x: Array, divisor: Array | None, eps: float, y: Array) -> None:
        """y = x - mean of its row, over divisor = standard deviation of the row + eps where given."""
        self.launch.blocks("mvn_forward", x.dtype, len(x), x, divisor, y, *x.shape, eps)

    def mvn_backward(self, y: Array, divisor: Array | None, dy: Array, dx: Array) -> None:
        """dx = (dy - mean(dy) - y * mean(y * dy)) / divisor, or dy - mean(dy) without; means per row."""
        self.launch.blocks("mvn_backward", y.dtype, len(y), y, divisor, dy, dx, *y.shape)

    def unit_forward(self, x: Array, divisor: Array, y: Array, eps: float, l1: bool = False) -> None:
        """y = x / divisor, divisor = the norm of the row, at least eps."""
        self._unit("unit_forward", (x, divisor, y), (*x.shape, eps, l1))

    def unit_backward(self, y: Array, divisor: Array, dy: Array, dx: Array, eps: float, l1: bool = False) -> None:
        """dx = (dy - slope * sum of dy * y) / divisor."""
        self._unit("unit_backward", (y, divisor, dy, dx), (*y.shape, eps, l1))

    def _unit(self, name: str, arrays: tuple[Array, ...], numbers: tuple[Any, ...]) -> None:
        """A warp for each row, or where rows are long a block."""
        (rows, columns), dtype = numbers[:2], arrays[0].dtype
        if columns < LONG_ROW:
            self.launch.warps(name, dtype, rows, *arrays, *numbers)
        else:
            self.launch.blocks(f"{name}_long", dtype, rows, *arrays, *numbers)


def _runs(view: tuple[int, ...]) -> int:
    """Runs of neighbouring channels at all positions of an array (outer, channels, inner), each of them a thread's."""
    outer, channels, inner = view
    return outer * -(-channels // CHANNEL_RUN) * inner


def _pools(image: Array, pooled: Array, g: PoolGeometry) -> tuple[int, ...]:
    """The number of planes and all sizes, as the kernels of pooling take them."""
    return (prod(image.shape[:2]), *image.shape[2:], *pooled.shape[2:], *g.kernel, *g.stride, *g.pad)


def _windows(x: Array, columns: Array, kernel: tuple[int, ...], g: ConvGeometry) -> tuple[int, ...]:
    """Sizes as the kernels of windows take them: missing axes come first, of size 1."""
    missing = MOST_AXES - len(g.stride)
    if missing < 0:
        raise DeviceError(
            f"a convolution over {len(g.stride)} spatial axes cannot run on a GPU",
            mend=f'use at most {MOST_AXES} spatial axes, or device "cpu"',
        )
    ones, zeros = (1,) * missing, (0,) * missing
    sizes = (x.shape[2:], kernel, columns.shape[2:], g.stride)
    return (*(n for size in sizes for n in (*ones, *size)), *zeros, *g.pad, *ones, *g.dilation)
