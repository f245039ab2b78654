"""The log of a run: one record a line, whole at any moment."""

from __future__ import annotations

import errno
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.errors import NonFiniteError, SnapshotError
from netforge.schema import parse_solver
from netforge.solver import Display, Listener, Output, RunLog, Solver
from tests.solver.helpers import write_solver


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 11, 21, 10, 11, 12, 5, 325, 0)))


def records(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_a_run_and_its_continuation_write_a_file_each() -> None:
    path = write_solver(Path("here"))
    first, second = RunLog(), RunLog()
    Solver(path, listeners=[first], max_iter=10).solve()
    Solver(path, listeners=[second], restore="out/run_iter_10.solverstate").solve()
    assert first.path == Path("out/run.20261121-101112.log.jsonl")
    assert second.path == Path("out/run.20261121-101112-2.log.jsonl")
    log = records(first.path)
    assert [(r["event"], r.get("iteration")) for r in log] == [
        ("start", 0),
        ("test", 0),
        ("display", 0),
        ("norms", 0),
        ("display", 5),
        ("norms", 5),
        ("test", 7),
        ("snapshot", 10),
        ("display", 10),
        ("test", 10),
        ("end", 10),
    ]
    start, display, test, snapshot, end = log[0], log[4], log[1], log[7], log[-1]
    assert (start["seed"], start["device"], start["restored_from"]) == (77, "cpu", None)
    assert parse_solver(start["solver"]).message.max_iter == 10
    assert {"python", "numpy", "netforge", "protobuf"} <= start["versions"].keys()
    assert (display["items"], display["iterations"]) == (40, 5)
    assert display["loss"] > 0
    assert display["rate"] == pytest.approx(0.05 * 1.05**-0.75)
    assert test["outputs"].keys() == {"loss", "sq"}
    assert snapshot["state"] == "out/run_iter_10.solverstate"
    assert (end["reason"], end["error"]) == ("finished", None)
    assert records(second.path)[0]["restored_from"] == "out/run_iter_10.solverstate"


def test_records_are_on_their_way_before_training_goes_on() -> None:
    log = RunLog("logs/mine.jsonl")
    seen: list[int] = []

    class Look(Listener):
        def on_display(self, solver: Solver, display: Display) -> None:
            seen.append(records(log.path)[-1]["iteration"])

    Solver(write_solver(Path("here")), listeners=[log, Look()]).step(6)
    assert seen == [0, 5]
    log.close()


def test_a_run_that_fails_ends_with_its_error() -> None:
    log = RunLog()
    with pytest.raises(NonFiniteError):
        Solver(write_solver(Path("here")), listeners=[log], base_lr=1e20).solve()
    end = records(log.path)[-1]
    assert (end["event"], end["reason"]) == ("end", "failed")
    assert "the loss is" in end["error"]


def test_numbers_that_json_lacks_are_words() -> None:
    log = RunLog("log.jsonl")
    solver = Solver(write_solver(Path("here")))
    log.on_start(solver)
    outputs = (Output("p", np.array([1.0, np.nan])), Output("q", np.array(np.inf)))
    log.on_display(solver, Display(3, float("nan"), 0.1, outputs, 1, 8, 0.5))
    log.close()
    record = records(log.path)[-1]
    assert record["loss"] == "nan"
    assert record["outputs"] == {"p": [1.0, "nan"], "q": "inf"}


def test_a_log_that_cannot_be_written_is_said_before_training() -> None:
    Path("out").write_text("a file where a folder should be", encoding="utf-8")
    solver = Solver(write_solver(Path("here")), listeners=[RunLog()])
    with pytest.raises(SnapshotError, match="the log of the run cannot be written"):
        solver.step()


def test_a_full_disk_ends_the_run_with_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    log = RunLog("here.log.jsonl")
    monkeypatch.setattr(log, "_open", lambda solver: setattr(log, "_file", Full()))
    with pytest.raises(SnapshotError, match=r"here\.log\.jsonl: the log of the run .* No space left on device"):
        Solver(write_solver(Path()), listeners=[log], max_iter=10).solve()
