"""What the stand-in finds with the sanitizers of g++, each launch in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cudashim import sanitizer_environment

PROGRAM = Path(__file__).with_name("run_planted.py")


def run(sanitizer: str, kernel: str, blocks: int, threads: int) -> subprocess.CompletedProcess[str]:
    environment = sanitizer_environment(sanitizer)
    if not Path(environment["LD_PRELOAD"]).is_file():
        pytest.skip(f"g++ has no {sanitizer} sanitizer here")
    command = [sys.executable, PROGRAM, kernel, str(blocks), str(threads)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("sanitizer", "kernel", "blocks", "threads", "words"),
    [
        ("address", "past_the_end", 1, 32, "heap-buffer-overflow"),
        ("address", "past_dynamic_shared", 1, 32, "heap-buffer-overflow"),
        ("address", "past_static_shared", 1, 9, "index 8 out of bounds"),
        ("address", "overflow", 1, 1, "signed integer overflow"),
        ("thread", "missing_barrier", 1, 64, "data race"),
        ("thread", "plain_sum", 1, 2, "data race"),
        ("thread", "plain_sum", 2, 1, "data race"),
    ],
)
def test_planted_mistakes_are_found(sanitizer: str, kernel: str, blocks: int, threads: int, words: str) -> None:
    done = run(sanitizer, kernel, blocks, threads)
    assert done.returncode != 0
    assert words in done.stderr
    assert "kernel.cu:" in done.stderr
    assert kernel in done.stderr


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
@pytest.mark.parametrize(("kernel", "threads"), [("reverse_block", 64), ("atomic_sum", 32), ("scaled", 32)])
def test_right_kernels_are_clean(sanitizer: str, kernel: str, threads: int) -> None:
    done = run(sanitizer, kernel, 3, threads)
    assert done.returncode == 0, done.stderr
