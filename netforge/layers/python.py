"""The Python layer: classes written for pycaffe, named by `python_param { module layer param_str }`.

Such a class extends `caffe.Layer`. Where no caffe is installed, a small module of that name stands in for it while the
class's module is imported: it offers `Layer`, `TRAIN` and `TEST`, which is what Python layers use.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from netforge.blob import Blob
from netforge.errors import PluginError, UnknownNameError, did_you_mean
from netforge.layers.base import Layer, register_layer, slots

PHASES = {"TRAIN": 0, "TEST": 1, "RUN": 1}


class LegacyBlob:
    """A blob as pycaffe shows it: host arrays `data` and `diff`, and the 4-axis names of old code."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    @property
    def data(self) -> Any:
        """The values."""
        return self._blob.data

    @property
    def diff(self) -> Any:
        """The gradient."""
        return self._blob.diff

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return self._blob.shape

    @property
    def count(self) -> int:
        """Number of elements."""
        return self._blob.count

    def reshape(self, *shape: int) -> None:
        """Take another shape."""
        self._blob.reshape(*shape)

    def _axis(self, index: int) -> int:
        return self.shape[index] if index < len(self.shape) else 1

    num = property(lambda self: self._axis(0), doc="Size of axis 0.")
    channels = property(lambda self: self._axis(1), doc="Size of axis 1.")
    height = property(lambda self: self._axis(2), doc="Size of axis 2.")
    width = property(lambda self: self._axis(3), doc="Size of axis 3.")


class PycaffeLayer:
    """What `caffe.Layer` is to a Python layer: a base class with `param_str`, `phase` and `blobs`."""

    param_str: str = ""
    phase: int = 0
    blobs: Any = ()

    def setup(self, bottom: Any, top: Any) -> None:
        """Check parameters."""

    def reshape(self, bottom: Any, top: Any) -> None:
        """Give tops their shapes."""

    def forward(self, bottom: Any, top: Any) -> None:
        """Write the data of tops."""

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Write the diffs of bottoms."""


class WeightList(list[LegacyBlob]):
    """`self.blobs` of a Python layer: `add_blob(*shape)` declares a weight, filled with zeros."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._layer = layer

    def add_blob(self, *shape: int) -> None:
        """Declare the next weight."""
        self.append(LegacyBlob(self._layer.add_weight(tuple(shape))))


def pycaffe_module() -> ModuleType:
    """The stand-in for `caffe` that Python layers import."""
    module = ModuleType("caffe", "What Python layers need of pycaffe, provided by netforge.")
    module.__dict__.update(Layer=PycaffeLayer, TRAIN=PHASES["TRAIN"], TEST=PHASES["TEST"])
    return module


@register_layer("Python", settings="python_param")
class Python(Layer):
    """Run a class written for pycaffe: setup, reshape, forward and backward are its own.

    bottoms and tops: whatever the class wants. It sees NumPy arrays, so it runs on the CPU only.
    """

    bottoms = slots(more="whatever the class takes")
    tops = slots(more="whatever the class makes")
    dynamic_shape = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Import the class, make one, and call its `setup`."""
        if self.xp is not np:
            raise self.fail("Python layers run on the CPU only", mend="use --device cpu, or write a netforge layer")
        self._inner = self._load_class()()
        self._inner.param_str = self.settings.param_str
        self._inner.phase = PHASES[self.phase]
        self._inner.blobs = WeightList(self)
        self._bottom = [LegacyBlob(blob) for blob in bottom]
        self._top = [LegacyBlob(blob) for blob in top]
        self._inner.setup(self._bottom, self._top)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Call the class's `reshape`."""
        self._inner.reshape(self._bottom, self._top)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Call the class's `forward`."""
        self._inner.forward(self._bottom, self._top)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Call the class's `backward`."""
        self._inner.backward(self._top, list(propagate_down), self._bottom)

    def _load_class(self) -> Any:
        name, cls = self.settings.module, self.settings.layer
        for field, value in (("module", name), ("layer", cls)):
            if not value:
                raise self.fail(f"python_param needs {field}", setting=f"python_param.{field}", mend="name it")
        module = self._import(name)
        if not hasattr(module, cls):
            raise self.fail(
                f'module "{name}" has no class "{cls}"',
                setting="python_param.layer",
                error=UnknownNameError,
                mend=did_you_mean(cls, [key for key, value in vars(module).items() if isinstance(value, type)]),
            )
        return getattr(module, cls)

    def _import(self, name: str) -> ModuleType:
        """Import a module from the search path or from beside the net's file."""
        if "caffe" not in sys.modules and find_spec("caffe") is None:
            sys.modules["caffe"] = pycaffe_module()
        folder = str(self.context.folder or "")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module(name)
        except Exception as error:
            raise self.fail(
                f'module "{name}" cannot be imported: {type(error).__name__}: {error}',
                setting="python_param.module",
                error=PluginError,
                mend="install it, put it beside the prototxt, or correct its name",
            ) from error
        finally:
            sys.path.remove(folder)
