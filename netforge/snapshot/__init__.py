"""Files of weights (.caffemodel) and of solver state (.solverstate), in protobuf and HDF5, as Caffe lays them out.

Every file is written beside its final name, synced and renamed: a crash at any moment leaves the last whole one.
"""

from __future__ import annotations

from netforge.snapshot.files import check_writable
from netforge.snapshot.state import TRAIN_NET, TrainingState, find_weights, load_state, save_state
from netforge.snapshot.weights import LoadReport, LoadRow, LoadStatus, load_weights, save_weights, stored_layers

__all__ = [
    "TRAIN_NET",
    "LoadReport",
    "LoadRow",
    "LoadStatus",
    "TrainingState",
    "check_writable",
    "find_weights",
    "load_state",
    "load_weights",
    "save_state",
    "save_weights",
    "stored_layers",
]
