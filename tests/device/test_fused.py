"""Layers in a row as one on a GPU: the numbers of a CPU, recorded passes too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device.cuda_bench import real_device, standin_device
from tests.net.helpers import net
from tests.net.test_fused import results, sum_text, text

PASSES = 5  # the first ones run as ever, the next is recorded, the last ones are repeated


@pytest.fixture(params=["standin", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest):
    if request.param == "gpu":
        yield real_device()
    else:
        yield from standin_device()


@pytest.mark.parametrize("file", [text(), sum_text()], ids=["BatchNorm and Scale", "Eltwise and ReLU"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_every_pass_gives_the_numbers_of_a_cpu(device, phase: str, file: str) -> None:
    ours, theirs = net(file, phase, device=device), net(file, phase)
    assert ours._runner.fused
    for _ in range(PASSES):
        for blobs, others in zip(ours.params.values(), theirs.params.values(), strict=True):
            for blob, other in zip(blobs, others, strict=True):
                np.testing.assert_allclose(device.to_host(blob.data), other.data, rtol=1e-9, atol=1e-12)
        found, wanted = (results(built, whole=True) for built in (ours, theirs))
        for name, value in wanted.items():
            np.testing.assert_allclose(device.to_host(found[name]), value, rtol=1e-8, atol=1e-10, err_msg=name)
