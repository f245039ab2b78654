"""Every case of every layer gives on a CUDA device what it gives on the CPU."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from netforge.device.cuda import CudaDevice
from netforge.device.cuda_ops import CudaOps
from netforge.device.operations import Ops
from netforge.testing import LayerCase
from netforge.testing.checks import run_case, top_diffs
from tests.layers.cases import CASES

TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
OPERATIONS = sorted(name for name in dir(Ops) if not name.startswith("_"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layers_agree(case: LayerCase, dtype: str, cuda: CudaDevice) -> None:
    if case.layer.split('type: "')[1].startswith("Python"):
        pytest.skip("Python layers run on the CPU only")
    host = run_case(case, dtype=dtype)
    with cuda.running():
        gpu = run_case(case, dtype=dtype, device=cuda, weights=host.start[1])
        tops = gpu.forward()
        same(tops, host.forward(), dtype, "tops", case.loose)
        if host.layer.differentiable:
            diffs = top_diffs(host)
            (bottoms, weights), expected = gpu.backward(diffs), host.backward(diffs)
            same([*bottoms, *weights], [*expected[0], *expected[1]], dtype, "gradients", case.loose)
    same([gpu._read(w.data) for w in gpu.layer.weights], [w.data for w in host.layer.weights], dtype, "weights", 1)


def same(got: list, expected: list, dtype: str, what: str, loose: float) -> None:
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        if b is not None:
            room = 10 * loose * TOLERANCE[dtype] * max(float(np.abs(b).max(initial=0)), 1e-3)
            np.testing.assert_allclose(a, b, rtol=0, atol=room, err_msg=f"{what}, number {number}")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_there_with_the_same_signature(name: str) -> None:
    own, reference = getattr(CudaOps, name), getattr(Ops, name)
    assert own is not reference, "this would run the NumPy body"
    assert inspect.signature(own) == inspect.signature(reference)
    assert own.__doc__
