"""Pooling, windows as columns, sums over channels, normalisation and random numbers against their references."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from harness import Bench, case

from netforge.device.operations.convolution import ConvGeometry, conv_output_shape
from netforge.device.operations.pooling import PoolGeometry, pool_output_shape
from netforge.device.random import RandomStream

POOLS = (
    ((2, 2, 5, 4), PoolGeometry((2, 2), (2, 2))),
    ((1, 1, 1, 1), PoolGeometry((1, 1))),
    ((0, 2, 4, 4), PoolGeometry((2, 2))),
    ((2, 3, 7, 9), PoolGeometry((3, 2), (2, 1), (1, 1))),
    ((1, 2, 6, 6), PoolGeometry((2, 2), (3, 3), (1, 0))),
    ((2, 2, 5, 7), PoolGeometry((5, 7))),
    ((1, 3, 11, 8), PoolGeometry((3, 3), (1, 1), (2, 2))),
    ((2, 2, 9, 10), PoolGeometry((3, 3), (2, 2))),
    ((2, 3, 8, 7), PoolGeometry((3, 3), (2, 2), (1, 1))),
    ((1, 2, 7, 8), PoolGeometry((3, 3), (2, 2), (0, 2))),
    ((3, 2, 7, 9), PoolGeometry((2, 2), (2, 2), (1, 1))),
    ((1, 2, 2, 1), PoolGeometry((3, 3), (2, 2), (2, 2))),
    ((1, 2, 6, 3), PoolGeometry((2, 2), (4, 4))),
    ((2, 1, 2, 3), PoolGeometry((6, 7), (2, 2), (4, 3))),
)


def pool_numbers(shape: tuple[int, ...], out: tuple[int, int], g: PoolGeometry) -> tuple[int, ...]:
    return (prod(shape[:2]), *shape[2:], *out, *g.kernel, *g.stride, *g.pad)


@case(*POOLS)
def pool_max(b: Bench, size: Any) -> None:
    shape, g = size
    out = pool_output_shape(shape[2:], g)
    x = b.whole(6, *shape)  # many equal values
    x.reshape(-1)[::5] = np.nan
    x.reshape(-1)[1::7] = -np.inf
    y, mask = b.dirty(*shape[:2], *out), b.dirty(*shape[:2], *out, dtype=np.int32)
    expected, wanted = y.copy(), mask.copy()
    b.launch("pool_max_forward", x, y, mask, *pool_numbers(shape, out, g))
    b.ops.pool_max_forward(x, expected, wanted, g)
    b.equal(y, expected, exact=True)
    b.equal(mask, wanted, exact=True)
    dy, dx, expected = b.normal(*y.shape), b.dirty(*shape), b.dirty(*shape)
    b.launch("pool_max_backward", dy, mask, dx, *pool_numbers(shape, out, g))
    b.ops.pool_max_backward(dy, mask, expected, g)
    b.equal(dx, expected)


@case(*POOLS)
def pool_average(b: Bench, size: Any) -> None:
    shape, g = size
    out = pool_output_shape(shape[2:], g)
    x, dy = b.normal(*shape), b.normal(*shape[:2], *out)
    y, expected = b.dirty(*dy.shape), b.dirty(*dy.shape)
    b.launch("pool_average_forward", x, y, *pool_numbers(shape, out, g))
    b.ops.pool_average_forward(x, expected, g)
    b.equal(y, expected)
    dx, expected = b.dirty(*shape), b.dirty(*shape)
    b.launch("pool_average_backward", dy, dx, *pool_numbers(shape, out, g))
    b.ops.pool_average_backward(dy, expected, g)
    b.equal(dx, expected)


def three(values: tuple[int, ...], fill: int) -> tuple[int, ...]:
    return (fill,) * (3 - len(values)) + values


@case(
    ((2, 2, 5, 4), (3, 2), ConvGeometry((2, 1), (1, 0), (1, 2))),
    ((1, 1, 1, 1), (1, 1), ConvGeometry()),
    ((0, 2, 4, 4), (2, 2), ConvGeometry()),
    ((2, 3), (), ConvGeometry((), (), ())),
    ((2, 3, 9), (4,), ConvGeometry((3,), (2,), (2,))),
    ((2, 2, 6, 5), (2, 2), ConvGeometry((3, 3), (0, 1))),
    ((2, 2, 6, 5), (3, 3), ConvGeometry((1, 1), (1, 1))),
    ((1, 2, 9, 8), (3, 3), ConvGeometry((2, 3), (0, 2), (2, 1))),
    ((1, 2, 4, 5, 6), (2, 3, 2), ConvGeometry((1, 2, 1), (1, 0, 1), (2, 1, 1))),
)
def columns(b: Bench, size: Any) -> None:
    shape, kernel, g = size
    spatial = shape[2:]
    out = conv_output_shape(spatial, kernel, g)
    numbers = [*three(spatial, 1), *three(kernel, 1), *three(out, 1)]
    numbers += [*three(g.stride, 1), *three(g.pad, 0), *three(g.dilation, 1)]
    x, held = b.normal(*shape), b.dirty(shape[0], shape[1] * prod(kernel), *out)
    expected = held.copy()
    b.launch("im2col", x, held, prod(shape[:2]) * prod(out), *numbers)
    b.ops.im2col(x, expected, kernel, g)
    b.equal(held, expected, exact=True)
    back, wanted = b.dirty(*shape), b.dirty(*shape)
    b.launch("col2im", held, back, back.size, *numbers)
    b.ops.col2im(held, wanted, kernel, g)
    b.equal(back, wanted, exact=True)


@case((2, 3, 5), (1, 1, 1), (0, 3, 2), (3, 7, 1), (4, 5, 61), (11, 2, 97), (1, 3, 2003))
def bias(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, channels, inner = shape
    y, values, dy = b.normal(*shape), b.normal(channels), b.normal(*shape)
    expected = y.copy()
    b.launch("bias_forward", y, values, y.size, channels, inner)
    b.ops.bias_forward(expected, values)
    b.equal(y, expected, exact=True)
    wanted = values.copy()
    b.ops.bias_backward(dy, wanted)
    alone, split, parts = values.copy(), values.copy(), b.dirty(channels, 3)
    b.launch("channel_sum", dy, alone, None, *shape, 1.0, 1, grid=(2, 1))
    b.equal(alone, wanted)
    b.launch("channel_sum", dy, split, parts, *shape, 1.0, 1, grid=(2, 3))
    b.launch("finish_channels", parts, split, None, channels, 3, 1.0, 1)
    b.equal(split, wanted)
    if inner == 1:
        b.launch("sum_rows", dy, values, outer, channels, 1.0, 1)
        b.equal(values, wanted)


@case((3, 40), (0, 5), (1, 1), (70, 33))
def sum_rows(b: Bench, shape: tuple[int, int]) -> None:
    x, got = b.normal(*shape), b.dirty(shape[1])
    b.launch("sum_rows", x, got, *shape, 0.5, 0)
    b.equal(got, x.sum(axis=0) * 0.5)


@case((2, 3, 5), (1, 1, 1), (0, 3, 2), (7, 4, 300), (3, 2, 1))
def swap_axes(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, middle, inner = shape
    x, got = b.normal(*shape), b.dirty(middle, outer, inner)
    b.launch("swap_axes", x, got, *shape)
    b.equal(got, x.swapaxes(0, 1), exact=True)


@case((2, 3, 5), (1, 1, 3), (0, 3, 2), (5, 4, 41), (50, 7, 49), (9, 1, 200), (60, 3, 1))
def batch_norm(b: Bench, shape: tuple[int, int, int]) -> None:
    items, channels, inner = shape
    x, dy = b.normal(*shape) + 2, b.normal(*shape)
    mean, variance, wanted = b.dirty(channels), b.dirty(channels), [b.dirty(channels), b.dirty(channels)]
    b.ops.channel_statistics(x, *wanted)
    for splits in (1, 2):
        moments = b.dirty(channels, splits), b.dirty(channels, splits)
        b.launch("channel_moments", x, *moments, *shape, grid=(2, splits))
        b.launch("finish_moments", x, *moments, mean, variance, channels, splits, inner, items * inner)
        b.equal(mean, wanted[0])
        b.equal(variance, wanted[1])
    factor, bias = b.normal(channels), b.normal(channels)
    for pair, slope in (((None, None), 1), ((None, None), 0), ((factor, bias), 1), ((factor, bias), 0.1)):
        y, normalized, expected, copied = (b.dirty(*shape) for _ in range(4))
        b.launch("normalize_forward", x, mean, variance, *pair, normalized, y, x.size, channels, inner, 1e-5, slope)
        b.ops.normalize_forward(x, mean, variance, 1e-5, expected, copied, *pair, slope)
        b.equal(normalized, expected)
        b.equal(y, copied)
    sums, rectified = ([b.dirty(channels), b.dirty(channels)] for _ in range(2))
    b.launch("channel_sum_dot", dy, normalized, *sums, None, *shape, 1.0, 0, grid=(3, 1))
    for slope in (0.0, 0.1):
        for shift in (None, bias):
            numbers = (normalized, factor, shift, slope)
            b.launch("channel_sum_dot_rectified", dy, *numbers, *rectified, None, *shape, 1.0, 0, grid=(3, 1))
            backward(b, (normalized, variance, dy), rectified, (factor, bias, None, shift), slope)
    for given in ((None, None, None, None), (factor, factor.copy(), bias, bias), (factor, bias, None, None)):
        backward(b, (normalized, variance, dy), sums, given, 1.0)


def backward(b: Bench, inputs: Any, sums: Any, given: Any, slope: float) -> None:
    """batch_norm_backward; given: factor, dfactor, dbias, bias."""
    normalized, variance, dy = inputs
    shape, count = dy.shape, max(1, dy.shape[0] * dy.shape[2])
    dx, expected = b.dirty(*shape), b.dirty(*shape)
    got, wanted = ([None if a is None else a.copy() for a in given] for _ in range(2))
    factor, dfactor, dbias, bias = got
    arrays = (normalized, variance, dy, *sums, factor, bias, dfactor, dbias)
    b.launch("batch_norm_backward", *arrays, dx, dy.size, *shape[1:], 1e-5, 1 / count, slope)
    b.ops.batch_norm_backward(normalized, variance, 1e-5, dy, expected, *wanted, slope)
    for result, reference in zip((dx, *got[1:3]), (expected, *wanted[1:3]), strict=True):
        if reference is not None:
            b.equal(result, reference)
    held = dy.copy()
    b.launch(
        "batch_norm_backward",
        normalized,
        variance,
        held,
        *arrays[3:],
        held,
        dy.size,
        *shape[1:],
        1e-5,
        1 / count,
        slope,
    )
    b.equal(held, expected)  # in place


@case(
    ((2, 5, 3), 3),
    ((1, 1, 1), 5),
    ((0, 4, 2), 3),
    ((2, 9, 14), 5),
    ((1, 3, 2), 1),
    ((2, 37, 5), 5),
    ((1, 20, 3), 7),
    ((2, 33, 2), 3),
)
def lrn(b: Bench, size: Any) -> None:
    shape, window = size
    x, dy = b.normal(*shape), b.normal(*shape)
    got, wanted = ([b.dirty(*shape), b.dirty(*shape)] for _ in range(2))
    b.launch("lrn_forward", x, *got, *shape, window, 0.3, 0.75, 2.0)
    b.ops.lrn_forward(x, *wanted, window, 0.3, 0.75, 2.0)
    b.equal(got[0], wanted[0])
    b.equal(got[1], wanted[1])
    scale, y = wanted
    dx, expected = b.dirty(*shape), b.dirty(*shape)
    b.launch("lrn_backward", x, scale, dy, dx, *shape, window, 0.3, 0.75)
    b.ops.lrn_backward(x, scale, y, dy, expected, window, 0.3, 0.75)
    b.equal(dx, expected)


@case((2, 3, 5), (1, 1, 3), (0, 3, 2), (5, 40, 41))
def stored_statistics(b: Bench, shape: tuple[int, int, int]) -> None:
    _, channels, inner = shape
    batch, sums = [b.normal(channels), b.uniform(channels)], [b.normal(channels), b.uniform(channels)]
    weight = b.number(2.5)
    got, wanted = [a.copy() for a in (*sums, weight)], [a.copy() for a in (*sums, weight)]
    b.launch("update_statistics", *batch, *got, channels, 0.9, 1.25)
    b.ops.update_statistics(*batch, *wanted, 0.9, 1.25)
    for a, e in zip(got, wanted, strict=True):
        b.equal(a, e)
    for count in (weight, b.number(0)):
        got, wanted = ([b.dirty(channels), b.dirty(channels)] for _ in range(2))
        b.launch("stored_statistics", *sums, count, *got, channels)
        b.ops.stored_statistics(*sums, count, *wanted)
        for a, e in zip(got, wanted, strict=True):
            b.equal(a, e)
    dy, dx, expected = b.normal(*shape), b.dirty(*shape), b.dirty(*shape)
    b.launch("normalize_backward", sums[1], dy, dx, dx.size, channels, inner, 1e-5)
    b.ops.normalize_backward(sums[1], 1e-5, dy, expected)
    b.equal(dx, expected)


@case((3, 5), (1, 1), (0, 4), (4, 131), (2, 1009))
def mvn(b: Bench, shape: tuple[int, int]) -> None:
    x, dy = b.normal(*shape) + 2, b.normal(*shape)
    for divisor in (None, b.dirty(shape[0])):
        held = None if divisor is None else divisor.copy()
        y, dx, expected, wanted = (b.dirty(*shape) for _ in range(4))
        b.launch("mvn_forward", x, divisor, y, *shape, 1e-3)
        b.ops.mvn_forward(x, held, 1e-3, expected)
        b.equal(y, expected)
        if divisor is not None:
            b.equal(divisor, held)
        b.launch("mvn_backward", expected, held, dy, dx, *shape)
        b.ops.mvn_backward(expected, held, dy, wanted)
        b.equal(dx, wanted)


@case((3, 5), (1, 1), (0, 4), (4, 131), (2, 1009))
def unit(b: Bench, shape: tuple[int, int]) -> None:
    x, dy, eps = b.normal(*shape), b.normal(*shape), 0.1
    x[:1] *= 1e-3  # a norm below eps
    for l1 in (False, True):
        got, expected = ([b.dirty(shape[0]), b.dirty(*shape)] for _ in range(2))
        b.ops.unit_forward(x, *expected, eps, l1)
        (divisor, y), wanted = expected, b.dirty(*shape)
        b.ops.unit_backward(y, divisor, dy, wanted, eps, l1)
        for forward, backward in (("unit_forward", "unit_backward"), ("unit_forward_long", "unit_backward_long")):
            b.launch(forward, x, *got, *shape, eps, l1)
            for a, e in zip(got, expected, strict=True):
                b.equal(a, e)
            dx = dy.copy()
            b.launch(backward, y, divisor, dx, dx, *shape, eps, l1)
            b.equal(dx, wanted)


@case(
    ((1, 2, 3, 4), 3),
    ((1, 1, 1, 1), 5),
    ((0, 1, 2, 2), 3),
    ((2, 3, 7, 9), 5),
    ((1, 2, 5, 3), 1),
    ((1, 2, 37, 5), 3),
    ((1, 1, 19, 4), 7),
)
def lrn_within(b: Bench, size: Any) -> None:
    shape, window = size
    x, dy = b.normal(*shape), b.normal(*shape)
    got, wanted = ([b.dirty(*shape), b.dirty(*shape)] for _ in range(2))
    b.launch("lrn_within_forward", x, *got, prod(shape[:2]), *shape[2:], window, 0.3, 0.75)
    b.ops.lrn_within_forward(x, *wanted, window, 0.3, 0.75)
    b.equal(got[0], wanted[0])
    b.equal(got[1], wanted[1])
    dx, expected = b.dirty(*shape), b.dirty(*shape)
    b.launch("lrn_within_backward", x, *wanted, dy, dx, prod(shape[:2]), *shape[2:], window, 0.3, 0.75)
    b.ops.lrn_within_backward(x, *wanted, dy, expected, window, 0.3, 0.75)
    b.equal(dx, expected)


@case(37, 0, 1, 8, 1003)
def random(b: Bench, n: int) -> None:
    stream = RandomStream(1234567890123456789, "drop1")
    for position in (0, 1, 2**40 + 5):
        counter = np.full(1, position, np.uint64)
        held, expected = b.dirty(n + 1), b.dirty(n)
        for got in (held[:n], held[1:]):  # aligned for wide stores, and not
            b.launch("uniform", got, counter, n, stream.seed, stream.key)
            b.ops.uniform(expected, stream, position)
            b.equal(got, expected, exact=True)
        for keep in (0.5, 0.7, 1.0):
            b.launch("bernoulli", got, counter, n, stream.seed, stream.key, int(np.ceil(keep * 2**24)), 1 / keep)
            b.ops.bernoulli(expected, keep, stream, position)
            b.equal(got, expected, exact=True)
        b.launch("advance", counter, grid=(1,))
        assert counter[0] == position + 1
