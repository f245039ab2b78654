"""Finding and reading logs of runs: whole ones, cut ones, and files that are none."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from netforge.errors import DataError
from netforge.inspect.runs import RunReader, find_run, read_run, with_earlier
from tests.inspect.logs import END, START, a_test, display, queries, write_log


def test_read_whole(tmp_path: Path) -> None:
    snapshot = {"event": "snapshot", "time": 1, "iteration": 20, "weights": "/gone/a_iter_20.caffemodel", "state": None}
    notice = {"event": "notice", "time": 1, "iteration": 10, "text": "all alike"}
    log = write_log(
        tmp_path / "a.20260101-000000.log.jsonl",
        START,
        display(0, 2.5),
        notice,
        {"event": "new in a later version", "time": 1},
        display(10, "nan"),
        a_test(10, 0.5),
        a_test(20, 0.75),
        a_test(20, 0.25, net=1),
        queries(10, 1, 3),
        queries(20, 10, 30),
        snapshot,
        END,
    )
    run = read_run(log)
    assert (run.name, run.seed, run.reason, run.cut) == ("a.20260101-000000", 7, "finished", False)
    assert run.displays[0].loss == 2.5
    assert math.isnan(run.displays[1].loss)
    assert [test.scores for test in run.final_tests()] == [{"accuracy": 0.75}, {"accuracy": 0.25}]
    assert math.isnan(run.tests[0].outputs["each"][1])
    assert [entry.counts for entry in run.final_queries()] == [(10, 30)]
    assert (run.duration, run.last_iteration, run.notices) == (60.0, 20, [(10, "all alike")])
    assert run.newest("weights") is None
    beside = tmp_path / "a_iter_20.caffemodel"
    beside.write_bytes(b"weights")
    assert run.newest("weights") == beside
    assert run.newest("state") is None


def test_read_of_a_run_that_was_killed(tmp_path: Path) -> None:
    run = read_run(write_log(tmp_path / "a.log.jsonl", START, display(0, 2.5), tail='{"event": "display", "ti'))
    assert (run.reason, run.cut, len(run.displays)) == (None, True, 1)


def test_the_last_run_of_a_file_counts(tmp_path: Path) -> None:
    run = read_run(write_log(tmp_path / "a.log.jsonl", START, display(0, 1.0), END, {**START, "seed": 8}))
    assert (run.seed, run.displays, run.reason) == (8, [], None)


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("", "a.log.jsonl:", "it is empty"),
        ('{"event": "st', "a.log.jsonl:1:", "no JSON"),
        ("hello\n", "a.log.jsonl:1:", "no JSON"),
        ("[1]\n", "a.log.jsonl:1:", "no record"),
        (json.dumps(END) + "\n", "a.log.jsonl:1:", "start"),
        (json.dumps({"event": "start", "time": 1}) + "\n", "a.log.jsonl:1:", "restored_from"),
        (json.dumps(START) + "\nrubbish\n" + json.dumps(END) + "\n", "a.log.jsonl:2:", "no JSON"),
        (json.dumps(START) + "\n" + json.dumps({**display(1, 1.0), "loss": "x"}) + "\n", "jsonl:2:", "a number: 'x'"),
        (json.dumps(START) + "\n" + json.dumps({**queries(1, 2), "labels": []}) + "\n", "jsonl:2:", "labels"),
        (json.dumps(START) + "\n" + json.dumps(display(1, 10**400)) + "\n", "jsonl:2:", "too many digits"),
        (
            json.dumps(START) + "\n" + json.dumps({**display(1, 1.0), "iteration": 10**400}) + "\n",
            "jsonl:2:",
            "too many digits",
        ),
        (json.dumps({**START, "time": "nan"}) + "\n", "jsonl:1:", "a time: 'nan'"),
        (json.dumps({**START, "time": 1e300}) + "\n", "jsonl:1:", "a time: 1e+300"),
        (json.dumps(START) + "\n" + json.dumps({**queries(1, 2), "hit_percent": ["nan"]}) + "\n", "jsonl:2:", "hit_p"),
        (json.dumps(START) + "\n" + "[" * 100_000 + "\n{}\n", "jsonl:2:", "no JSON"),
    ],
)
def test_foreign_files(tmp_path: Path, text: str, place: str, found: str) -> None:
    log = tmp_path / "a.log.jsonl"
    log.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_run(log)
    assert place in str(error.value)
    assert found in str(error.value)
    assert "netforge train" in str(error.value)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_run(tmp_path / "none.log.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        "runs",
        "runs/digits",
        "runs/digits/net",
        "runs/digits/net.20260102-000000-2",
        "runs/digits/net_iter_5.caffemodel",
    ],
)
def test_find_takes_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net.20260101-235959", "net.20260102-000000", "net.20260102-000000-2", "net2.20250102-000000"):
        write_log(Path(f"runs/digits/{name}.log.jsonl"), START)
    assert find_run(text).name == "net.20260102-000000-2.log.jsonl"


def test_find_by_the_file_itself(tmp_path: Path) -> None:
    log = write_log(tmp_path / "mine.jsonl", START)
    assert find_run(str(log)) == log


def test_find_names_the_closest(tmp_path: Path) -> None:
    write_log(tmp_path / "digits.20260101-000000.log.jsonl", START)
    with pytest.raises(DataError, match=r"no such run.*[Dd]id you mean.*digits\.20260101-000000"):
        find_run(tmp_path / "digist.20260101-000000")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no log"):
        find_run(tmp_path / "empty")
    with pytest.raises(DataError, match="snapshot_prefix"):
        find_run(tmp_path / "nowhere" / "net")


def test_a_reader_reads_on(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a.log.jsonl", START, display(0, 2.5))
    reader = RunReader(log)
    assert len(reader.read().displays) == len(reader.read().displays) == 1
    text = json.dumps(display(10, 1.5))
    with log.open("a", encoding="utf-8") as file:
        for part, count, cut in ((text[:30], 1, True), (text[30:], 2, False), ("\n", 2, False), ("nonsense", 2, True)):
            file.write(part)
            file.flush()
            run = reader.read()
            assert (len(run.displays), run.cut, run.end) == (count, cut, 100.0 + 10 * (count - 1))
        file.write("\n")
    for _ in range(2):
        with pytest.raises(DataError, match=r"jsonl:4: .*no JSON"):
            reader.read()
    write_log(log, {**START, "seed": 8})
    assert (reader.read().seed, reader.read().displays) == (8, [])


def test_curves_go_back_over_the_runs_before(tmp_path: Path) -> None:
    def snapshot(iteration: int) -> dict[str, object]:
        state = f"gone/net_iter_{iteration}.solverstate"
        return {"event": "snapshot", "time": 1, "iteration": iteration, "weights": None, "state": state}

    def log(stamp: str, first: int, *iterations: int) -> Path:
        state = f"gone/net_iter_{first}.solverstate" if first else None
        start = {**START, "time": float(stamp[-1:]), "iteration": first, "restored_from": state}
        shown = [display(at, float(stamp[-1:])) for at in iterations]
        return write_log(tmp_path / f"net.{stamp}.log.jsonl", start, *shown, snapshot(first + 20))

    log("20260101-000001", 0, 0, 10, 20, 30)
    log("20260101-000002", 40, 40)
    log("20260101-000003", 20, 20, 30, 40)
    last = log("20260101-000004", 40, 50)
    (tmp_path / "net.20260101-000000.log.jsonl").write_text("rubbish", encoding="utf-8")
    write_log(tmp_path / "other.20260101-000003.log.jsonl", START, display(0, 9.0), snapshot(40))
    run = with_earlier(read_run(last))
    assert [(s.iteration, s.loss) for s in run.displays] == [(0, 1), (10, 1), (20, 3), (30, 3), (40, 3), (50, 4)]
    assert [s.iteration for s in read_run(last).displays] == [50]


def test_plugins_are_those_of_the_command_and_of_the_solver(tmp_path: Path) -> None:
    command = ["netforge", "train", "--solver=s", "--plugin=one", "--plugin=two"]
    log = write_log(tmp_path / "a.log.jsonl", {**START, "command": command, "plugins": ["two", "three"]})
    assert read_run(log).plugins == ("one", "two", "three")
