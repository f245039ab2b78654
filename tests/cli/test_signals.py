"""Signals during training, and training on a terminal, in processes of their own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

PATIENCE_S = 120


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`netforge train` without end, in a process that is killed if the test does not end it."""
    solver = folder / "solver.prototxt"
    text = re.sub("test_i.*\n", "", solver.read_text()).replace("max_iter: 4", "max_iter: 100000000")
    solver.write_text(text)
    with subprocess.Popen(
        [sys.executable, "-m", "netforge", "train", "-solver=solver.prototxt", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(words: str, stream: IO[str] | None) -> None:
    assert stream
    assert any(words in line for line in stream), f"the process ended without {words!r}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_a_stop_takes_a_snapshot_and_says_how_to_go_on(folder: Path, number: signal.Signals) -> None:
    with running(folder) as process:
        wait_for("Iteration 2,", process.stdout)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "Optimization stopped early." in out
    state = re.search(r"go on: netforge train --solver solver.prototxt --snapshot (\S+)\n", out)
    assert state and (folder / state[1]).is_file()
    assert "Traceback" not in err


def test_a_second_ctrl_c_stops_at_once(folder: Path) -> None:
    net = folder / "net.prototxt"
    net.write_text(net.read_text().replace("dim: 4 dim: 1 dim: 8 dim: 8", "dim: 4 dim: 1 dim: 600 dim: 600"))
    with running(folder, "--set", "iter_size=100000") as process:
        wait_for("seed: 1", process.stdout)
        process.send_signal(signal.SIGINT)
        wait_for("once more stops at once", process.stderr)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list(folder.glob("*.solverstate"))


def test_sighup_takes_a_snapshot_and_training_goes_on(folder: Path) -> None:
    with running(folder) as process:
        wait_for("Iteration 2,", process.stdout)
        process.send_signal(signal.SIGHUP)
        wait_for("Snapshotting solver state to file", process.stdout)
        wait_for("Iteration", process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert list(folder.glob("*.solverstate"))


def test_the_effect_of_ctrl_c_can_be_chosen(folder: Path) -> None:
    with running(folder, "--sigint_effect=snapshot") as process:
        wait_for("Iteration 2,", process.stdout)
        process.send_signal(signal.SIGINT)
        wait_for("Snapshotting solver state to file", process.stdout)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def on_a_terminal(folder: Path, *arguments: str, width: int = 80, term: str = "xterm-256color") -> str:
    """What a command writes on a terminal."""
    leader, follower = pty.openpty()
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COLUMNS": str(width),
        "TERM": term,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "netforge", *arguments],
        stdout=follower,
        stderr=follower,
        env=environment,
        cwd=folder,
    ) as process:
        os.close(follower)
        written = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how Linux says that the other end was closed
                break
            if not part:
                break
            written += part
    os.close(leader)
    assert process.returncode in (0, 1)
    return written.decode()


@pytest.mark.parametrize("width", [24, 80])
def test_training_on_a_terminal(folder: Path, width: int) -> None:
    text = on_a_terminal(folder, "train", "--solver", "solver.prototxt", width=width)
    assert "Traceback" not in text
    assert "Iteration 2" not in text
    assert "100%" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "loss " in plain
    assert "--snapshot run_iter_4.solverstate --set=max_iter=8" in plain
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


def test_verbose_leaves_each_display_and_each_batch(folder: Path) -> None:
    train = on_a_terminal(folder, "train", "--solver", "solver.prototxt", "--verbose", "--no-report")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", train)
    assert re.search(r"iteration 2   train      loss [\d.]+ +.*learning rate 0\.00", plain)
    assert re.search(r"smoothed|loss [\d.]+", plain)
    words = ("test", "--model", "net.prototxt", "--weights", "run_iter_4.caffemodel", "--iterations=2")
    assert "Batch 1, accuracy = " in on_a_terminal(folder, *words, "--verbose")
    assert "Batch 1, accuracy = " not in on_a_terminal(folder, *words)


def test_a_terminal_that_is_dumb_gets_plain_lines(folder: Path) -> None:
    text = on_a_terminal(folder, "train", "--solver", "solver.prototxt", term="dumb")
    assert "\x1b" not in text
    assert "Iteration 2, lr = " in text
    assert "weights: run_iter_4.caffemodel" in text


def test_colours_are_off_where_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = on_a_terminal(folder, "check", "net.prototxt")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text)


def test_an_error_on_a_terminal_shows_the_line_with_a_caret(folder: Path) -> None:
    net = folder / "net.prototxt"
    net.write_text(net.read_text().replace("num_output: 3", "num_outputs: 3"))
    text = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal(folder, "check", "net.prototxt")).replace("\r\n", "\n")
    assert text == (
        'error: net.prototxt:20:5: unknown field "num_outputs" in "convolution_param".\n'
        "    |\n"
        " 20 |     num_outputs: 3\n"
        "    |     ^^^^^^^^^^^\n"
        'mend:  Did you mean "num_output"?\n'
    )
