"""What a solver tells those who listen: numbers while it trains, results of tests, snapshots, the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from netforge.data.labels.label_queries import LabelQueryCounts
    from netforge.solver.solver import Solver


class StopReason(Enum):
    """Why training ended."""

    FINISHED = "finished"  # all iterations are done
    STOPPED = "stopped"  # asked to stop; the iteration was finished and a snapshot written
    ABORTED = "aborted"  # asked twice: stopped at once, without a snapshot
    FAILED = "failed"  # an error, which is raised after the listeners heard of it


@dataclass(frozen=True)
class Output:
    """One output blob of a net: its values, and its loss weight (0 where it does not count towards the loss)."""

    name: str
    values: npt.NDArray[Any]
    loss_weight: float = 0.0

    @property
    def plain(self) -> Any:
        """A float where there is one value, else nested lists: for JSON and for printing."""
        return float(self.values.reshape(())) if self.values.size == 1 else self.values.tolist()


@dataclass(frozen=True)
class Display:
    """The state of training, every `display` iterations and at the end.

    iteration: finished updates; loss and outputs are of the weights before the next update. loss: mean of the last
    `average_loss` losses. rate: learning rate of the next update. iterations, items, seconds: how many iterations and
    items (images, pairs ...: rows of the batches) since the Display before this one, and how long they took.
    """

    iteration: int
    loss: float
    rate: float
    outputs: tuple[Output, ...]
    iterations: int
    items: int
    seconds: float


@dataclass(frozen=True)
class Norms:
    """Root mean squares in one iteration, one for each learnable weight.

    iteration: finished updates before this one. names: layer and number of each weight, "conv1[0]"; weights that layers
    share appear once. weights: before the update. gradients: of the loss, the mean over iter_size passes, before
    clipping and decay. updates: what was subtracted from the weights.
    """

    iteration: int
    names: tuple[str, ...]
    weights: tuple[float, ...]
    gradients: tuple[float, ...]
    updates: tuple[float, ...]


@dataclass(frozen=True)
class TestResult:
    """Outputs of one test net, each the mean over `batches` batches.

    net: number of the test net. loss: the mean weighted loss, None without test_compute_loss. seconds: time it took.
    """

    __test__ = False  # not a test case, whatever its name

    net: int
    iteration: int
    batches: int
    outputs: tuple[Output, ...]
    loss: float | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Outputs by name: floats where there is one value, arrays otherwise."""
        return {o.name: float(o.values.reshape(())) if o.values.size == 1 else o.values for o in self.outputs}


@dataclass(frozen=True)
class SnapshotPaths:
    """The files of one snapshot; None where the solver file switches one of them off."""

    weights: Path | None
    state: Path | None

    def __iter__(self) -> Any:
        return iter((self.weights, self.state))


class Listener:
    """Base of those who listen to a solver; every method may be left out.

    Methods run between iterations: they may read the solver and ask it to stop, and must not step it.
    """

    def on_start(self, solver: Solver) -> None:
        """Before the first iteration of `solve` or `step`."""

    def on_iteration(self, solver: Solver) -> None:
        """After each update; `solver.iteration` counts it."""

    def on_display(self, solver: Solver, display: Display) -> None:
        """Every `display` iterations, and at the end."""

    def on_notice(self, solver: Solver, text: str) -> None:
        """After a display, once a run for each layer: what goes wrong with the training, and what to try.

        Layers are asked at displays, at most every 20 iterations. `StoredLabelQueries` says here what it cannot store.
        """

    def on_norms(self, solver: Solver, norms: Norms) -> None:
        """After the update of some of the iterations that are displayed, at most about 500 in a run."""

    def on_debug(self, solver: Solver, lines: Sequence[str]) -> None:
        """With debug_info, on iterations that are displayed: mean magnitudes of blobs, weights and gradients."""

    def on_test_start(self, solver: Solver, net: int) -> None:
        """Before test net number `net` runs."""

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """After each test net."""

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """After the tests, once training has drawn something: how often each label was drawn, one entry a source."""

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """After a snapshot is on the disk."""

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """After `solve`; on FAILED, before the error is raised."""


def outputs_of(net: Any, values: dict[str, npt.NDArray[Any]] | None = None) -> tuple[Output, ...]:
    """The outputs of a net's newest forward pass, or given ones (any shape), with their loss weights."""
    found = net.output_values() if values is None else values
    return tuple(Output(name, np.asarray(array), net.loss_weights.get(name, 0.0)) for name, array in found.items())
