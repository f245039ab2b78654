"""The operations that must agree: the reference bodies, and the CPU's with more threads than this machine may have."""

from __future__ import annotations

import pytest

from netforge.device.cpu import CpuOps
from netforge.device.operations import Ops
from netforge.device.workers import Workers


@pytest.fixture(scope="session")
def reference() -> Ops:
    """The NumPy reference bodies."""
    return Ops()


@pytest.fixture(scope="session")
def cpu() -> CpuOps:
    """The CPU's operations on three threads."""
    return CpuOps(Workers(3))


@pytest.fixture(scope="session", params=["reference", "cpu"])
def ops(request: pytest.FixtureRequest) -> Ops:
    """Each set of operations in turn."""
    return request.getfixturevalue(request.param)
