"""Operations: losses between predictions and targets, except those built on softmax.

Losses, divisors and scales are arrays of one element; `scale` is the gradient of the loss itself, its loss weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

SMALLEST_MULTINOMIAL = 1e-20


class LossOps:
    """NumPy reference of losses between predictions and targets."""

    def euclidean_loss_forward(self, a: Array, b: Array, difference: Array, loss: Array) -> None:
        """difference = a - b; loss[0] = sum of difference^2 / (2 N), N = size of the first axis."""
        np.subtract(a, b, out=difference)
        flat = difference.reshape(-1)
        loss[0] = np.dot(flat, flat) / (2 * max(1, difference.shape[0]))

    def euclidean_loss_backward(self, difference: Array, dx: Array, scale: Array, sign: int) -> None:
        """dx = sign * scale[0] / N * difference; sign 1 for the gradient of a, -1 for that of b."""
        np.multiply(difference, scale[0] * (sign / max(1, difference.shape[0])), out=dx)

    def hinge_loss_forward(self, x: Array, labels: Array, margins: Array, loss: Array, norm: int) -> None:
        """One-against-all hinge loss; x, margins (N, C), labels (N,), norm 1 or 2.

        margins = max(0, 1 - x) at the label's class and max(0, 1 + x) elsewhere; loss[0] = sum of margins^norm / N.
        """
        rows = np.arange(len(x))
        index = labels.astype(np.intp)
        np.copyto(margins, x)
        margins[rows, index] *= -1
        margins += 1
        np.maximum(margins, 0, out=margins)
        flat = margins.reshape(-1)
        loss[0] = (flat.sum() if norm == 1 else np.dot(flat, flat)) / max(1, len(x))

    def hinge_loss_backward(self, labels: Array, margins: Array, dx: Array, scale: Array, norm: int) -> None:
        """dx = +-(margins > 0) for norm 1, +-2 * margins for norm 2, minus at the label's class; times scale[0] / N."""
        if norm == 1:
            np.sign(margins, out=dx)
        else:
            np.multiply(margins, 2, out=dx)
        dx[np.arange(len(dx)), labels.astype(np.intp)] *= -1
        dx *= scale[0] / max(1, len(dx))

    def multinomial_loss_forward(self, p: Array, labels: Array, loss: Array) -> None:
        """loss[0] = -sum of log max(p[label], 1e-20) / N; p (N, C) are probabilities, labels (N,)."""
        chosen = p[np.arange(len(p)), labels.astype(np.intp)]
        loss[0] = -np.log(np.maximum(chosen, SMALLEST_MULTINOMIAL)).sum() / max(1, len(p))

    def multinomial_loss_backward(self, p: Array, labels: Array, dx: Array, scale: Array) -> None:
        """dx = -scale[0] / (N * max(p[label], 1e-20)) at the label's class, 0 elsewhere."""
        rows, index = np.arange(len(p)), labels.astype(np.intp)
        dx[...] = 0
        dx[rows, index] = -scale[0] / (max(1, len(p)) * np.maximum(p[rows, index], SMALLEST_MULTINOMIAL))

    def sigmoid_loss_forward(self, x: Array, targets: Array, loss: Array, divisor: Array, ignore: int | None) -> None:
        """Cross entropy of sigmoid(x) against targets in [0, 1], summed over elements that count, over divisor[0].

        -t log s - (1 - t) log(1 - s) with s = sigmoid(x), computed as max(x, 0) - t x + log(1 + exp(-|x|)).
        Elements whose target, cut to a whole number, equals `ignore` do not count.
        """
        losses = np.maximum(x, 0) - targets * x + np.log1p(np.exp(-np.abs(x)))
        if ignore is not None:
            losses *= np.trunc(targets) != ignore
        loss[0] = losses.sum() / divisor[0]

    def sigmoid_loss_backward(
        self, x: Array, targets: Array, dx: Array, scale: Array, divisor: Array, ignore: int | None
    ) -> None:
        """dx = (sigmoid(x) - targets) * scale[0] / divisor[0], and 0 where the element does not count."""
        np.multiply(x, 0.5, out=dx)
        np.tanh(dx, out=dx)
        dx *= 0.5
        dx += 0.5
        dx -= targets
        dx *= scale[0] / divisor[0]
        if ignore is not None:
            dx *= np.trunc(targets) != ignore
