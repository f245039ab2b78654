"""A run while it trains: what its page shows, what is told of changes, and which run is followed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from netforge.errors import DataError
from netforge.inspect import live
from netforge.inspect.follow import Follower, Sight, seconds_left
from netforge.inspect.live import LiveRun, progress_card
from netforge.inspect.runs import read_run
from tests.inspect.logs import END, START, a_test, display, queries, write_log
from tests.inspect.test_page import NASTY, Checked

SOLVER = 'base_lr: 0.1\nmax_iter: 40\nnet: "n.prototxt"\n'
BEGUN = {**START, "solver": SOLVER}
NOTICE = {"event": "notice", "time": 1, "iteration": 10, "text": "all alike"}


def append(log: Path, *records: dict[str, Any], tail: str = "") -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records) + tail)


def follow(path: Path) -> LiveRun:
    return LiveRun(path, refresh_s=0)


def words(text: str) -> str:
    return " ".join(" ".join(inside for tag, inside in Checked(text).texts if tag not in ("script", "style")).split())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "a.20260101-000000.log.jsonl", BEGUN, display(0, 2.5))


def test_the_page_and_what_changes(log: Path) -> None:
    run = follow(log)
    page = Checked(run.page())
    begun = json.loads(next(text for tag, text in page.texts if tag == "script" and '"keys"' in text))
    titles = [text for tag, text in page.texts if tag == "h2"]
    assert begun["keys"] == titles == ["Progress", "Result", "Loss", "Learning rate", *titles[-3:]]
    assert titles[-3:] == ["Full report", "Do it again", "Prototxt"]
    assert "connect-src 'self'" in next(a["content"] or "" for _, a in page.seen if "http-equiv" in a)

    before = run.changes(begun["version"])
    assert before["server"] == begun["server"]
    assert set(before["cards"]) <= {"Progress"}  # the clock goes on
    append(log, display(10, 1.5), a_test(10, 0.5), queries(10, 3, 5), NOTICE)
    news = run.changes(begun["version"])
    assert news["version"] > begun["version"]
    new = {"Test scores", "Label queries of digits.training", "Notices"}
    assert set(news["cards"]) == {"Progress", "Result", "Loss", "Learning rate", *new}
    assert news["keys"] == [*titles[:3], "Test scores", "Learning rate", *sorted(new - {"Test scores"}), *titles[-3:]]
    assert "1.5" in news["cards"]["Loss"] and "10 of 40 iterations, 25%" in words(news["cards"]["Progress"])
    assert news["title"] == "25% a.20260101-000000"
    assert set(run.changes(news["version"])["cards"]) <= {"Progress"}
    assert set(run.changes(0)["cards"]) == set(news["keys"])


def test_a_line_half_written_disturbs_nobody(log: Path) -> None:
    run = follow(log)
    version = run.changes(0)["version"]
    text = json.dumps(display(10, 1.25))
    append(log, tail=text[:40])
    assert set(run.changes(version)["cards"]) <= {"Progress"}
    append(log, tail=text[40:] + "\n")
    assert "1.25" in run.changes(version)["cards"]["Loss"]


def test_the_end_is_told(log: Path) -> None:
    run = follow(log)
    append(log, {**END, "reason": "failed", "error": NASTY})
    progress = run.changes(0)["cards"]["Progress"]
    assert "The run has ended: failed: </script>" in words(progress)
    assert "<script" not in progress
    append(log, BEGUN)  # it goes on in the same file
    assert "Training" in words(run.changes(0)["cards"]["Progress"])


def test_a_run_that_was_killed_goes_silent(log: Path) -> None:
    append(log, display(10, 1.5), display(20, 1.5))
    os.utime(log, (time.time() - 29, time.time() - 29))
    assert not Follower(log).look().silent  # the longest gap is 10 s
    os.utime(log, (time.time() - 65, time.time() - 65))
    sight = Follower(log).look()
    assert sight.silent
    assert "Nothing has come for 1 min 05 s." in words(progress_card(sight))
    assert "left" not in words(progress_card(sight))
    append(log, END)
    assert not Follower(log).look().silent


def test_time_left_is_by_the_newest_pace(log: Path) -> None:
    append(log, display(10, 1.5), display(20, 1.5))
    run = read_run(log)
    assert seconds_left(Sight(run), 40) == pytest.approx(20)
    assert seconds_left(Sight(run, age_s=4), 40) == pytest.approx(16)
    assert seconds_left(Sight(run, age_s=90), 40) == 0
    assert seconds_left(Sight(run), 0) is None  # max_iter is not known
    assert seconds_left(Sight(None), 40) is None


def test_the_newest_run_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = LiveRun(refresh_s=0)
    first = run.changes(0)
    assert (first["title"], first["keys"]) == ("Waiting for a run", ["Progress"])
    assert f"netforge monitor in {tmp_path}" in words(run.page())
    with pytest.raises(DataError, match="no run yet"):
        run.report()
    (tmp_path / "runs").mkdir()
    assert "no run to show yet" in run.changes(0)["cards"]["Progress"]
    one = write_log(tmp_path / "runs" / "x" / "net.20260101-000000.log.jsonl", tail=json.dumps(BEGUN)[:99])
    assert "no run to show yet" in run.changes(0)["cards"]["Progress"]  # its first line is not whole
    write_log(one, BEGUN, display(0, 2.0))
    assert run.changes(first["version"])["heading"] == "net.20260101-000000"
    write_log(tmp_path / "runs" / "x" / "net.20260102-000000.log.jsonl", {**BEGUN, "seed": 8}, display(7, 2.0))
    news = run.changes(0)
    assert news["heading"] == "net.20260102-000000" and "7 of 40" in words(news["cards"]["Progress"])


def test_the_page_of_the_end_is_named_as_soon_as_it_is_there(log: Path) -> None:
    append(log, END)
    run = follow(log)
    version = run.changes(0)["version"]
    (log.parent / "a.20260101-000000.report.html").write_text("page", encoding="utf-8")
    news = run.changes(version)
    assert list(news["cards"]) == ["Full report"]
    assert "a.20260101-000000.report.html" in news["cards"]["Full report"]


def test_damage_leaves_what_is_known(log: Path) -> None:
    run = follow(log)
    run.changes(0)
    append(log, tail="rubbish\n")
    found = run.changes(0)
    assert "Loss" in found["cards"]
    assert "the line is no JSON" in found["cards"]["Progress"]


def test_many_pages_cost_one_look(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    look = Follower.look
    monkeypatch.setattr(live.Follower, "look", lambda self: looks.append(1) or look(self))  # type: ignore[func-returns-value]
    run = LiveRun(log, refresh_s=1000)
    for _ in range(20):
        run.changes(0)
    assert len(looks) == 1


def test_the_full_report_is_made_once_for_what_there_is(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(live, "report_page", lambda run: made.append(run) or f"page {len(made)}")  # type: ignore[func-returns-value]
    run = follow(log)
    assert [run.report(), run.report()] == ["page 1", "page 1"]
    append(log, display(10, 1.5))
    assert run.report() == "page 2"
    assert [len(one.displays) for one in made] == [1, 2]


def test_a_run_that_goes_on_shows_the_whole_curve(tmp_path: Path) -> None:
    snapshot = {"event": "snapshot", "time": 1, "iteration": 10, "weights": None, "state": "net_iter_10.solverstate"}
    write_log(tmp_path / "net.20260101-000000.log.jsonl", BEGUN, display(0, 3.125), display(10, 2.0), snapshot)
    again = {**BEGUN, "time": 300.0, "iteration": 10, "restored_from": "net_iter_10.solverstate"}
    log = write_log(tmp_path / "net.20260102-000000.log.jsonl", again)
    run = follow(tmp_path / "net")
    assert "3.125" in run.changes(0)["cards"]["Loss"]
    append(log, display(20, 1.0625))
    assert all(text in run.changes(0)["cards"]["Loss"] for text in ("3.125", "2.0", "1.0625"))
