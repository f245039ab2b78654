"""netforge: a Caffe-style deep-learning framework in Python whose heart is metric learning.

    >>> import numpy as np
    >>> import netforge as nf
    >>> solver = nf.Solver("solvers/siamese_digits.prototxt", max_iter=20, test_initialization=False)
    >>> solver.solve()
    <StopReason.FINISHED: 'finished'>
    >>> with nf.load("models/siamese_digits/train_val.prototxt", solver.snapshot().weights) as trained:
    ...     trained.embed(np.zeros((3, 8, 8), np.uint8)).shape
    (3, 32)

Nets are `Net`, training is `Solver`, those who listen to it extend `Listener`; `load` gives a trained net as a
`Recognizer` of images, `load_run` a `Run` with what its log tells. `netforge.sklearn` has an estimator for
scikit-learn.

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
    from netforge.inspect.run import Run
    from netforge.inspect.runs import load_run
    from netforge.layers import Layer, register_layer, slots
    from netforge.net import Net
    from netforge.recognition import Embedder, Recognizer, load
    from netforge.schema import setting
    from netforge.solver import Listener, Solver

__version__ = "0.1.0"

_HOMES = {
    "Blob": "netforge.blob",
    "Embedder": "netforge.recognition",
    "Layer": "netforge.layers",
    "Listener": "netforge.solver",
    "Net": "netforge.net",
    "Recognizer": "netforge.recognition",
    "Run": "netforge.inspect.run",
    "Solver": "netforge.solver",
    "load": "netforge.recognition",
    "load_run": "netforge.inspect.runs",
    "register_layer": "netforge.layers",
    "setting": "netforge.schema",
    "slots": "netforge.layers",
}

__all__ = [
    "Blob",
    "DataError",
    "DeviceError",
    "Embedder",
    "Layer",
    "Listener",
    "Net",
    "NetError",
    "NetforgeError",
    "NonFiniteError",
    "PluginError",
    "Recognizer",
    "Run",
    "SchemaError",
    "SettingsError",
    "ShapeError",
    "SnapshotError",
    "Solver",
    "SolverError",
    "UnknownNameError",
    "__version__",
    "load",
    "load_run",
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
