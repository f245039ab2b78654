"""One iteration: what it hands to the device, and when the update is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from netforge.device.operations.update import CORRECTION, RATE
from netforge.solver import Solver
from tests.solver.helpers import weights, write_solver


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_iteration_has_its_own_rate_and_correction() -> None:
    solver = Solver(write_solver(Path("here")), type="Adam", momentum2=0.99, display=0, test_interval=0)
    seen = []
    for _ in range(3):
        solver.step()
        seen.append((float(solver.buffers.control[RATE]), float(solver.buffers.control[CORRECTION])))
    rates = [0.05 * (1 + 0.01 * i) ** -0.75 for i in range(3)]
    corrections = [(1 - 0.99**t) ** 0.5 / (1 - 0.9**t) for t in (1, 2, 3)]
    assert seen == [pytest.approx(pair) for pair in zip(rates, corrections, strict=True)]


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_the_update_comes_once_whether_the_loss_is_read_or_not(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for reads in (False, True):
        monkeypatch.setattr(Solver, "_reads_loss", reads)
        solver = Solver(write_solver(Path("here")), display=0, test_interval=0, iter_size=passes)
        solver.step(3)
        results.append(weights(solver))
    assert results[0] == results[1]


def test_on_the_cpu_iterations_run_as_ever() -> None:
    solver = Solver(write_solver(Path("here")))
    assert solver.execution == 'eager: device "cpu" does not record work'
