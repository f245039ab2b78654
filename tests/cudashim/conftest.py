"""The stand-in for CUDA on the path, and a reason to skip where there is no compiler."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def needs_compiler() -> None:
    from cudashim import compiler

    if compiler() is None:
        pytest.skip("no C++ compiler: install g++ to test the stand-in for CUDA")
