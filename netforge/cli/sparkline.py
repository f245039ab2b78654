"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
NO_NUMBER = "!"


class Curve:
    """The values of a whole run in bounded memory: where there are too many, neighbours give way to their means."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._share = 1  # so many values make one that is kept
        self._waiting: list[float] = []
        self._kept: list[float] = []

    def add(self, value: float) -> None:
        """Take another value."""
        self._waiting.append(value)
        if len(self._waiting) < self._share:
            return
        self._kept.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self._kept) >= self._most:
            self._kept = [_mean(pair) for pair in zip(self._kept[::2], self._kept[1::2], strict=True)]
            self._share *= 2

    def __len__(self) -> int:
        return len(self.values)

    @property
    def values(self) -> list[float]:
        """Means of equal shares of all values, in order; the last one may be of fewer."""
        return self._kept + ([_mean(self._waiting)] if self._waiting else [])


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve of at most `width` block characters; each stands for the mean of its share of the values.

    Values none of which is negative are drawn on a logarithmic scale, as losses fall by factors. "!" stands for NaN and
    infinity.
    """
    columns = min(width, len(values))
    edges = [len(values) * i // columns for i in range(columns + 1)] if columns else [0]
    means = [_mean(values[a:b]) for a, b in pairwise(edges)]
    levels = _scaled(means)
    return "".join(BLOCKS[round(level * (len(BLOCKS) - 1))] if math.isfinite(level) else NO_NUMBER for level in levels)


def _mean(values: Sequence[float]) -> float:
    """The mean; halves of the largest numbers are added, so that it is finite where they are."""
    return 2 * math.fsum(value / 2 / len(values) for value in values) if all(map(math.isfinite, values)) else math.nan


def _scaled(values: Sequence[float]) -> list[float]:
    """Values within 0 .. 1, 0 where all are equal; NaN where they are not finite."""
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if positive and min(finite) >= 0:
        least = min(positive)
        values = [math.log(max(value, least)) if math.isfinite(value) else math.nan for value in values]
        finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    half = high / 2 - low / 2  # the whole may be beyond the largest number
    return [((value / 2 - low / 2) / half if half else 0.0) if math.isfinite(value) else math.nan for value in values]
