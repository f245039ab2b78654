"""Operations that must agree (the reference bodies, the CPU's), a CUDA device, and images to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.device.cpu import CpuOps
from netforge.device.cuda import CudaDevice
from netforge.device.operations import Ops
from netforge.device.workers import Workers
from tests.device.cuda_bench import real_device, standin_device


@pytest.fixture(scope="session")
def reference() -> Ops:
    """The NumPy reference bodies."""
    return Ops()


@pytest.fixture(scope="session")
def cpu() -> CpuOps:
    """The CPU's operations on three threads, more than this machine may have."""
    return CpuOps(Workers(3))


@pytest.fixture(scope="session", params=["reference", "cpu"])
def ops(request: pytest.FixtureRequest) -> Ops:
    """Each set of operations in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def shapes(netforge_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Sixty images of noise over ten patterns, one for each label, and an empty folder to work in."""
    labels = np.arange(60) % 10
    patterns = rng.integers(0, 200, (10, 1, 12, 12))
    with ImageDatabase() as database, database.write() as writer:
        writer.add("shapes", [(patterns[labels] + rng.integers(0, 56, (60, 1, 12, 12))).astype(np.uint8)], labels)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module", params=["stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest) -> Iterator[CudaDevice]:
    """A CUDA device on the stand-ins, and a real one where there is one."""
    if request.param == "gpu":
        yield real_device()
    else:
        yield from standin_device()
