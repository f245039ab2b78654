"""Numbers, shapes and time spans in short."""

from __future__ import annotations

import pytest

from netforge.inspect.wording import count_text, number_text, shape_text, span_text


def test_numbers() -> None:
    assert [number_text(v) for v in (0, 0.25, 12_000, 250_000, 2e6, 1e-5, 1e10)] == [
        "0",
        "0.25",
        "12,000",
        "250k",
        "2M",
        "1e-05",
        "1e+10",
    ]


def test_counts() -> None:
    assert [count_text(n, "weight") for n in (1, 520, 99_999, 1_300_000, 2_000_000_000)] == [
        "1 weight",
        "520 weights",
        "99,999 weights",
        "1.3 M weights",
        "2 G weights",
    ]


def test_shapes() -> None:
    assert [shape_text(shape) for shape in ((64, 1, 28), (5,), ())] == ["64x1x28", "5", "scalar"]


@pytest.mark.parametrize(
    ("seconds", "digits", "text"),
    [
        (4.21, 1, "4.2 s"),
        (59.97, 1, "1 min 00 s"),
        (59.97, 0, "1 min 00 s"),
        (59.4, 0, "59 s"),
        (245, 1, "4 min 05 s"),
        (7380, 0, "2 h 03 min"),
    ],
)
def test_time_spans(seconds: float, digits: int, text: str) -> None:
    assert span_text(seconds, digits) == text
