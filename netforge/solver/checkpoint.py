"""Snapshots of a solver: what goes into them, and how a solver takes it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge import snapshot
from netforge.errors import SnapshotError
from netforge.net import Net
from netforge.schema import messages
from netforge.snapshot import TRAIN_NET, LoadReport, TrainingState
from netforge.solver.events import SnapshotPaths
from netforge.solver.policies import steps_taken
from netforge.solver.settings import snapshot_prefix

if TYPE_CHECKING:
    from netforge.solver.solver import Solver

_OWN_WEIGHT = "weights[{}]"


def write(solver: Solver) -> SnapshotPaths:
    """Write weights, then the state that names them, so that a state on the disk always has its weights."""
    start = f"{snapshot_prefix(solver.definition)}_iter_{solver.iteration}"
    end = ".h5" if solver.settings.snapshot_format == messages.SolverParameter.HDF5 else ""
    weights = Path(f"{start}.caffemodel{end}") if solver.settings.snapshot_include_weights else None
    state = Path(f"{start}.solverstate{end}") if solver.settings.snapshot_include_state else None
    if weights is not None:
        snapshot.save_weights(solver.net, weights, diffs=solver.settings.snapshot_diff)
    if state is not None:
        snapshot.save_state(capture(solver, str(weights or "")), state)
    return SnapshotPaths(weights, state)


def restore(solver: Solver, state: TrainingState, path: Path) -> LoadReport:
    """Give a solver the weights, histories and layer states of a snapshot; returns what its weights brought.

    Raises SnapshotError where the state belongs to another net or rule.
    """
    check_histories(solver, state.history, path)
    report = solver.net.copy_from(snapshot.find_weights(state, path))
    restore_histories(solver, state.history)
    for net in solver.test_nets:
        net.share_weights(solver.net)
    restore_nets(solver, state)
    return report


def capture(solver: Solver, learned_net: str) -> TrainingState:
    """Everything that an exact resume needs, copied; learned_net: the file of weights written beside it."""
    nets = {TRAIN_NET: solver.net.state()}
    for index, net in enumerate(solver.test_nets):
        nets[index] = _with_own_weights(net, solver.net)
    return TrainingState(
        iteration=solver.iteration,
        history=histories(solver),
        learned_net=learned_net,
        current_step=steps_taken(solver.settings, max(solver.iteration - 1, 0)),
        seed=solver.seed,
        losses=tuple(solver.losses),
        nets=nets,
    )


def histories(solver: Solver) -> list[npt.NDArray[Any]]:
    """The update rule's arrays in Caffe's order: the first of each learnable weight in file order, then the second."""
    return [
        solver.device.to_host(flat[entry.offset : entry.offset + entry.size]).reshape(entry.blob.shape).copy()
        for flat in solver.buffers.histories
        for entry in solver.net.learnable
    ]


def check_histories(solver: Solver, history: list[npt.NDArray[Any]], path: Path) -> None:
    """Raise SnapshotError where the update rule's arrays belong to another net or another rule."""
    learnable = solver.net.learnable
    each = len(solver.buffers.histories)
    if len(history) != len(learnable) * each:
        raise SnapshotError(
            f"{len(history)} history arrays, expected {len(learnable) * each} "
            f'({len(learnable)} weights, {each} for each with type "{solver.settings.type}")',
            where=str(path),
            mend="resume with the net and the solver type that wrote this state",
        )
    for entry, array in zip(learnable * each, history, strict=True):
        if array.size != entry.size:
            raise SnapshotError(
                f'history of weight "{entry.label}" has shape {array.shape}, the weight has {entry.blob.shape}',
                where=str(path),
                mend="resume with the net that wrote this state",
            )


def restore_histories(solver: Solver, history: list[npt.NDArray[Any]]) -> None:
    """Take the update rule's arrays back, in the order of `histories`."""
    places = [(flat, entry) for flat in solver.buffers.histories for entry in solver.net.learnable]
    for (flat, entry), array in zip(places, history, strict=True):
        values = np.asarray(array, solver.net.dtype).ravel()
        flat[entry.offset : entry.offset + entry.size] = solver.device.from_host(values)


def restore_nets(solver: Solver, state: TrainingState) -> None:
    """Put the layers of the train net and of the test nets back to where they were."""
    solver.net.restore(state.nets.get(TRAIN_NET, {}))
    for index, net in enumerate(solver.test_nets):
        remembered = state.nets.get(index, {})
        net.restore(remembered)
        for layer in _layers_of_its_own(net, solver.net):
            for number, blob in enumerate(layer.weights):
                array = remembered.get(layer.name, {}).get(_OWN_WEIGHT.format(number))
                if array is not None and (blob.resizable or blob.shape == array.shape):
                    blob.reshape(array.shape)
                    blob.data[...] = solver.device.from_host(array)


def _with_own_weights(net: Net, train: Net) -> dict[str, dict[str, Any]]:
    """A test net's state, and the weights of layers that only it has: no file of weights holds them."""
    state = net.state()
    for layer in _layers_of_its_own(net, train):
        for number, blob in enumerate(layer.weights):
            state[layer.name][_OWN_WEIGHT.format(number)] = np.array(net.device.to_host(blob.data))
    return state


def _layers_of_its_own(net: Net, train: Net) -> list[Any]:
    return [layer for layer in net.layers if layer.weights and layer.name not in train.params]
