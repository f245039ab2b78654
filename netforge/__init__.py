"""netforge: a Caffe-style deep-learning framework in Python whose heart is metric learning.

    net = netforge.Net("models/siamese_mnist/train_val.prototxt", phase="RUN", weights="mnist.caffemodel")
    solver = netforge.Solver("solvers/siamese_digits.prototxt")

What is listed in `__all__` is public. Parts are imported when they are first used, so that `import netforge` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netforge.errors import (
    DataError,
    DeviceError,
    NetError,
    NetforgeError,
    NonFiniteError,
    PluginError,
    SchemaError,
    SettingsError,
    ShapeError,
    SnapshotError,
    SolverError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from netforge.blob import Blob
    from netforge.layers import Layer, register_layer, slots
    from netforge.net import Net
    from netforge.schema import setting
    from netforge.solver import Listener, Solver

__version__ = "0.1.0"

_HOMES = {
    "Blob": "netforge.blob",
    "Layer": "netforge.layers",
    "Listener": "netforge.solver",
    "Net": "netforge.net",
    "Solver": "netforge.solver",
    "register_layer": "netforge.layers",
    "setting": "netforge.schema",
    "slots": "netforge.layers",
}

__all__ = [
    "Blob",
    "DataError",
    "DeviceError",
    "Layer",
    "Listener",
    "Net",
    "NetError",
    "NetforgeError",
    "NonFiniteError",
    "PluginError",
    "SchemaError",
    "SettingsError",
    "ShapeError",
    "SnapshotError",
    "Solver",
    "SolverError",
    "UnknownNameError",
    "__version__",
    "register_layer",
    "setting",
    "slots",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netforge' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
