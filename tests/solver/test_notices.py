"""What layers find wrong with the training is told once a run, where the solver displays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netforge.cli.train_log import TrainLog
from netforge.layers.loss import EuclideanLoss
from netforge.solver import Listener, RunLog, Solver
from tests.solver.helpers import write_solver


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """A loss that complains from the second time on; one entry for each time it was asked."""
    monkeypatch.chdir(tmp_path)
    calls: list[bool] = []

    def diagnose(self: EuclideanLoss, bottom: Any, top: Any) -> str | None:
        calls.append(bool(top[0].data > 0))
        return "too bad; try less" if len(calls) > 1 else None

    monkeypatch.setattr(EuclideanLoss, "diagnose", diagnose)
    return calls


class Notices(Listener):
    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []

    def on_notice(self, solver: Solver, text: str) -> None:
        self.heard.append((solver.iteration, text))


def test_a_notice_comes_once_and_only_displays_ask(asked: list[bool]) -> None:
    notices = Notices()
    solver = Solver(write_solver(Path("here")), listeners=[notices])
    solver.step(58)
    assert asked == [True] * 3  # at 0, 20, 40, though it displays every 5; never of test nets
    assert notices.heard == [(20, '"loss" (EuclideanLoss): too bad; try less')]


def test_the_log_and_the_lines_hold_the_notice(asked: list[bool], capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog()
    Solver(write_solver(Path("here")), listeners=[log, TrainLog()], max_iter=45).solve()
    assert log.path is not None
    records = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    notices = [(r["iteration"], r["text"]) for r in records if r["event"] == "notice"]
    assert notices == [(20, '"loss" (EuclideanLoss): too bad; try less')]
    assert capsys.readouterr().out.count('Warning: "loss" (EuclideanLoss): too bad; try less\n') == 1
