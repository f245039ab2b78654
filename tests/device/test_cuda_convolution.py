"""Convolutions on a CUDA device, whichever library computes them, against the NumPy reference."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest

from netforge.device import cuda_ops_convolution
from netforge.device.cuda import CudaDevice
from netforge.device.operations import Ops
from netforge.device.operations.convolution import ConvGeometry, conv_output_shape
from tests.device.cuda_bench import standin_device

# x, w, geometry
CASES = {
    "one pixel": ((3, 8, 5, 6), (4, 8, 1, 1), ConvGeometry()),
    "one pixel, more weights than pixels": ((3, 20, 4, 4), (24, 20, 1, 1), ConvGeometry()),
    "one pixel of every second": ((2, 5, 9, 8), (7, 5, 1, 1), ConvGeometry((2, 2))),
    "one pixel of every second, more weights than pixels": ((2, 33, 8, 8), (20, 33, 1, 1), ConvGeometry((2, 2))),
    "one pixel, groups": ((3, 6, 4, 5), (9, 2, 1, 1), ConvGeometry(group=3)),
    "one pixel, groups, more weights than pixels": ((3, 40, 4, 4), (42, 20, 1, 1), ConvGeometry((1, 1), group=2)),
    "one pixel of one image": ((1, 6, 4, 5), (9, 6, 1, 1), ConvGeometry(dilation=(3, 2))),
    "one pixel of small images": ((4, 3, 1, 2), (5, 3, 1, 1), ConvGeometry()),
    "one pixel with a border": ((2, 3, 4, 4), (5, 3, 1, 1), ConvGeometry(pad=(1, 0))),
    "one axis": ((2, 3, 17), (4, 3, 1), ConvGeometry((1,), (0,), (1,))),
    "three axes": ((2, 3, 3, 4, 5), (4, 3, 1, 1, 1), ConvGeometry((1, 2, 1), (0, 0, 0), (1, 1, 1))),
    "windows": ((3, 4, 7, 6), (6, 2, 3, 3), ConvGeometry((1, 2), (1, 0), (1, 1), 2)),
}


@pytest.fixture(scope="module")
def bare() -> Iterator[CudaDevice]:
    """The stand-in without cuDNN, on which nothing but products computes convolutions."""
    logging.disable(logging.WARNING)
    yield from standin_device(cudnn=False)
    logging.disable(logging.NOTSET)


def check(device: CudaDevice, rng: np.random.Generator, case: str, dtype: str) -> None:
    x_shape, w_shape, g = CASES[case]
    y_shape = (x_shape[0], w_shape[0], *conv_output_shape(x_shape[2:], w_shape[2:], g))
    x, w, y, dy, dx, dw = (
        rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, y_shape, y_shape, x_shape, w_shape)
    )
    with device.running():
        there = [device.from_host(array) for array in (x, w, y, dy, dx, dw)]
        for ops, (images, weights, out, gradient, to_images, to_weights) in (
            (Ops(), (x, w, y, dy, dx, dw)),
            (device.ops, there),
        ):
            ops.conv_forward(images, weights, out, g)
            ops.conv_backward_data(gradient, weights, to_images, g)
            ops.conv_backward_weights(images, gradient, to_weights, g)
        for name, got, expected in (("y", there[2], y), ("dx", there[4], dx), ("dw", there[5], dw)):
            room = (2e-5 if dtype == "float32" else 1e-12) * np.abs(expected).max()
            np.testing.assert_allclose(device.to_host(got), expected, rtol=0, atol=room, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_convolutions_equal_the_reference(case: str, dtype: str, cuda: CudaDevice, rng: np.random.Generator) -> None:
    check(cuda, rng, case, dtype)


@pytest.mark.parametrize("at_once", [1, 1 << 20], ids=["one image at a time", "all images"])
@pytest.mark.parametrize("case", CASES)
def test_convolutions_without_cudnn_equal_the_reference(
    case: str, at_once: int, bare: CudaDevice, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_ops_convolution, "COLUMNS_BYTES", at_once)
    check(bare, rng, case, "float32")


@pytest.mark.parametrize("case", CASES)
def test_cudnn_computes_what_is_no_product(case: str, cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    known = type(cuda.ops.cudnn).convolution
    monkeypatch.setattr(type(cuda.ops.cudnn), "convolution", lambda *a: asked.append(a[1]) or known(*a))
    x_shape, w_shape, g = CASES[case]
    x, w = cuda.zeros(x_shape, "float32"), cuda.zeros(w_shape, "float32")
    y = cuda.zeros((x_shape[0], w_shape[0], *conv_output_shape(x_shape[2:], w_shape[2:], g)), "float32")
    with cuda.running():
        cuda.ops.conv_forward(x, w, y, g)
    assert bool(asked) == (case in ("windows", "one pixel of small images", "one pixel with a border"))
