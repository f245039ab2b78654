"""Elementwise activations and moves of rows against their references."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Bench, case

from netforge.device.cuda_ops_embedding import SCATTER_COLUMNS

ELEMENTS = (37, 0, 1, 1009)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]


def inputs(b: Bench, n: int) -> tuple[np.ndarray, np.ndarray]:
    """x with every special value that fits, and dy."""
    x = b.normal(n) * 3
    x[: len(SPECIAL)] = SPECIAL[: x.size]
    return x, b.normal(n)


def forward(b: Bench, name: str, n: int, *numbers: float) -> None:
    x, _ = inputs(b, n)
    y, expected = b.dirty(n), b.dirty(n)
    b.launch(name, x, y, n, *numbers)
    getattr(b.ops, name)(x, expected, *numbers)
    b.equal(y, expected)
    b.launch(name, x, x, n, *numbers)  # in place
    b.equal(x, expected)


def backward(b: Bench, name: str, n: int, *numbers: float, x: np.ndarray | None = None) -> None:
    own, dy = inputs(b, n)
    x = own if x is None else x
    dx, expected = b.dirty(n), b.dirty(n)
    b.launch(name, x, dy, dx, n, *numbers)
    getattr(b.ops, name)(x, dy, expected, *numbers)
    b.equal(dx, expected)
    b.launch(name, x, dy, dy, n, *numbers)
    b.equal(dy, expected)


@case(*ELEMENTS)
def relu(b: Bench, n: int) -> None:
    for slope in (0.0, 0.1, -0.5):
        forward(b, "relu_forward", n, slope)
        backward(b, "relu_backward", n, slope)


@case(*ELEMENTS)
def relu_of_sum(b: Bench, n: int) -> None:
    (first, dy), second = inputs(b, n), b.normal(n)
    for slope in (0.0, 0.1):
        y, expected = b.dirty(n), b.dirty(n)
        b.launch("relu_of_sum_forward", first, second, y, n, slope)
        b.ops.relu_of_sum_forward(first, second, expected, slope)
        b.equal(y, expected)
        for wanted in ((True, True), (True, False), (False, True), (False, False)):
            got, own = ([b.dirty(n) if flag else None for flag in wanted] for _ in range(2))
            b.launch("relu_of_sum_backward", y, dy, *got, n, slope)
            b.ops.relu_of_sum_backward(y, dy, *own, slope)
            for dx, right in zip(got, own, strict=True):
                if dx is not None:
                    b.equal(dx, right)


@case(*ELEMENTS)
def saturating(b: Bench, n: int) -> None:
    for name in ("sigmoid", "tanh"):
        forward(b, f"{name}_forward", n)
        backward(b, f"{name}_backward", n, x=b.uniform(n))


@case(*ELEMENTS)
def exponential_units(b: Bench, n: int) -> None:
    forward(b, "elu_forward", n, 0.7)
    backward(b, "elu_backward", n, 0.7)
    forward(b, "swish_forward", n, 1.5)
    backward(b, "swish_backward", n, 1.5)
    forward(b, "bnll_forward", n)
    backward(b, "bnll_backward", n, x=b.uniform(n, high=5))


@case(*ELEMENTS)
def piecewise(b: Bench, n: int) -> None:
    forward(b, "clip_forward", n, -0.5, 1.0)
    backward(b, "clip_backward", n, -0.5, 1.0)
    forward(b, "absval_forward", n)
    backward(b, "absval_backward", n)
    forward(b, "threshold_forward", n, 0.25)


@case(*ELEMENTS)
def powers(b: Bench, n: int) -> None:
    for power, scale, shift in ((1.0, 2.0, -1.0), (2.0, 0.5, 1.0), (0.0, 1.0, 0.0), (3.0, 0.0, 2.0), (-1.0, 1.0, 0.25)):
        forward(b, "power_forward", n, power, scale, shift)
        backward(b, "power_backward", n, power, scale, shift)


@case(*ELEMENTS)
def exponents_and_logarithms(b: Bench, n: int) -> None:
    for base in (np.e, 2.0):
        forward(b, "exp_forward", n, float(np.log(base)), 0.5, 0.1)
        backward(b, "exp_backward", n, float(np.log(base)), 0.5)
        forward(b, "log_forward", n, float(np.log(base)), 1.5, 4.0)
        backward(b, "log_backward", n, float(np.log(base)), 1.5, 4.0, x=b.uniform(n))


@case((2, 3, 5), (1, 1, 1), (0, 3, 4), (4, 7, 33))
def prelu(b: Bench, shape: tuple[int, int, int]) -> None:
    x, dy = b.normal(*shape), b.normal(*shape)
    items, channels, inner = shape
    for count in {1, channels}:
        slope = b.uniform(count)
        y, dx, expected = b.dirty(*shape), b.dirty(*shape), b.dirty(*shape)
        b.launch("prelu_forward", x, slope, y, x.size, channels, inner, count)
        b.ops.prelu_forward(x, slope, expected)
        b.equal(y, expected)
        b.launch("prelu_backward", x, slope, dy, dx, x.size, channels, inner, count)
        b.ops.prelu_backward(x, slope, dy, expected)
        b.equal(dx, expected)
        total, wanted = b.normal(count), None
        wanted = total.copy()
        view = (items, channels, inner) if count == channels else (items, 1, channels * inner)
        b.launch("channel_dot_negative", x, dy, total, None, *view, 1.0, 1, grid=(2, 1))
        b.ops.prelu_backward_slope(x, dy, wanted)
        b.equal(total, wanted)


@case((2, 5), (0, 4), (1, 1), (9, 33))
def lstm_unit(b: Bench, shape: tuple[int, int]) -> None:
    items, hidden = shape
    before, gates, cont = b.normal(*shape), b.normal(items, 4 * hidden), b.whole(2, items)
    got = [gates.copy(), b.dirty(*shape), b.dirty(*shape)]
    wanted = [gates.copy(), b.dirty(*shape), b.dirty(*shape)]
    b.launch("lstm_unit_forward", before, got[0], cont, got[1], got[2], before.size, hidden)
    b.ops.lstm_unit_forward(before, wanted[0], cont, wanted[1], wanted[2])
    for a, e in zip(got, wanted, strict=True):
        b.equal(a, e)
    gates, c = wanted[0], wanted[1]
    dc, dh = b.normal(*shape), b.normal(*shape)
    got, wanted = ([b.dirty(*shape), b.dirty(items, 4 * hidden)] for _ in range(2))
    b.launch("lstm_unit_backward", before, gates, cont, c, dc, dh, *got, before.size, hidden)
    b.ops.lstm_unit_backward(before, gates, cont, c, dc, dh, *wanted)
    for a, e in zip(got, wanted, strict=True):
        b.equal(a, e)


@case((4, 6, 5), (3, 0, 4), (1, 1, 1), (5, 40, 131), (4, 70, 8))
def rows(b: Bench, shape: tuple[int, int, int]) -> None:
    stored, count, size = shape
    x, index, dy = b.normal(stored, size), b.whole(stored, count), b.normal(count, size)
    y, expected = b.dirty(count, size), b.dirty(count, size)
    b.launch("gather_rows", x, index, y, y.size, stored, size)
    b.ops.gather_rows(x, index, expected)
    b.equal(y, expected, exact=True)
    dx = x.copy()
    b.launch("scatter_add_rows", dy, index, dx, count, size, stored, -(-size // SCATTER_COLUMNS))
    b.ops.scatter_add_rows(dy, index, x)
    b.equal(dx, x, exact=True)  # the same order of additions
    for bad in (stored, -1, 1e9, np.nan):  # check_labels reports these; they must neither read nor write
        index[...] = bad
        b.launch("gather_rows", x, index, y, y.size, stored, size)
        b.equal(y, np.zeros_like(y), exact=True)
        b.launch("scatter_add_rows", dy, index, dx, count, size, stored, -(-size // SCATTER_COLUMNS))
        b.equal(dx, x, exact=True)


@case(*ELEMENTS)
def maximum(b: Bench, n: int) -> None:
    x = [b.whole(4, n) for _ in range(3)]
    y, winner = b.dirty(n), b.dirty(n, dtype=np.int32)
    expected, wanted = b.dirty(n), b.dirty(n, dtype=np.int32)
    for i, one in enumerate(x):
        b.launch("maximum_forward", one, y, winner, n, i)
    b.ops.maximum_forward(x, expected, wanted)
    b.equal(y, expected, exact=True)
    b.equal(winner, wanted, exact=True)
    b.launch("maximum_of_two", *x[:2], y, winner, n)
    b.ops.maximum_forward(x[:2], expected, wanted)
    b.equal(y, expected, exact=True)
    b.equal(winner, wanted, exact=True)
    dy, dx = b.normal(n), b.dirty(n)
    b.launch("maximum_backward", dy, winner, dx, n, 1)
    b.ops.maximum_backward(dy, winner, expected, 1)
    b.equal(dx, expected, exact=True)


@case(
    ((2, 7, 1), 3), ((3, 5, 4), 5), ((0, 3, 2), 1), ((2, 1, 1), 1), ((2, 67, 3), 4), ((2, 133, 2), 5), ((3, 40, 1), 36)
)
def top_k(b: Bench, size: Any) -> None:
    (outer, classes, inner), k = size
    x = b.whole(5, outer, classes, inner)
    x.reshape(-1)[::11] = np.nan
    x.reshape(-1)[4::13] = -np.inf
    x.reshape(-1)[5::17] = np.inf
    got, wanted = ([b.dirty(outer, k, inner) for _ in range(2)] for _ in range(2))
    b.launch("top_k", x, *got, outer, classes, inner, k)
    b.ops.top_k(x, *wanted, k)
    for a, e in zip(got, wanted, strict=True):
        b.equal(a, e, exact=True)
