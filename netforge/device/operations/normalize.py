"""Operations: normalisation over channels, batches, planes and items.

Blobs are seen as (N, C, positions) and statistics as (C,), unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.operations.neuron import rectify, rectify_gradient

Array = Any


class NormalizeOps:
    """NumPy reference of normalisation over channels, batches, planes and items."""

    def lrn_forward(self, x: Array, scale: Array, y: Array, size: int, alpha: float, beta: float, k: float) -> None:
        """scale = k + alpha / size * sum of x^2 over `size` neighbouring channels; y = x * scale^-beta.

        Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3); zeros beyond the borders.
        """
        _window_sums(x * x, scale, size, axis=1)
        scale *= alpha / size
        scale += k
        np.multiply(x, scale**-beta, out=y)

    def lrn_backward(
        self, x: Array, scale: Array, y: Array, dy: Array, dx: Array, size: int, alpha: float, beta: float
    ) -> None:
        """dx = dy * scale^-beta - 2 alpha beta / size * x * sum over the window of dy * y / scale."""
        window = np.empty_like(x)
        _window_sums(dy * y / scale, window, size, axis=1)
        window *= x
        window *= 2 * alpha * beta / size
        np.subtract(dy * scale**-beta, window, out=dx)

    def lrn_within_forward(self, x: Array, scale: Array, y: Array, size: int, alpha: float, beta: float) -> None:
        """scale = 1 + alpha / size^2 * sum of x^2 over a square of size * size; y = x * scale^-beta.

        Local response normalisation within planes, x (N, C, H, W); zeros beyond the borders.
        """
        _window_sums(x * x, y, size, axis=3)
        _window_sums(y, scale, size, axis=2)
        scale *= alpha / size**2
        scale += 1
        np.multiply(x, scale**-beta, out=y)

    def lrn_within_backward(
        self, x: Array, scale: Array, y: Array, dy: Array, dx: Array, size: int, alpha: float, beta: float
    ) -> None:
        """dx = dy * scale^-beta - 2 alpha beta / size^2 * x * sum over the square of dy * y / scale."""
        window = dy * y / scale
        _window_sums(window, dx, size, axis=3)
        _window_sums(dx, window, size, axis=2)
        window *= x
        window *= 2 * alpha * beta / size**2
        np.multiply(dy, scale**-beta, out=dx)
        dx -= window

    def channel_statistics(self, x: Array, mean: Array, variance: Array) -> None:
        """Mean and biased variance of each channel over items and positions; 0 where there are none."""
        count = max(1, x.shape[0] * x.shape[2])
        np.sum(x, axis=(0, 2), out=mean)
        mean /= count
        centred = x - mean[:, None]
        np.einsum("ncp,ncp->c", centred, centred, out=variance)
        variance /= count

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
        """normalized = (x - mean) / sqrt(variance + eps), per channel; y = normalized * factor + bias where given.

        Then y is multiplied by slope where it is below 0, as ReLU does. Two arrays even where they are equal, as later
        layers may change y. y may be x. factor, bias: (C,).
        """
        np.subtract(x, mean[:, None], out=normalized)
        normalized *= (1 / np.sqrt(variance + eps))[:, None]
        np.multiply(normalized, 1 if factor is None else factor[:, None], out=y)
        if bias is not None:
            y += bias[:, None]
        if slope != 1:
            rectify(y, y, slope)

    def normalize_backward(self, variance: Array, eps: float, dy: Array, dx: Array) -> None:
        """dx = dy / sqrt(variance + eps), per channel: the gradient where the statistics are constants."""
        np.divide(dy, np.sqrt(variance + eps)[:, None], out=dx)

    def stored_statistics(
        self, mean_sum: Array, variance_sum: Array, weight: Array, mean: Array, variance: Array
    ) -> None:
        """mean = mean_sum / weight[0] and variance = variance_sum / weight[0]; 0 where weight[0] is 0."""
        factor = 0 if weight[0] == 0 else 1 / weight[0]
        np.multiply(mean_sum, factor, out=mean)
        np.multiply(variance_sum, factor, out=variance)

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
        """Take a batch's statistics into the sums of all batches, after these faded to `fraction`; weight (1,).

        mean_sum = fraction * mean_sum + mean, variance_sum = fraction * variance_sum + correction * variance,
        weight = fraction * weight + 1.
        """
        for stored in (mean_sum, variance_sum, weight):
            stored *= fraction
        mean_sum += mean
        variance_sum += variance * correction
        weight += 1

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
        """Gradient of normalisation by the batch's own statistics (Ioffe and Szegedy 2015, section 3).

        dx = (dy - mean(dy) - y * mean(dy * y)) / sqrt(variance + eps), means per channel; y: the normalised values.
        factor, bias (C,), slope: what `normalize_forward` was given; dy is the gradient of what it made, and may be
        dx. dfactor += the sum of d * y, and dbias += that of d, where given; d: dy before the slope.
        """
        if slope != 1:
            scaled_gradient(y, dy, dx, factor, bias, slope)
            dy = dx
        count = max(1, y.shape[0] * y.shape[2])
        sums, dots = dy.sum(axis=(0, 2)), np.einsum("ncp,ncp->c", dy, y)
        by = (1 if factor is None else factor) / np.sqrt(variance + eps)
        np.subtract(dy, (sums / count)[:, None] + y * (dots / count)[:, None], out=dx)
        dx *= by[:, None]
        if dfactor is not None:
            dfactor += dots
        if dbias is not None:
            dbias += sums

    def mvn_forward(self, x: Array, divisor: Array | None, eps: float, y: Array) -> None:
        """y = x - mean of its row, over divisor = standard deviation of the row + eps where given.

        x, y (rows, columns); divisor (rows,).
        """
        np.subtract(x, x.mean(axis=1, keepdims=True), out=y)
        if divisor is not None:
            np.mean(y * y, axis=1, out=divisor)
            np.sqrt(divisor, out=divisor)
            divisor += eps
            y /= divisor[:, None]

    def mvn_backward(self, y: Array, divisor: Array | None, dy: Array, dx: Array) -> None:
        """dx = (dy - mean(dy) - y * mean(y * dy)) / divisor, or dy - mean(dy) without; means per row.

        The gradient takes the divisor for the standard deviation. Shapes as in `mvn_forward`.
        """
        np.subtract(dy, dy.mean(axis=1, keepdims=True), out=dx)
        if divisor is not None:
            dx -= y * (y * dy).mean(axis=1, keepdims=True)
            dx /= divisor[:, None]

    def unit_forward(self, x: Array, divisor: Array, y: Array, eps: float, l1: bool = False) -> None:
        """y = x / divisor, divisor = the norm of the row, at least eps: of squares, or of magnitudes (l1).

        x, y (rows, columns), which may be one array; divisor (rows,).
        """
        if l1:
            np.sum(np.abs(x), axis=1, out=divisor)
        else:
            np.sqrt(np.einsum("rc,rc->r", x, x), out=divisor)
        np.maximum(divisor, eps, out=divisor)
        np.divide(x, divisor[:, None], out=y)

    def unit_backward(self, y: Array, divisor: Array, dy: Array, dx: Array, eps: float, l1: bool = False) -> None:
        """dx = (dy - slope * sum of dy * y) / divisor, slope = y or sign(y) (l1); dy / eps where eps is the divisor.

        Shapes as in `unit_forward`; dx may be dy.
        """
        along = np.where(divisor > eps, np.einsum("rc,rc->r", dy, y), 0)[:, None]
        np.subtract(dy, (np.sign(y) if l1 else y) * along, out=dx)
        dx /= divisor[:, None]


def _window_sums(x: Array, out: Array, size: int, axis: int) -> None:
    """out[i] = sum of x over indices i - size // 2 ... i + size // 2 of an axis; zeros beyond its ends."""
    x, out = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    np.copyto(out, x)
    for shift in range(1, min(size // 2, len(x) - 1) + 1):
        out[shift:] += x[:-shift]
        out[:-shift] += x[shift:]


def scaled_gradient(y: Array, dy: Array, dx: Array, factor: Array | None, bias: Array | None, slope: float) -> None:
    """dx = dy where y * factor + bias > 0, slope * dy elsewhere; y (N, C, positions), factor and bias (C,)."""
    scaled = y if factor is None else y * factor[:, None]
    rectify_gradient(scaled if bias is None else scaled + bias[:, None], dy, dx, slope)
