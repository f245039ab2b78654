"""Operations: normalisation over channels and batches.

Blobs are seen as (N, C, positions); statistics as (C,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


class NormalizeOps:
    """NumPy reference of normalisation over channels and batches."""

    def lrn_forward(self, x: Array, scale: Array, y: Array, size: int, alpha: float, beta: float, k: float) -> None:
        """scale = k + alpha / size * sum of x^2 over `size` neighbouring channels; y = x * scale^-beta.

        Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3); zeros beyond the borders.
        """
        self._channel_windows(x * x, scale, size)
        scale *= alpha / size
        scale += k
        np.multiply(x, scale**-beta, out=y)

    def lrn_backward(
        self, x: Array, scale: Array, y: Array, dy: Array, dx: Array, size: int, alpha: float, beta: float
    ) -> None:
        """dx = dy * scale^-beta - 2 alpha beta / size * x * sum over the window of dy * y / scale."""
        window = np.empty_like(x)
        self._channel_windows(dy * y / scale, window, size)
        window *= x
        window *= 2 * alpha * beta / size
        np.subtract(dy * scale**-beta, window, out=dx)

    def _channel_windows(self, x: Array, out: Array, size: int) -> None:
        """out[:, c] = sum of x over channels c - size // 2 ... c + size // 2."""
        channels, half = x.shape[1], size // 2
        np.copyto(out, x)
        for shift in range(1, min(half, channels - 1) + 1):
            out[:, shift:] += x[:, :-shift]
            out[:, :-shift] += x[:, shift:]

    def channel_statistics(self, x: Array, mean: Array, variance: Array) -> None:
        """Mean and biased variance of each channel over items and positions; 0 where there are none."""
        count = max(1, x.shape[0] * x.shape[2])
        np.sum(x, axis=(0, 2), out=mean)
        mean /= count
        centred = x - mean[:, None]
        np.einsum("ncp,ncp->c", centred, centred, out=variance)
        variance /= count

    def normalize_forward(self, x: Array, mean: Array, variance: Array, eps: float, y: Array) -> None:
        """y = (x - mean) / sqrt(variance + eps), per channel."""
        np.subtract(x, mean[:, None], out=y)
        y *= (1 / np.sqrt(variance + eps))[:, None]

    def batch_norm_backward(self, y: Array, variance: Array, eps: float, dy: Array, dx: Array) -> None:
        """Gradient of normalisation by the batch's own statistics (Ioffe and Szegedy 2015, section 3).

        dx = (dy - mean(dy) - y * mean(dy * y)) / sqrt(variance + eps), means per channel; y: the normalised values.
        """
        count = max(1, y.shape[0] * y.shape[2])
        mean_dy = dy.sum(axis=(0, 2)) / count
        mean_dy_y = np.einsum("ncp,ncp->c", dy, y) / count
        np.subtract(dy, mean_dy[:, None] + y * mean_dy_y[:, None], out=dx)
        dx *= (1 / np.sqrt(variance + eps))[:, None]
