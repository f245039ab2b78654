"""Axes of charts: which range they span, and where their ticks stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_TICKS = 6
SMALLEST_SPAN = 1e-200  # of values that differ: ticks between nearer ones would be rounded away
LARGEST, SMALLEST = 1e300, 1e-300  # values beyond stand where these do: spans and ticks would overflow


@dataclass(frozen=True)
class Axis:
    """A range of values, low < high, with ticks inside it; `log` ones are spaced by powers of ten."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value has a place on the axis: finite, and above zero on a logarithmic one."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def at(self, value: float, start: float, end: float) -> float:
        """Where a value lies between `start` (the low end) and `end`, in pixels."""
        low, high = (math.log10(v) if self.log else v for v in (self.low, self.high))
        place = math.log10(_drawn(value, SMALLEST)) if self.log else _drawn(value)
        return start + (end - start) * (place - low) / (high - low)


def _drawn(value: float, least: float = -LARGEST) -> float:
    return min(max(value, least), LARGEST)


def linear_axis(values: Sequence[float], *, pad: bool = True) -> Axis:
    """An axis over the finite values; with `pad` it ends at ticks, without it where the values end."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = _drawn(min(finite)), _drawn(max(finite))
    if high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST_SPAN):
        margin = abs(low) / 2 if abs(low) > SMALLEST_SPAN else 1.0
        low, high = low - (margin if low else 0.0), high + margin
    step = nice_step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(k * step, 12) if step < 1 else k * step for k in range(first, last + 1)]
    if pad:
        return Axis(ticks[0], ticks[-1], tuple(ticks))
    slack = 1e-6 * (high - low)
    return Axis(low, high, tuple(tick for tick in ticks if low - slack <= tick <= high + slack))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis over the finite values above zero, of which there must be one, with its ends at ticks."""
    above = [_drawn(value, SMALLEST) for value in values if math.isfinite(value) and value > 0]
    low, high = math.floor(math.log10(min(above)) + 1e-9), math.ceil(math.log10(max(above)) - 1e-9)
    high = max(high, low + 1)
    if high - low <= 2:  # few decades: 2 and 5 of each too
        ticks = [factor * 10.0**power for power in range(low, high + 1) for factor in (1, 2, 5)]
        start = max((tick for tick in ticks if tick <= min(above)), default=ticks[0])
        end = min((tick for tick in ticks if tick >= max(above) and tick > start), default=ticks[-1])
        ticks = [tick for tick in ticks if start <= tick <= end]
        return Axis(ticks[0], ticks[-1], tuple(ticks), log=True)
    stride = -(-(high - low) // MOST_TICKS)
    ticks = [10.0**power for power in range(low, high + 1, stride)]
    return Axis(10.0**low, 10.0**high, tuple(ticks), log=True)


def nice_step(span: float) -> float:
    """The distance of ticks over a span: 1, 2 or 5 times a power of ten, at most MOST_TICKS of them."""
    rough = span / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
