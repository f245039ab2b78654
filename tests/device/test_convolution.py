"""Convolution against plain loops, its gradients by adjoint tests, and the CPU's fast form against the reference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.device.cpu import CpuOps
from netforge.device.operations.convolution import ConvGeometry, conv_output_shape, deconv_output_shape
from netforge.device.workers import Workers


@st.composite
def cases(draw, batches=(1, 2, 3), channels=3, axes=3):
    """Shapes of x and w and a geometry that fit together: any stride, pad, dilation, group and number of axes."""
    axes = draw(st.integers(0, axes))
    numbers = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(axes))  # noqa: E731
    kernel, stride, pad, dilation = numbers(1, 3), numbers(1, 3), numbers(0, 2), numbers(1, 2)
    group = draw(st.integers(1, 3))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    spatial = tuple(max(e + more - 2 * p, 1) for e, more, p in zip(extent, numbers(0, 4), pad, strict=True))
    x = (draw(st.sampled_from(batches)), group * draw(st.integers(1, channels)), *spatial)
    w = (group * draw(st.integers(1, 3)), x[1] // group, *kernel)
    return x, w, ConvGeometry(stride, pad, dilation, group)


def arrays(x_shape, w_shape, g, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    y_shape = (x_shape[0], w_shape[0], *conv_output_shape(x_shape[2:], w_shape[2:], g))
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, y_shape))


def by_loops(x, w, g, y_shape):
    """Convolution written down as its definition: one product at a time."""
    y = np.zeros(y_shape)
    per_group = w.shape[0] // g.group
    for n, o, *at in product(*map(range, y_shape)):
        for c, *k in product(*map(range, w.shape[1:])):
            pixel = [a * s + i * d - p for a, s, i, d, p in zip(at, g.stride, k, g.dilation, g.pad, strict=True)]
            if all(0 <= i < size for i, size in zip(pixel, x.shape[2:], strict=True)):
                y[(n, o, *at)] += w[(o, c, *k)] * x[(n, o // per_group * w.shape[1] + c, *pixel)]
    return y


@given(case=cases(channels=2))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_forward_equals_the_definition(ops, case):
    x, w, y = arrays(*case)
    ops.conv_forward(x, w, y, case[2])
    np.testing.assert_allclose(y, by_loops(x, w, case[2], y.shape), rtol=1e-12, atol=1e-12)


@given(case=cases(batches=(1, 2, 17), channels=18))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_gradients_are_the_adjoints_of_forward(ops, case):
    # conv is linear in x and in w: <conv(x, w), dy> = <x, backward_data(dy, w)> = <w, backward_weights(x, dy)>
    x, w, dy = arrays(*case)
    y, dx, dw = np.empty_like(dy), np.full_like(x, np.nan), np.ones_like(w)
    ops.conv_forward(x, w, y, case[2])
    ops.conv_backward_data(dy, w, dx, case[2])
    ops.conv_backward_weights(x, dy, dw, case[2])
    scale = 1e-12 * (1 + np.abs(y).ravel() @ np.abs(dy).ravel())
    expected = (y * dy).sum()
    assert (x * dx).sum() == pytest.approx(expected, abs=scale)
    assert (w * (dw - 1)).sum() == pytest.approx(expected, abs=scale * 10)


@given(case=cases(batches=(0, 1, 5, 16, 33), channels=20))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_cpu_equals_reference_elementwise(reference, cpu, case):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-4)):
        x, w, dy = arrays(*case, dtype)
        b = np.arange(w.shape[0], dtype=dtype)
        results = []
        for ops in (reference, cpu):
            y, dx, dw = np.empty_like(dy), np.empty_like(x), np.ones_like(w)
            ops.conv_forward(x, w, y, case[2], b)
            ops.conv_backward_data(dy, w, dx, case[2])
            ops.conv_backward_weights(x, dy, dw, case[2])
            results.append((y, dx, dw))
        for expected, found in zip(*results, strict=True):
            scale = np.abs(expected).max(initial=1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def test_bias_is_added_to_each_channel(ops):
    x, w, y = arrays((2, 4, 5), (6, 2, 3), g := ConvGeometry((1,), (0,), (1,), 2))
    without = np.empty_like(y)
    ops.conv_forward(x, w, without, g)
    ops.conv_forward(x, w, y, g, np.arange(6.0))
    np.testing.assert_allclose(y - without, np.broadcast_to(np.arange(6.0)[:, None], y.shape), atol=1e-13)


def test_sobel_is_the_product_of_two_thin_filters(ops):
    x = np.random.default_rng(1).standard_normal((2, 1, 7, 6))
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)[None, None]
    once, column, twice = np.empty((2, 1, 5, 4)), np.empty((2, 1, 5, 6)), np.empty((2, 1, 5, 4))
    g = ConvGeometry()
    ops.conv_forward(x, sobel, once, g)
    ops.conv_forward(x, np.array([1.0, 2, 1]).reshape(1, 1, 3, 1), column, g)
    ops.conv_forward(column, np.array([-1.0, 0, 1]).reshape(1, 1, 1, 3), twice, g)
    np.testing.assert_allclose(once, twice, atol=1e-12)


@given(case=cases(channels=3))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_col2im_is_the_adjoint_of_im2col(ops, case):
    x_shape, (_, _, *kernel), g = case
    kernel = tuple(kernel)
    x = np.random.default_rng(0).standard_normal(x_shape)
    shape = (x_shape[0], x_shape[1] * int(np.prod(kernel)), *conv_output_shape(x_shape[2:], kernel, g))
    columns, image = np.empty(shape), np.empty_like(x)
    other = np.random.default_rng(1).standard_normal(shape)
    ops.im2col(x, columns, kernel, g)
    ops.col2im(other, image, kernel, g)
    assert (columns * other).sum() == pytest.approx((x * image).sum(), abs=1e-10)


def test_im2col_orders_rows_by_channel_then_kernel(ops):
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    columns = np.empty((1, 8, 1, 1))
    ops.im2col(x, columns, (2, 2), ConvGeometry())
    assert columns.ravel().tolist() == list(range(8))


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_bits_do_not_depend_on_the_number_of_threads(threads):
    g = ConvGeometry((1, 1), (2, 2), (1, 1))
    x, w, dy = arrays((100, 5, 9, 9), (7, 5, 5, 5), g, np.float32)
    results = []
    for ops in (CpuOps(Workers(3)), CpuOps(Workers(threads))):
        y, dx, dw = np.empty_like(dy), np.empty_like(x), np.zeros_like(w)
        ops.conv_forward(x, w, y, g)
        ops.conv_backward_data(dy, w, dx, g)
        ops.conv_backward_weights(x, dy, dw, g)
        results.append([a.tobytes() for a in (y, dx, dw)])
    assert results[0] == results[1]


def test_output_shape_rounds_down():
    g = ConvGeometry((2, 1), (0, 2), (1, 3))
    assert conv_output_shape((6, 8), (3, 3), g) == (2, 6)
    assert conv_output_shape((2,), (3,), ConvGeometry((1,), (0,), (1,))) == (0,)


@given(case=cases())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_deconvolution_shape_undoes_the_convolution_shape(case):
    _, w, g = case
    spatial = tuple(range(4, 4 + len(g.stride)))
    up = deconv_output_shape(spatial, w[2:], g)
    assert conv_output_shape(up, w[2:], g) == spatial
