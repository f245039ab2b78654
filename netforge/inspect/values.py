"""How the values of an array are spread: facts in numbers, counts in bins, a histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.inspect.charts import histogram
from netforge.inspect.page import Html

BINS = 50
BLOCK = 1 << 20  # values that are looked at together: weights may be many millions

Array = npt.NDArray[Any]


def finite_values(values: Array) -> Array:
    """Those values (any shape) that are neither NaN nor infinite, (n,)."""
    flat = values.ravel()
    finite = np.isfinite(flat)
    return flat if finite.all() else flat[finite]


def value_rows(values: Array) -> list[tuple[str, str]]:
    """What is to be said of an array (any shape) in numbers, name and value."""
    finite = finite_values(values)
    if not finite.size:
        return [("values", "none is finite" if values.size else "none")]
    mean, deviation = finite.mean(dtype=np.float64), finite.std(dtype=np.float64)
    found = [
        ("mean, deviation", f"{mean:.4g}, {deviation:.4g}"),
        ("range", f"{finite.min():.4g} to {finite.max():.4g}"),
        ("zeros", f"{100 * float((finite == 0).mean()):.2f} %"),
    ]
    lost = values.size - finite.size
    return [*found, ("NaN or infinite", f"{lost:,}")] if lost else found


def counts_in_bins(values: Array, bins: int, low: float, high: float) -> npt.NDArray[np.int64]:
    """How many of finite `values` (any shape) lie in each of `bins` bins of one width from low to high, in float64."""
    flat, counts = values.ravel(), np.zeros(bins, np.int64)
    for start in range(0, flat.size, BLOCK):
        counts += np.histogram(flat[start : start + BLOCK].astype(np.float64), bins, (low, high))[0]
    return counts


def value_histogram(values: Array, *, label: str) -> Html:
    """How often which of finite `values` (any shape) occur, in 50 bins from the smallest to the largest.

    Where all are nearly equal the bins reach further, for numbers so near to each other cannot be told apart.
    """
    low, high = float(values.min()), float(values.max())
    middle, reach = low / 2 + high / 2, high / 2 - low / 2
    if reach <= 1e-6 * abs(middle) or not reach:
        reach = abs(middle) / 2 or 0.5
    counts = counts_in_bins(values, BINS, middle - reach, middle + reach)
    edges = np.linspace(middle - reach, middle + reach, BINS + 1)
    return histogram(edges.tolist(), counts.tolist(), x="value", label=label)
