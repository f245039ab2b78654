"""Snapshots of a solver: what goes into them, and how a solver takes it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge import snapshot
from netforge.blob import Blob
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
    arranged = arrange_histories(solver, state.history, path)
    report = solver.net.copy_from(snapshot.find_weights(state, path))
    for flat, where, array in arranged:
        flat[where] = solver.device.from_host(np.asarray(array, solver.net.dtype).ravel())
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
    """The update rule's arrays in Caffe's order: the first of each weight in file order, then the second.

    Caffe keeps them for statistics (BatchNorm's) as well, where they stay zero; so do we, that it can read our states.
    """
    to_host = solver.device.to_host
    places = _history_places(solver.net)
    return [
        np.zeros(blob.shape, solver.net.dtype) if where is None else to_host(flat[where]).reshape(blob.shape).copy()
        for flat in solver.buffers.histories
        for blob, where in places
    ]


def _history_places(net: Net) -> list[tuple[Blob, slice | None]]:
    """The weights that have histories in a state, shared ones once, each with its place in the flat arrays.

    The place is None for statistics. Weights that take the shape of the data (Decode's) have no histories.
    """
    flat = {id(entry.blob): slice(entry.offset, entry.offset + entry.size) for entry in net.learnable}
    owners = {id(blob.data_storage): blob for layer in reversed(net.layers) for blob in reversed(layer.weights)}
    blobs = [blob for layer in net.layers for blob in layer.weights]
    return [(b, flat.get(id(b))) for b in blobs if owners[id(b.data_storage)] is b and not b.resizable]


def arrange_histories(
    solver: Solver, history: list[npt.NDArray[Any]], path: Path
) -> list[tuple[Any, slice, npt.NDArray[Any]]]:
    """Say which array goes where: (flat array, part, values); MyCaffe's states leave statistics out.

    Raises SnapshotError where the arrays belong to another net or another rule.
    """
    flats = solver.buffers.histories
    every = _history_places(solver.net)
    learning = [(blob, where) for blob, where in every if where is not None]
    places = every if len(history) == len(every) * len(flats) else learning
    if len(history) != len(places) * len(flats):
        raise SnapshotError(
            f"{len(history)} history arrays, expected {len(every) * len(flats)} "
            f'({len(every)} weights, {len(flats)} for each with type "{solver.settings.type}")',
            where=str(path),
            mend="resume with the net and the solver type that wrote this state",
        )
    arranged = []
    targets = [(flat, blob, where) for flat in flats for blob, where in places]
    for (flat, blob, where), array in zip(targets, history, strict=True):
        if array.size != blob.count:
            raise SnapshotError(
                f'history of weight "{blob.name}" has shape {array.shape}, the weight has {blob.shape}',
                where=str(path),
                mend="resume with the net that wrote this state",
            )
        if where is not None:
            arranged.append((flat, where, array))
    return arranged


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
