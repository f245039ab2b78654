"""BatchNorm, Scale and ReLU on a CPU: a few items of a batch at a time, on all processors.

Sums over a batch are made of the sums of each item, whoever computes those: equal for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.operations.linear import LinearOps
from netforge.device.operations.neuron import NeuronOps
from netforge.device.operations.normalize import NormalizeOps, scaled_gradient
from netforge.device.workers import Workers, piece_size, scratch

Array = npt.NDArray[Any]
Items = slice | EllipsisType

PIECE_ELEMENTS = 1 << 17  # of one piece of work: enough that handing it to a thread does not matter


class CpuChannels(LinearOps, NeuronOps, NormalizeOps):
    """Operations on feature maps (N, C, positions), in pieces of a few items."""

    workers: Workers

    def channel_statistics(self, x: Array, mean: Array, variance: Array) -> None:
        """See `NormalizeOps`."""
        count = max(1, x.shape[0] * x.shape[2])
        np.divide(self._item_sums(x, lambda part: part.sum(axis=2)), count, out=mean)

        def squares(part: Array) -> Array:
            centred = np.subtract(part, mean[:, None], out=scratch("centred", part.shape, part.dtype))
            return _products(centred, centred)

        np.divide(self._item_sums(x, squares), count, out=variance)

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
        """See `NormalizeOps`."""
        body = super().normalize_forward
        self._by_items(x.shape, lambda i: body(x[i], mean, variance, eps, normalized[i], y[i], factor, bias, slope))

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
        """See `NormalizeOps`."""
        if slope != 1:
            self._by_items(y.shape, lambda i: scaled_gradient(y[i], dy[i], dx[i], factor, bias, slope))
            dy = dx
        count = max(1, y.shape[0] * y.shape[2])
        sums, dots = self._item_sums(dy, lambda part: part.sum(axis=2)), self._item_sums(dy, _products, y)
        mean_dy, mean_dy_y = (sums / count)[:, None], (dots / count)[:, None]
        by = (1 if factor is None else factor) / np.sqrt(variance + eps)

        def piece(items: Items) -> None:
            part = np.multiply(y[items], mean_dy_y, out=scratch("centred", y[items].shape, y.dtype))
            part += mean_dy
            np.subtract(dy[items], part, out=dx[items])
            dx[items] *= by[:, None]

        self._by_items(y.shape, piece)
        if dfactor is not None:
            dfactor += dots
        if dbias is not None:
            dbias += sums

    def scale_forward(self, x: Array, factor: Array, bias: Array | None, y: Array, kept: Array | None = None) -> None:
        """See `LinearOps`."""
        body = super().scale_forward
        self._by_items(x.shape, lambda i: body(x[i], factor, bias, y[i], None if kept is None else kept[i]))

    def scale_backward_factor(self, dy: Array, x: Array, dfactor: Array, dbias: Array | None = None) -> None:
        """See `LinearOps`."""
        dfactor += self._item_sums(dy, _products, x)
        if dbias is not None:
            dbias += self._item_sums(dy, lambda part: part.sum(axis=2))

    def relu_forward(self, x: Array, y: Array, slope: float) -> None:
        """See `NeuronOps`."""
        body = super().relu_forward
        self._by_items(x.shape, lambda i: body(x[i], y[i], slope))

    def relu_backward(self, x: Array, dy: Array, dx: Array, slope: float) -> None:
        """See `NeuronOps`."""
        body = super().relu_backward
        self._by_items(x.shape, lambda i: body(x[i], dy[i], dx[i], slope))

    def _item_sums(self, x: Array, body: Callable[..., Array], *others: Array) -> Array:
        """The sum over items of what body gives for each: body turns some items into (items, C)."""
        sums = np.empty(x.shape[:2], x.dtype)

        def piece(items: Items) -> None:
            sums[items] = body(x[items], *[other[items] for other in others])

        self._by_items(x.shape, piece)
        total: Array = sums.sum(axis=0)
        return total

    def _by_items(self, shape: tuple[int, ...], body: Callable[[Items], None]) -> None:
        """Call body with some items at a time."""
        items = shape[0] if shape else 0
        if prod(shape) <= PIECE_ELEMENTS:
            body(...)
            return
        size = piece_size(items, PIECE_ELEMENTS * items // prod(shape))
        self.workers.run(-(-items // size), lambda i: body(slice(i * size, (i + 1) * size)))


def _products(x: Array, y: Array) -> Array:
    sums: Array = np.einsum("ncp,ncp->nc", x, y)
    return sums
