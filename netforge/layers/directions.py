"""Embeddings as directions: rows of length 1, for losses that compare angles."""

from __future__ import annotations

from typing import Any

from netforge.layers.base import Layer

SHORTEST = 1e-6
"""Shorter embeddings count as this long: a bound on the gradient of one that is 0."""


class Directions:
    """One embedding blob of a loss, divided by its lengths, and the gradient back; or the rows as they are.

    normalize: false for losses that do not compare angles; then no memory is taken.
    """

    def __init__(self, layer: Layer, name: str, *, normalize: bool) -> None:
        self._layer, self._normalizes = layer, normalize
        self._unit, self._norm = layer.buffer(f"unit {name}"), layer.buffer(f"norm {name}")

    def reshape(self, items: int, size: int) -> None:
        """Make room for (items, size)."""
        if self._normalizes:
            self._unit.reshape(items, size)
            self._norm.reshape(items)

    def forward(self, x: Any) -> Any:
        """Rows (N, D) as the loss takes them; they stay as they are until the next call."""
        if not self._normalizes:
            return x
        self._layer.ops.unit_forward(x, self._norm.data, self._unit.data, SHORTEST)
        return self._unit.data

    def again(self, x: Any) -> Any:
        """What the last `forward` gave for the same x."""
        return self._unit.data if self._normalizes else x

    def backward(self, diff: Any) -> None:
        """Turn the gradient by the rows that `forward` gave into that by x, in place."""
        if self._normalizes:
            self._layer.ops.unit_backward(self._unit.data, self._norm.data, diff, diff, SHORTEST)
