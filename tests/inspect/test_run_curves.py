"""The curves of a run: their names, points and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netforge.inspect.charts import Series
from netforge.inspect.run import Run
from netforge.inspect.run_curves import falls_far, loss_series, output_series, score_series
from netforge.inspect.runs import read_run
from tests.inspect.logs import START, a_test, display, write_log


def run_of(place: Path, *records: dict[str, Any]) -> Run:
    return read_run(write_log(place / "a.log.jsonl", START, *records))


def test_tests_are_told_apart_by_their_nets(tmp_path: Path) -> None:
    run = run_of(tmp_path, display(0, 2.0), a_test(5, 0.5, 1), a_test(5, 0.25), display(10, 1.0), a_test(10, 0.75))
    assert loss_series(run) == [
        Series("training", [0, 10], [2.0, 1.0], 0),
        Series("test loss", [5, 10], [0.5, 0.5], 1),
        Series("test #1 loss", [5], [0.5], 2),
    ]
    assert score_series(run) == [
        Series("accuracy", [5, 10], [0.25, 0.75], 0),
        Series("accuracy (test net #1)", [5], [0.5], 1),
    ]


def test_a_run_without_displays_begins_with_the_colours_of_its_tests(tmp_path: Path) -> None:
    assert [(one.name, one.hue) for one in loss_series(run_of(tmp_path, a_test(5, 0.5)))] == [("test loss", 0)]
    assert loss_series(run_of(tmp_path)) == score_series(run_of(tmp_path)) == output_series(run_of(tmp_path)) == []


def test_outputs_are_shown_where_they_are_not_the_loss(tmp_path: Path) -> None:
    assert output_series(run_of(tmp_path, display(0, 2.0), display(10, "nan"))) == []
    other = {**display(0, 2.0), "outputs": {"part": 0.5, "row": [1.0, 2.0]}}
    assert output_series(run_of(tmp_path, other)) == [Series("part", [0], [0.5], 0)]


def test_only_values_above_zero_tell_how_far_a_loss_falls() -> None:
    assert falls_far([Series("loss", [0, 1, 2], [1.0, float("nan"), 0.01])])
    assert not falls_far([Series("loss", [0, 1], [1.0, 0.0])])
    assert not falls_far([])
