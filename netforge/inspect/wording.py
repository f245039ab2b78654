"""Numbers, shapes and time spans in the few characters that charts, tables and diagrams have room for."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number_text(value: float) -> str:
    """A number at the tick of an axis: "0.25", "12,000", "250k", "1e-05"."""
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.0e}" if float(f"{value:.0e}") == value else f"{value:.2e}"
    if size >= 1e6:
        return f"{value / 1e6:.6g}M"
    if size >= 1e5:
        return f"{value / 1e3:.6g}k"
    return f"{value:,.5g}" if size < 1e4 else f"{value:,.0f}"


def count_text(count: int, word: str) -> str:
    """A number in short with its word: "520 weights", "1.3 M weights"."""
    if count < 100_000:
        return f"{count:,} {word}{'' if count == 1 else 's'}"
    step = min(3, int(math.log10(count) // 3))
    return f"{count / 1000**step:.3g} {' kMG'[step]} {word}s"


def shape_text(shape: Sequence[int]) -> str:
    """A shape in short: "64x1x28x28"; "scalar" for no axes."""
    return "x".join(map(str, shape)) or "scalar"


def span_text(seconds: float, digits: int = 1) -> str:
    """A time span: "4.2 s", "4 min 05 s", "2 h 03 min". digits: behind the point, of less than a minute."""
    if round(seconds, digits) < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
