"""Pooling against plain loops and Caffe's worked examples, with its rules for borders, ties and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.device.operations.pooling import PoolGeometry, pool_output_shape


@st.composite
def cases(draw, batches=(1, 2, 3)):
    """x with many equal values, NaN and infinities, and a geometry; every third is 2 x 2 with stride 2."""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))  # noqa: E731
    if draw(st.integers(0, 2)) == 0:
        g = PoolGeometry((2, 2), (2, 2), (0, 0))
    else:
        kernel = pair(1, 4)
        g = PoolGeometry(kernel, pair(1, 4), tuple(draw(st.integers(0, k - 1)) for k in kernel))
    spatial = tuple(k + more for k, more in zip(g.kernel, pair(0, 6), strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(-2, 3, (draw(st.sampled_from(batches)), 2, *spatial)).astype(np.float32)
    strange = draw(st.sampled_from([None, np.nan, -np.inf, np.inf]))
    if strange is not None:
        x[rng.random(x.shape) < draw(st.sampled_from([0.1, 0.6, 1.0]))] = strange
    return x, g, draw(st.booleans())


def edges(index, axis, size, g):
    start = index * g.stride[axis] - g.pad[axis]
    return start, start + g.kernel[axis], max(start, 0), min(start + g.kernel[axis], size)


def max_by_loops(x, out, g):
    y, mask = np.full((*x.shape[:2], *out), np.finfo(np.float32).min, x.dtype), np.full((*x.shape[:2], *out), -1)
    for n, c, i, j in np.ndindex(y.shape):
        _, _, top, bottom = edges(i, 0, x.shape[2], g)
        _, _, left, right = edges(j, 1, x.shape[3], g)
        for h in range(top, bottom):
            for w in range(left, right):
                if x[n, c, h, w] > y[n, c, i, j]:
                    y[n, c, i, j], mask[n, c, i, j] = x[n, c, h, w], h * x.shape[3] + w
    return y, mask


def average_by_loops(x, out, g):
    """Averages, and the matrix (as a function of dy) that gives the gradient."""
    y, dx_of = np.zeros((*x.shape[:2], *out)), np.zeros((*out, *x.shape[2:]))
    for i, j in np.ndindex(*out):
        first, last, top, bottom = edges(i, 0, x.shape[2], g)
        begin, end, left, right = edges(j, 1, x.shape[3], g)
        area = (min(last, x.shape[2] + g.pad[0]) - first) * (min(end, x.shape[3] + g.pad[1]) - begin)
        if bottom > top and right > left:
            dx_of[i, j, top:bottom, left:right] = 1 / area
            y[:, :, i, j] = x[:, :, top:bottom, left:right].sum((2, 3)) / area
    return y, dx_of


@given(case=cases())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_max_takes_the_first_largest_and_never_nan(ops, case):
    x, g, ceil = case
    out = pool_output_shape(x.shape[2:], g, ceil=ceil)
    y, mask = np.empty((*x.shape[:2], *out), np.float32), np.empty((*x.shape[:2], *out), np.int32)
    ops.pool_max_forward(x, y, mask, g)
    expected, index = max_by_loops(x, out, g)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(mask, index)


@given(case=cases(batches=(1, 3)))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_max_backward_adds_at_the_mask(ops, case):
    x, g, ceil = case
    out = pool_output_shape(x.shape[2:], g, ceil=ceil)
    _, mask = max_by_loops(x, out, g)
    dy = np.random.default_rng(0).standard_normal(mask.shape)
    expected = np.zeros(x.shape)
    for (n, c, i, j), index in np.ndenumerate(mask):
        if index >= 0:
            expected[n, c].ravel()[index] += dy[n, c, i, j]
    dx = np.full(x.shape, np.nan)
    ops.pool_max_backward(dy, mask.astype(np.int32), dx, g)
    np.testing.assert_allclose(dx, expected, atol=1e-13)


@given(case=cases(batches=(1, 3)))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_average_and_its_gradient(ops, case):
    x, g, ceil = case
    x = np.nan_to_num(x.astype(np.float64), posinf=3, neginf=-3)
    out = pool_output_shape(x.shape[2:], g, ceil=ceil)
    y, dx = np.empty((*x.shape[:2], *out)), np.full(x.shape, np.nan)
    ops.pool_average_forward(x, y, g)
    expected, dx_of = average_by_loops(x, out, g)
    np.testing.assert_allclose(y, expected, atol=1e-13)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    ops.pool_average_backward(dy, dx, g)
    np.testing.assert_allclose(dx, np.einsum("ncij,ijhw->nchw", dy, dx_of), atol=1e-13)


@pytest.mark.parametrize("batch", [0, 1, 70])
def test_cpu_pieces_cover_every_image(reference, cpu, batch):
    x = np.random.default_rng(batch).standard_normal((batch, 20, 24, 24)).astype(np.float32)
    for g in (PoolGeometry((2, 2), (2, 2)), PoolGeometry((3, 3), (2, 2), (1, 1))):
        shape = (batch, 20, *pool_output_shape((24, 24), g))
        results = []
        for ops in (reference, cpu):
            y, mask, dx, average, dx_average = (
                np.full(s, 7, t) for s, t in ((shape, "f"), (shape, "i4"), (x.shape, "f"), (shape, "f"), (x.shape, "f"))
            )
            ops.pool_max_forward(x, y, mask, g)
            ops.pool_max_backward(y, mask, dx, g)
            ops.pool_average_forward(x, average, g)
            ops.pool_average_backward(y, dx_average, g)
            results.append((y, mask, dx, average, dx_average))
        for expected, found in zip(*results, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "up", "down"),
    [
        (6, 3, 2, 0, 3, 2),
        (5, 3, 2, 0, 2, 2),
        (32, 3, 2, 0, 16, 15),
        (55, 3, 2, 0, 27, 27),
        (112, 3, 2, 0, 56, 55),
        (14, 3, 2, 0, 7, 6),
        (6, 3, 2, 1, 4, 3),
        (3, 3, 2, 2, 3, 3),
        (28, 3, 1, 1, 28, 28),
        (2, 2, 3, 1, 1, 1),
    ],
)
def test_output_shape_follows_caffe(size, kernel, stride, pad, up, down):
    g = PoolGeometry((kernel,) * 2, (stride,) * 2, (pad,) * 2)
    assert pool_output_shape((size, size), g) == (up, up)
    assert pool_output_shape((size, size), g, ceil=False) == (down, down)


def test_padding_on_one_axis_clips_both():
    # the last window on the axis without padding would start at 3, beyond its 2 pixels
    assert pool_output_shape((2, 4), PoolGeometry((1, 3), (3, 1), (0, 0))) == (2, 2)
    assert pool_output_shape((2, 4), PoolGeometry((1, 3), (3, 1), (0, 1))) == (1, 4)


def test_caffes_examples(ops):
    x = np.array([[1, 2, 5, 2, 3], [9, 4, 1, 4, 8], [1, 2, 5, 2, 3]], np.float32)[None, None]
    y, mask = np.empty((1, 1, 2, 4), np.float32), np.empty((1, 1, 2, 4), np.int32)
    ops.pool_max_forward(x, y, mask, PoolGeometry((2, 2)))
    assert y[0, 0].tolist() == [[9, 5, 5, 8], [9, 5, 5, 8]]
    assert mask[0, 0].tolist() == [[5, 2, 2, 9], [5, 12, 12, 9]]
    x = np.array([[1, 2, 4], [2, 3, 2], [4, 2, 1]], np.float32)[None, None]
    y, mask = np.empty((1, 1, 3, 3), np.float32), np.empty((1, 1, 3, 3), np.int32)
    ops.pool_max_forward(x, y, mask, PoolGeometry((3, 3), (2, 2), (2, 2)))
    assert y[0, 0].tolist() == [[1, 4, 4], [4, 4, 4], [4, 4, 1]]
    average = np.empty((1, 1, 3, 3))
    ops.pool_average_forward(np.ones((1, 1, 4, 4)), average, PoolGeometry((3, 3), (2, 2), (1, 1)))
    np.testing.assert_allclose(average[0, 0], [[4 / 9, 6 / 9, 2 / 6], [6 / 9, 1, 1 / 2], [2 / 6, 1 / 2, 1 / 4]])
