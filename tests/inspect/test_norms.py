"""Charts of gradients over a run: which curves, what is remarked on, and what a log without them says."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from netforge.errors import DataError
from netforge.inspect.norms import MOST_CURVES, norm_cards, run_norm_rows, run_norms_page
from netforge.inspect.report import report_page
from netforge.inspect.run import Run
from netforge.inspect.runs import read_run, with_earlier
from tests.inspect.logs import START, display, write_log


def norms(iteration: int, weights: dict[str, list[Any]]) -> dict[str, Any]:
    return {"event": "norms", "time": 100.0, "iteration": iteration, "weights": weights}


def run_with(folder: Path, *records: dict[str, Any]) -> Run:
    return read_run(write_log(folder / "a.20260101-000000.log.jsonl", START, display(0, 1.0), *records))


def curves(page: str) -> list[list[dict[str, Any]]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)
    return [json.loads(text)["series"] for text in found]


def test_each_layer_has_a_curve_of_gradients_and_of_updates(tmp_path: Path) -> None:
    first = {"conv1[0]": [0.5, 0.1, 0.05], "conv1[1]": [0.0, 2.0, 1.0], "ip[0]": [2.0, 1e-6, 0.02]}
    last = {"conv1[0]": [0.5, 0.2, 0.01], "conv1[1]": [0.1, 3.0, 1.0], "ip[0]": [2.0, "nan", 0.04]}
    run = run_with(tmp_path, norms(0, first), norms(10, last))
    gradients, updates = (curves(str(one))[0] for one in norm_cards(run))
    assert [series["name"] for series in gradients] == ["conv1[0]", "ip[0]"]
    assert gradients[0]["x"] == [0, 10] and gradients[0]["y"] == [0.1, 0.2]
    assert updates[0]["y"] == [0.1, 0.02] and updates[1]["y"] == [0.01, 0.02]
    rows = run_norm_rows(run)
    assert rows[0] == ("conv1[0]", "0.5", "0.1", "0.2", "0.02", "")
    assert rows[2][-1] == "NaN or infinite"
    assert "Gradients of a.20260101-000000" in run_norms_page(run)
    assert "Updates / weights" in report_page(run, full=False)


def test_of_many_layers_some_are_shown_from_the_first_to_the_last(tmp_path: Path) -> None:
    run = run_with(tmp_path, norms(0, {f"ip{k}[0]": [1.0, 1.0, 0.0] for k in range(54)}))
    card = str(next(iter(norm_cards(run))))
    names = [series["name"] for series in curves(card)[0]]
    assert len(names) == MOST_CURVES and (names[0], names[-1]) == ("ip0[0]", "ip53[0]")
    assert f"{MOST_CURVES} of 54 layers" in card
    assert len(run_norm_rows(run)) == 54


def test_weights_that_are_zero_have_no_ratio(tmp_path: Path) -> None:
    run = run_with(tmp_path, norms(0, {"bias[0]": [0.0, 1.0, 0.5]}))
    assert run_norm_rows(run)[0][4] == "nan"
    assert math.isfinite(len(run_norms_page(run)))


def test_curves_go_back_over_the_runs_before(tmp_path: Path) -> None:
    sizes = {"ip[0]": [1.0, 1.0, 0.1]}
    state = {"event": "snapshot", "time": 1, "iteration": 10, "weights": None, "state": "a_iter_10.solverstate"}
    write_log(tmp_path / "a.20260101-000000.log.jsonl", START, *(norms(k, sizes) for k in (0, 5, 10, 15)), state)
    later = {**START, "time": 200.0, "iteration": 10, "restored_from": "a_iter_10.solverstate"}
    log = write_log(tmp_path / "a.20260102-000000.log.jsonl", later, norms(10, sizes), norms(15, sizes))
    assert [entry.iteration for entry in with_earlier(read_run(log)).norms] == [0, 5, 10, 15]


def test_logs_without_norms_and_garbled_ones_say_so(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    assert list(norm_cards(run)) == [] and "Updates / weights" not in report_page(run, full=False)
    with pytest.raises(DataError, match=r"holds no norms.*--solver"):
        run_norms_page(run)
    for garbled in ({"ip": [1.0, 1.0, 1.0]}, {"ip[0]": [1.0, 2.0]}, {"ip[0]": [1.0, 2.0, None]}, [1]):
        with pytest.raises(DataError, match="no log of a run"):
            run_with(tmp_path, norms(0, garbled))  # type: ignore[arg-type]
