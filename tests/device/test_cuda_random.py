"""Draws whose position lives on the device: those of the CPU, one after the other, and resumable."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from netforge.device import Device, get_device
from netforge.device.random import RandomStream
from tests.device.cuda_bench import real_device, standin_device


@pytest.fixture(scope="module", params=["cpu", "stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if request.param == "stand-in":
        yield from standin_device()
    else:
        yield get_device("cpu") if request.param == "cpu" else real_device()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (0, 3), (8,), (5, 7), (3, 1000)])
def test_draws_follow_a_position_on_the_device(device: Device, dtype: str, shape: tuple[int, ...]) -> None:
    stream, reference = RandomStream(2**64 - 1, "drop"), get_device("cpu").ops
    out, position = device.zeros(shape, dtype), device.from_host(np.array([2**40], np.uint64))
    for draw in range(2**40, 2**40 + 3):
        expected = np.empty(shape, dtype)
        with device.running():
            device.ops.uniform(out, stream, position)
            reference.uniform(expected, stream, draw)
            np.testing.assert_array_equal(device.to_host(out), expected)
            device.ops.bernoulli(out, 0.7, stream, position)
            reference.bernoulli(expected, 0.7, stream, draw)
            np.testing.assert_array_equal(device.to_host(out), expected)
            device.ops.bernoulli(out, 0.7, stream, draw)  # the same with a number
            np.testing.assert_array_equal(device.to_host(out), expected)
            device.ops.advance(position)
    assert device.to_host(position).tolist() == [2**40 + 3]
