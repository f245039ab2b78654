"""Curves in one line of text, of whatever a loss may be."""

from __future__ import annotations

import math
import sys

import pytest

from netforge.cli.sparkline import Curve, sparkline

HUGE = sys.float_info.max


def test_factors_and_differences() -> None:
    assert sparkline([128, 64, 32, 16, 8, 4, 2, 1], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([7, 6, 5, 4, 3, 2, 1, -0.0001], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([-8, -6, -4, -1], 4) == "▁▃▅█"
    assert len(sparkline(list(range(1000)), 16)) == 16


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([1.0, 1.0, 1.0], "▁▁▁"),
        ([0.0, 0.0], "▁▁"),
        ([4.0, 0.0, 1.0], "█▁▁"),  # zero is no reason to draw all others on another scale
        ([math.nan, math.inf, -math.inf], "!!!"),
        ([2.0, math.nan, 1.0], "█!▁"),
        ([HUGE, -HUGE, 0.0], "█▁▅"),
        ([HUGE, 1e-300], "█▁"),
        ([1e-300, 0.0], "▁▁"),
    ],
)
def test_odd_values(values: list[float], expected: str) -> None:
    assert sparkline(values, 16) == expected


def test_a_mean_of_huge_values_is_a_number() -> None:
    assert sparkline([HUGE, HUGE, 1.0, 1.0], 2) == "█▁"


def test_a_curve_keeps_the_whole_run_in_bounded_memory() -> None:
    curve = Curve(most=8)
    for number in range(1, 6):
        curve.add(number)
    assert curve.values == [1, 2, 3, 4, 5]
    for number in range(6, 1001):
        curve.add(number)
    values = curve.values
    assert len(values) == len(curve) <= 8
    assert values == sorted(values)
    assert values[0] == pytest.approx(64.5) and values[-1] > 900
