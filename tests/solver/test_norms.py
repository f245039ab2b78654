"""Sizes of weights, gradients and updates over a run: the right ones, at the right iterations, in the log too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.inspect.runs import read_run
from netforge.solver import Norms, RunLog, Solver, norms
from tests.solver.helpers import Recorder, write_solver


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(iterations: int, **options: Any) -> list[Norms]:
    heard = Recorder()
    listeners = [heard, *options.pop("listeners", [])]
    Solver(write_solver(Path("here")), listeners=listeners, **options).step(iterations)
    return heard.norms


def sizes(arrays: list[Any]) -> list[float]:
    return [float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) for array in arrays]


@pytest.mark.parametrize("passes", [1, 3])
def test_they_are_those_of_the_weights_the_gradients_and_the_step(passes: int) -> None:
    options: dict[str, Any] = {"display": 1, "test_interval": 0, "iter_size": passes, "clip_gradients": 0.1}
    solver = Solver(write_solver(Path("here")), **options)
    blobs = [entry.blob for entry in solver.net.learnable]
    start = [blob.data.copy() for blob in blobs]
    solver.net.clear_weight_diffs()
    for _ in range(passes):
        solver.net.forward_pass()
        solver.net.backward_pass()
    gradients = [blob.diff / passes for blob in blobs]
    heard = Recorder()
    trained = Solver(write_solver(Path("here")), listeners=[heard], **options)
    trained.step(1)
    (found,) = heard.norms
    assert found.iteration == 0 and found.names == ("ip1[0]", "ip1[1]", "ip2[0]", "ip2[1]")
    np.testing.assert_allclose(found.weights, sizes(start), rtol=1e-5)
    np.testing.assert_allclose(found.gradients, sizes(gradients), rtol=1e-5)
    steps = [before - entry.blob.data for before, entry in zip(start, trained.net.learnable, strict=True)]
    np.testing.assert_allclose(found.updates, sizes(steps), rtol=1e-3)


def test_displays_are_measured_but_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.iteration for one in run(12)] == [0, 5, 10]
    assert run(12, display=0) == []
    monkeypatch.setattr(norms, "MOST_RECORDS", 4)
    assert [one.iteration for one in run(20, display=1, max_iter=20)] == [0, 5, 10, 15]


def test_training_is_the_same_and_nets_without_weights_have_none() -> None:
    text = 'layer { name: "in" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }\n'
    text += 'layer { name: "loss" type: "Reduction" bottom: "x" top: "loss" loss_weight: 1 }'
    heard = Recorder()
    Solver(write_solver(Path("none"), net=text), listeners=[heard], test_iter=[], test_interval=0).step(6)
    assert heard.norms == []


def test_the_log_holds_them_for_a_reader() -> None:
    log = RunLog()
    found = run(6, listeners=[log])
    log.close()
    assert log.path is not None
    records = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [record["iteration"] for record in records if record["event"] == "norms"] == [0, 5]
    read = read_run(log.path).norms
    assert [entry.iteration for entry in read] == [0, 5]
    assert list(read[1].weights) == list(found[1].names)
    expected = zip(found[1].weights, found[1].gradients, found[1].updates, strict=True)
    np.testing.assert_allclose(list(read[1].weights.values()), list(expected), rtol=1e-3)
