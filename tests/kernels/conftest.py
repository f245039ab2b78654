"""The stand-in for CUDA on the path, and a reason to skip where there is no compiler."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cudashim")]


@pytest.fixture(scope="session")
def needs_compiler() -> None:
    from cudashim import compiler

    if compiler() is None:
        pytest.skip("no C++ compiler: install g++ to run kernels on the CPU")
