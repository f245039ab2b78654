"""Arithmetic on whole arrays, sums over rows, factors along axes and moves of columns against their references."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Bench, case

from netforge.device.cuda_ops_embedding import folded_window

ELEMENTS = (37, 0, 1, 1009)
VIEWS = ((2, 3, 5), (1, 1, 1), (0, 3, 2), (7, 35, 1), (4, 5, 61))


@case(*ELEMENTS)
def filling(b: Bench, n: int) -> None:
    x, y = b.normal(n), b.dirty(n)
    b.launch("fill", y, n, 0.5, 0)
    b.equal(y, np.full(n, 0.5, b.dtype), exact=True)
    expected = x.copy()
    b.launch("fill", x, n, 0.25, 1)
    b.ops.fill(expected, 0.25, accumulate=True)
    b.equal(x, expected, exact=True)


@case(*ELEMENTS)
def copy(b: Bench, n: int) -> None:
    x, y, expected = b.normal(n), b.dirty(n), b.dirty(n)
    x[::3] = np.nan
    b.launch("copy", x, y, n, 1.0)
    b.ops.copy(x, expected)
    b.equal(y, expected, exact=True)
    b.launch("copy", x, y, n, -0.7)
    b.ops.weighted_sum([x], [-0.7], expected)
    b.equal(y, expected, exact=True)


@case(*ELEMENTS)
def sums_and_products(b: Bench, n: int) -> None:
    inputs, factors = [b.normal(n) for _ in range(3)], [0.75, -0.5, 2.0]
    y, expected = b.dirty(n), b.dirty(n)
    b.launch("weighted_sum", inputs[0], inputs[1], y, n, *factors[:2])
    b.launch("weighted_sum", y, inputs[2], y, n, 1.0, factors[2])
    b.ops.weighted_sum(inputs, factors, expected)
    b.equal(y, expected)
    b.launch("product", inputs[0], inputs[1], y, n)
    b.launch("product", y, inputs[2], y, n)
    b.ops.product(inputs, expected)
    b.equal(y, expected, exact=True)
    x, dy, dx = inputs[0], b.normal(n), b.dirty(n)
    x[::5] = 0
    b.launch("product_backward", x, y, dy, dx, n)
    b.ops.product_backward(x, y, dy, expected)
    b.equal(dx, expected)


@case((3, 40), (0, 5), (1, 1), (2, 1009), (70, 33))
def reduction(b: Bench, shape: tuple[int, int]) -> None:
    rows, columns = shape
    x, dy = b.normal(*shape), b.normal(rows)
    x.reshape(-1)[::7] = 0
    y, parts, expected = b.dirty(rows), b.dirty(rows, 2), b.dirty(rows)
    sums = (("channel_sum", "SUM", [x]), ("channel_magnitudes", "ASUM", [x]), ("channel_dot", "SUMSQ", [x, x]))
    for kind, (name, of, inputs) in enumerate(sums):
        b.ops.reduce_forward(x, expected, of, 0.5)
        b.launch(name, *inputs, y, None, 1, *shape, 0.5, 0, grid=(2, 1))
        b.equal(y, expected)
        b.launch(name, *inputs, y, parts, 1, *shape, 0.5, 0, grid=(2, 2))
        b.launch("finish_channels", parts, y, None, rows, 2, 0.5, 0)
        b.equal(y, expected)
        dx, wanted = b.dirty(*shape), b.dirty(*shape)
        b.launch("reduce_backward", x, dy, dx, x.size, columns, kind, 0.5)
        b.ops.reduce_backward(x, dy, wanted, of, 0.5)
        b.equal(dx, wanted)


@case(*VIEWS)
def scale(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, channels, inner = shape
    x, factor, bias = b.normal(*shape), b.normal(channels), b.normal(channels)
    y, expected = b.dirty(*shape), b.dirty(*shape)
    for shift in (None, bias):
        b.launch("scale_forward", x, factor, shift, y, None, x.size, channels, inner)
        b.ops.scale_forward(x, factor, shift, expected)
        b.equal(y, expected)
    dy, held = b.normal(*shape), b.normal(channels)
    wanted, got, dbias = held.copy(), held.copy(), held.copy()
    b.ops.scale_backward_factor(dy, x, wanted, dbias)
    both, parts = [held.copy(), held.copy()], b.dirty(2, channels, 2)
    b.launch("channel_sum_dot", dy, x, *both, parts, *shape, 1.0, 1, grid=(2, 2))
    b.launch("finish_channels", parts, *both, channels, 2, 1.0, 1)
    for out, expected_sum in zip(both, (dbias, wanted), strict=True):
        b.equal(out, expected_sum)
    b.launch("channel_dot", dy, x, got, None, *shape, 1.0, 1, grid=(2, 1))
    b.equal(got, wanted)
    if inner == 1:
        b.launch("dot_rows", dy, x, held, outer, channels, 1.0, 1)
        b.equal(held, wanted)
    before, kept = x.copy(), b.dirty(*shape)
    b.launch("scale_forward", x, factor, bias, x, kept, x.size, channels, inner)  # in place
    b.equal(x, expected)
    b.equal(kept, before, exact=True)


@case(
    (3, (4, 1, 2), (6, 3)),
    (0, (4, 0, 4), (4, 0)),
    (1, (1, 0, 1), (1, 0)),
    (17, (40, 5, 33), (70, 37)),
    (19, (40, 8, 28), (68, 32)),
)
def columns_of_parts(b: Bench, size: Any) -> None:
    rows, (x_columns, x_start, width), (y_columns, y_start) = size
    x, y = b.normal(rows, x_columns), b.dirty(rows, y_columns)
    expected = y.copy()
    b.launch("copy_columns", x, y, rows * width, width, x_start, x_columns, y_start, y_columns)
    b.ops.copy_columns(x, x_start, expected, y_start, width)
    b.equal(y, expected, exact=True)


@case(
    ((3, 5), (2, 2), (1, 3)),
    ((1,), (1,), (0,)),
    ((4, 3), (4, 0), (0, 1)),
    ((2, 3, 9, 37), (2, 2, 9, 20), (0, 1, 0, 16)),
    ((2, 3, 9, 36), (2, 3, 7, 20), (0, 0, 1, 16)),
    ((3, 4, 5, 3, 12), (2, 3, 4, 2, 8), (1, 0, 1, 1, 4)),
    ((3, 4, 5, 6), (2, 4, 3, 6), (1, 0, 2, 0)),
)
def crop(b: Bench, size: tuple[tuple[int, ...], ...]) -> None:
    whole, part, offsets = size
    x, y, expected = b.normal(*whole), b.dirty(*part), b.dirty(*part)
    folded = folded_window(whole, part, offsets)
    geometry, axes = np.array(folded, np.int32).reshape(-1), len(folded[0])
    b.launch("crop_forward", x, y, geometry, y.size, axes)
    b.ops.crop_forward(x, expected, offsets)
    b.equal(y, expected, exact=True)
    dy, dx, wanted = b.normal(*part), b.dirty(*whole), b.dirty(*whole)
    b.launch("crop_backward", dy, dx, geometry, dx.size, axes)
    b.ops.crop_backward(dy, wanted, offsets)
    b.equal(dx, wanted, exact=True)


@case((2, 3, 5), (1, 1, 1), (0, 2, 3), (9, 5, 37), (5, 3, 24))
def tile(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, tiles, block = shape
    x, y, expected = b.normal(outer, block), b.dirty(*shape), b.dirty(*shape)
    b.launch("tile_forward", x, y, y.size, tiles, block)
    b.ops.tile_forward(x, expected)
    b.equal(y, expected, exact=True)
    dy, dx, wanted = b.normal(*shape), b.dirty(outer, block), b.dirty(outer, block)
    b.launch("tile_backward", dy, dx, dx.size, tiles, block)
    b.ops.tile_backward(dy, wanted)
    b.equal(dx, wanted)
