"""The kernels under AddressSanitizer with UBSan, and under ThreadSanitizer, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cudashim import sanitizer_environment

PROGRAM = Path(__file__).with_name("all_cases.py")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize(("sanitizer", "which"), [("address", "all"), ("thread", "small")])
def test_kernels_are_clean(sanitizer: str, which: str) -> None:
    environment = sanitizer_environment(sanitizer)
    if not Path(environment["LD_PRELOAD"]).is_file():
        pytest.skip(f"g++ has no {sanitizer} sanitizer here")
    done = subprocess.run([sys.executable, PROGRAM, "float32", which], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[:6000]
