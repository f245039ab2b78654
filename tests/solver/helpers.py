"""A small solver for tests: random data, two dense layers with Dropout between them, a test net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netforge.solver import Listener, Solver

NET = """
name: "small"
layer { name: "input" type: "DummyData" top: "data" top: "target"
  dummy_data_param {
    shape { dim: 8 dim: 6 } shape { dim: 8 dim: 2 }
    data_filler { type: "gaussian" } data_filler { type: "uniform" min: -1 max: 1 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { num_output: 12 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "drop" type: "Dropout" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip2" bottom: "target" top: "loss" }
layer { name: "sq" type: "EuclideanLoss" bottom: "target" bottom: "ip2" top: "sq" loss_weight: 0
  include { phase: TEST } }
"""

SOLVER = """
net: "net.prototxt"
base_lr: 0.05
lr_policy: "inv"
gamma: 0.01
power: 0.75
momentum: 0.9
weight_decay: 0.001
max_iter: 20
display: 5
test_iter: 3
test_interval: 7
average_loss: 4
random_seed: 77
snapshot_prefix: "out/run"
solver_mode: CPU
"""


def write_solver(folder: Path, solver: str = SOLVER, net: str = NET) -> Path:
    """Write net.prototxt and solver.prototxt into a folder; returns the solver's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.prototxt").write_text(net)
    path = folder / "solver.prototxt"
    path.write_text(solver)
    return path


def weights(solver: Solver) -> bytes:
    """All weights of the train net, byte for byte."""
    to_host = solver.device.to_host
    return b"".join(to_host(blob.data).tobytes() for blobs in solver.net.params.values() for blob in blobs)


class Recorder(Listener):
    """Remembers what it hears as (event, iteration, details)."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.displays: list[Any] = []
        self.tests: list[Any] = []
        self.norms: list[Any] = []
        self.lines: list[str] = []

    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    def on_start(self, solver: Solver) -> None:
        self.events.append(("start", solver.iteration))

    def on_display(self, solver: Solver, display: Any) -> None:
        self.events.append(("display", display.iteration))
        self.displays.append(display)

    def on_norms(self, solver: Solver, norms: Any) -> None:
        self.norms.append(norms)

    def on_debug(self, solver: Solver, lines: Any) -> None:
        self.lines += lines

    def on_test(self, solver: Solver, result: Any) -> None:
        self.events.append(("test", result.iteration))
        self.tests.append(result)

    def on_snapshot(self, solver: Solver, paths: Any) -> None:
        self.events.append(("snapshot", solver.iteration))

    def on_end(self, solver: Solver, reason: Any) -> None:
        self.events.append(("end", solver.iteration, reason))
