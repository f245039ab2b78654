"""`netforge train` tells how often it drew each label, and `data stats` shows it again."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from netforge.cli import cli
from netforge.cli.signals import Signals
from netforge.cli.train_screen import TrainScreen
from netforge.solver import Solver
from tests.data.helpers import fill_database
from tests.solver.helpers import write_solver
from tests.solver.test_label_queries import NET, SOLVER


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_database()
    write_solver(tmp_path, SOLVER, NET)


def run(*words: str) -> Result:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result


def test_the_log_tells_it_and_the_source_keeps_it() -> None:
    done = run("train", "--solver", "solver.prototxt").stdout
    told = re.findall(r"    Label query (hit percent|epochs): \{(.*)\}\n", done)
    assert [kind for kind, _ in told] == ["hit percent", "epochs"] * 4
    assert told[-2:] == [("hit percent", "25.00 %, 25.00 %, 25.00 %, 25.00 %"), ("epochs", "6.00, 6.00, 6.00, 6.00")]
    command = re.search(r"drawn: netforge (data stats .*)\n", done)
    assert command is not None
    shown = run(*command[1].split(), "--labels-only").stdout.splitlines()
    assert shown[-4].split() == ["zero", "0", "10", "25.00%", "60", "25.00", "%", "6.00"]


def test_quiet_tells_nothing_but_keeps_it() -> None:
    done = run("train", "--solver", "solver.prototxt", "--quiet").stdout
    assert "Label query" not in done and "drawn: netforge data stats tiny.training --run run." in done


def test_the_screen_has_one_line_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    terminal: Any = Console(file=text, width=100, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr("netforge.cli.train_screen.console", lambda: terminal)
    signals = Signals("none", "none")
    solver = Solver("solver.prototxt", listeners=[TrainScreen(12, signals)], max_iter=10)
    solver.solve()
    solver.close()
    lines = [line for line in text.getvalue().splitlines() if "drawn" in line]
    assert len(lines) == 2
    assert lines[1].endswith("  iteration 10   drawn      25.0 25.0 25.0 25.0 %   3.00 epochs")
