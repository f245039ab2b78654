"""Killed at any moment, what changes the database leaves the state before or after, and a whole file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES, MOMENTS = 400, 3

pytestmark = pytest.mark.skipif(
    not (hasattr(signal, "SIGKILL") and hasattr(os, "fork")), reason="this platform cannot fork and kill"
)


def test_the_state_is_that_before_or_that_after(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.killing", str(tmp_path), str(IMAGES), str(MOMENTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 7
    for result in results:
        assert result["wrong"] == []
        assert result.get("before", 0) + result.get("after", 0) == MOMENTS
    assert any(result["ended"] < MOMENTS for result in results), "nothing was killed"
