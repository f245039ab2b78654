"""BatchNorm, Scale and ReLU on a CPU in pieces against the reference, and the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.device.cpu import CpuOps
from netforge.device.operations import Ops
from netforge.device.workers import Workers

SHAPES = [(3, 2, 5), (64, 5, 900), (1, 3, 70_000), (200, 1, 1_000), (7, 300, 100), (0, 3, 4)]


def call(ops, name, shape, dtype):
    """The arrays that an operation has written, by its name."""
    rng = np.random.default_rng(7)
    items, channels, positions = shape
    blob = lambda: rng.normal(3, 2, (items, channels, positions)).astype(dtype)  # noqa: E731
    row = lambda: rng.uniform(0.5, 2, channels).astype(dtype)  # noqa: E731
    x, dy, out, kept = blob(), blob(), blob(), blob()
    first, second = row(), row()
    arguments = {
        "channel_statistics": (x, first, second),
        "normalize_forward": (x, first, second, 1e-5, kept, out),
        "batch_norm_backward": (x, second, 1e-5, dy, out),
        "normalize_forward with factor": (x, first, second, 1e-5, kept, out, row(), row()),
        "batch_norm_backward with factor": (x, second, 1e-5, dy, out, row(), row(), row()),
        "normalize_forward with slope": (x, first, second, 1e-5, kept, out, row(), row(), 0.1),
        "batch_norm_backward with slope": (x - 3, second, 1e-5, dy, out, row(), row(), row(), -row(), 0.1),
        "scale_forward": (x, first, second, out, kept),
        "scale_backward_factor": (dy, x, first, second),
        "relu_forward": (x, out, 0.1),
        "relu_backward": (x - 3, dy, out, 0.0),
    }[name]
    getattr(ops, name.partition(" ")[0])(*arguments)
    return arguments


NAMES = (
    "channel_statistics",
    "normalize_forward",
    "batch_norm_backward",
    "normalize_forward with factor",
    "batch_norm_backward with factor",
    "normalize_forward with slope",
    "batch_norm_backward with slope",
    "scale_forward",
    "scale_backward_factor",
    "relu_forward",
    "relu_backward",
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_pieces_give_what_the_reference_gives(name, shape):
    found, wanted = call(CpuOps(Workers(2)), name, shape, np.float64), call(Ops(), name, shape, np.float64)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_does_not_change_a_bit(name):
    alone, together = (call(CpuOps(Workers(size)), name, (64, 5, 900), np.float32) for size in (1, 3))
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a, b)


def test_in_place():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(64, 5, 900))
    factor, wanted = rng.normal(size=5), np.empty_like(x)
    Ops().scale_forward(x, factor, None, wanted)
    CpuOps(Workers(2)).scale_forward(x, factor, None, x)
    assert np.array_equal(x, wanted)


def test_a_single_number():
    x, y = np.array(-2.0), np.array(7.0)
    CpuOps(Workers(2)).relu_forward(x, y, 0.5)
    assert y == -1
