"""Matrix products and biases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.device.cpu import CpuOps
from netforge.device.workers import Workers


@given(m=st.integers(0, 6), n=st.integers(0, 6), k=st.integers(0, 6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_product_of_all_forms(ops, m, n, k):
    rng = np.random.default_rng(0)
    a, b, before = rng.standard_normal((m, k)), rng.standard_normal((k, n)), rng.standard_normal((m, n))
    expected = np.array([[sum(a[i, p] * b[p, j] for p in range(k)) for j in range(n)] for i in range(m)])
    for transpose_a, transpose_b, accumulate in product([False, True], repeat=3):
        out = before.copy()
        left, right = a.T.copy() if transpose_a else a, b.T.copy() if transpose_b else b
        ops.matmul(left, right, out, transpose_a=transpose_a, transpose_b=transpose_b, accumulate=accumulate)
        np.testing.assert_allclose(out, expected.reshape(m, n) + before * accumulate, atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 500, 800), (500, 800, 64), (64, 800, 500), (3, 4001, 700), (4001, 3, 700)])
@pytest.mark.parametrize("accumulate", [False, True])
def test_blocks_of_a_large_product(shape, accumulate):
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    results = []
    for ops in (CpuOps(Workers(1)), CpuOps(Workers(4))):
        out = np.ones((m, n), np.float32)
        ops.matmul(a, b, out, accumulate=accumulate)
        results.append(out)
    np.testing.assert_array_equal(*results)
    exact = a.astype(np.float64) @ b + accumulate
    np.testing.assert_allclose(results[0], exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_bias_and_its_gradient(ops, axis):
    rng = np.random.default_rng(0)
    y, b = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 5)[axis])
    before, db = y.copy(), np.ones_like(b)
    ops.bias_forward(y, b, axis=axis)
    np.testing.assert_allclose(
        np.moveaxis(y - before, axis, -1),
        np.broadcast_to(b, (y.size // b.size, b.size)).reshape(np.moveaxis(y, axis, -1).shape),
    )
    ops.bias_backward(y, db, axis=axis)
    expected = [1 + np.moveaxis(y, axis, 0)[i].sum() for i in range(b.size)]
    np.testing.assert_allclose(db, expected, atol=1e-12)
