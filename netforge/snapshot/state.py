"""Files of solver state: .solverstate in protobuf or HDF5, Caffe's layout with netforge's own fields beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import SchemaError, SnapshotError
from netforge.schema import messages, parse_binary
from netforge.snapshot import files, hdf5, protobuf
from netforge.snapshot.weights import is_hdf5_name

LayerState = dict[str, Any]  # names to integers or NumPy arrays
NetState = dict[str, LayerState]  # layer names to what the layers remember

TRAIN_NET = -1  # test nets count from 0

_OWN_DATASET = "netforge"  # HDF5: netforge's own fields, as the bytes of a SolverState


@dataclass
class TrainingState:
    """What a solver needs to go on where it stopped, beyond the weights.

    iteration: finished updates. history: arrays of the update rule, the first for every learnable weight, then the
    second. learned_net: the file of weights as it was named when the state was written. current_step: for Caffe's
    multistep. seed: of the run, None in files of Caffe. losses: the window of average_loss, oldest first. nets: what
    the layers of the train net (TRAIN_NET) and of the test nets (0, 1 ...) remember; empty in files of Caffe.
    """

    iteration: int
    history: list[npt.NDArray[Any]]
    learned_net: str = ""
    current_step: int = 0
    seed: int | None = None
    losses: Sequence[float] = ()
    nets: dict[int, NetState] = field(default_factory=dict)


def save_state(state: TrainingState, path: str | Path) -> None:
    """Write a state, in HDF5 where the name ends in .h5; the file is replaced in one step.

    Raises SnapshotError where it cannot be written.
    """
    path = Path(path)
    write = _write_hdf5 if is_hdf5_name(path) else _write_protobuf
    files.write_snapshot(path, lambda partial: write(state, partial))


def load_state(path: str | Path) -> TrainingState:
    """Read a state; the format is told by the content. Raises SnapshotError where it is damaged or of another kind."""
    path = Path(path)
    is_hdf5 = files.check_kind(path, files.STATE)
    state = _read_hdf5(path) if is_hdf5 else _read_protobuf(path)
    if state.iteration < 0:
        raise SnapshotError(
            f"iteration {state.iteration} is negative", where=str(path), mend="the file is damaged: copy it again"
        )
    return state


def find_weights(state: TrainingState, path: str | Path) -> Path:
    """The file of weights that belongs to a state.

    A file of the recorded name beside the state comes first, so that a folder may be moved or copied as a whole; then
    the recorded path. A state that names none (MyCaffe's) goes with the file that has its own name but for the ending.
    Raises SnapshotError that names every place looked at.
    """
    path = Path(path)
    recorded = state.learned_net.replace("\\", "/")
    if recorded:
        candidates = [path.parent / Path(recorded).name, Path(recorded)]
    else:
        stem = path.name.split(".solverstate")[0]
        candidates = [path.parent / f"{stem}.caffemodel", path.parent / f"{stem}.caffemodel.h5"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise SnapshotError(
        "the weights of this state are not there, looked for "
        + " and ".join(str(c) for c in dict.fromkeys(candidates)),
        where=str(path),
        mend="put the .caffemodel file beside the state",
    )


def _write_protobuf(state: TrainingState, path: Path) -> None:
    message = _own_message(state)
    message.iter = state.iteration
    message.learned_net = state.learned_net
    message.current_step = state.current_step
    message.history.extend(protobuf.encode_blob(array) for array in state.history)
    protobuf.write_message(message, path)


def _read_protobuf(path: Path) -> TrainingState:
    message: Any = protobuf.read_message(messages.SolverState, path)
    where = str(path)
    history = [
        protobuf.decode_blob(blob, where, f"history {index}").read() for index, blob in enumerate(message.history)
    ]
    state = TrainingState(message.iter, history, message.learned_net, message.current_step)
    _take_own_fields(state, message, where)
    return state


def _write_hdf5(state: TrainingState, path: Path) -> None:
    with hdf5.opened(path, "w") as file:
        file.create_dataset("iter", data=np.array([state.iteration], np.int32))
        file.create_dataset("current_step", data=np.array([state.current_step], np.int32))
        hdf5.write_text(file, "learned_net", state.learned_net)
        history = file.create_group("history")
        for index, array in enumerate(state.history):
            history.create_dataset(str(index), data=array)
        file.create_dataset(_OWN_DATASET, data=np.frombuffer(_own_message(state).SerializeToString(), np.uint8))


def _read_hdf5(path: Path) -> TrainingState:
    where = str(path)
    with hdf5.opened(path) as file:
        stored = file["history"]
        state = TrainingState(
            iteration=int(np.ravel(file["iter"][()])[0]),
            history=[hdf5.read_array(stored[str(index)], path) for index in range(len(stored))],
            learned_net=hdf5.read_text(file["learned_net"]) if "learned_net" in file else "",
            current_step=int(np.ravel(file["current_step"][()])[0]) if "current_step" in file else 0,
        )
        own = hdf5.read_array(file[_OWN_DATASET], path).tobytes() if _OWN_DATASET in file else b""
    try:
        _take_own_fields(state, parse_binary(messages.SolverState, own, where), where)
    except SchemaError as error:
        raise _damaged(where, _OWN_DATASET) from error
    return state


def _own_message(state: TrainingState) -> Any:
    """A SolverState with netforge's own fields only."""
    message = messages.SolverState()
    if state.seed is not None:
        message.seed = state.seed
    message.recent_losses.extend(state.losses)
    for index, net in sorted(state.nets.items()):
        record = message.nets.add(index=index, net="train" if index == TRAIN_NET else "test")
        for layer, values in net.items():
            written = record.layers.add(layer=layer)
            written.values.extend(_encode_value(key, value) for key, value in values.items())
    return message


def _take_own_fields(state: TrainingState, message: Any, where: str) -> None:
    state.seed = message.seed if message.HasField("seed") else None
    state.losses = tuple(message.recent_losses)
    for record in message.nets:
        state.nets[record.index] = {
            layer.layer: {value.key: _decode_value(value, where) for value in layer.values} for layer in record.layers
        }


def _encode_value(key: str, value: Any) -> Any:
    if isinstance(value, int | np.integer):
        return messages.StateValue(key=key, integer=int(value))
    array = np.ascontiguousarray(value)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return messages.StateValue(key=key, data=array.tobytes(), dtype=array.dtype.str, shape=np.shape(value))


def _decode_value(value: Any, where: str) -> Any:
    if not value.HasField("data"):
        return value.integer
    try:
        dtype = np.dtype(value.dtype)
        if dtype.kind not in "biuf":
            raise TypeError(value.dtype)
        return np.frombuffer(value.data, dtype).reshape(tuple(value.shape)).copy()
    except (TypeError, ValueError) as error:
        raise _damaged(where, value.key) from error


def _damaged(where: str, what: str) -> SnapshotError:
    return SnapshotError(
        f'"{what}" in the state is damaged', where=where, mend="copy the file again, or use an older snapshot"
    )
