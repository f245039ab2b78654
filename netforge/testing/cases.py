"""Cases to try a layer on, and a layer outside any net."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.device import Device, get_device
from netforge.layers.base import LAYERS, Layer, LayerContext
from netforge.schema import LayerDefinition, parse_net

Array = npt.NDArray[Any]
Values = Callable[[np.random.Generator, tuple[int, ...]], Array]

UNUSED = 7.0
"""What diffs hold before backward, so that one that is not written, or not added to, shows."""


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal values of any shape, float64, none nearer than 0.05 to 0, where many functions have a kink."""
    values = rng.standard_normal(shape)
    return values + np.copysign(0.05, values)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values in [0.2, 1.2), of any shape, float64."""
    return rng.random(shape) + 0.2


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values in [-1, 1), any shape, float64, in random order; they differ by 2 / count or more: no ties."""
    count = math.prod(shape)
    return rng.permutation(np.linspace(-1, 1, count, endpoint=False)).reshape(shape)


def labels(classes: int) -> Values:
    """Whole numbers from 0 to classes - 1; every class appears where there is room."""

    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.permutation(np.arange(math.prod(shape)) % classes).astype(np.float64).reshape(shape)

    return make


def exactly(values: Any) -> Values:
    """The given values, cut or repeated to the shape."""
    return lambda rng, shape: np.resize(np.asarray(values, np.float64), shape)


@dataclass(frozen=True)
class LayerCase:
    """One layer with bottoms to try it on.

    id: name of the case. layer: prototxt of the layer, what stands between the braces of `layer { ... }`.
    bottoms, tops: their shapes. values: a maker of values for each bottom (`normal` where None or missing).
    phase: TRAIN, TEST or RUN. batch_axis: the axis along which items are counted, in the bottoms of `batched` (None:
    all that have as many there as the first); None where the number of items is fixed. zero_gradient: bottoms whose
    gradient is zero by definition. tolerance: of gradients. loose: factor on the tolerance of float32.
    """

    id: str
    layer: str
    bottoms: Sequence[tuple[int, ...]]
    tops: Sequence[tuple[int, ...]]
    values: Sequence[Values | None] = ()
    phase: str = "TRAIN"
    batch_axis: int | None = 0
    batched: tuple[int, ...] | None = None
    zero_gradient: tuple[int, ...] = ()
    tolerance: float = 1e-5
    loose: float = 1.0

    def inputs(self, seed: int = 0) -> list[Array]:
        """Values for the bottoms, the same for the same seed."""
        rng = np.random.default_rng(seed)
        makers = [*self.values, *[None] * (len(self.bottoms) - len(self.values))]
        return [(make or normal)(rng, shape) for make, shape in zip(makers, self.bottoms, strict=True)]

    def items(self, arrays: Sequence[Array], keep: slice) -> list[Array]:
        """The inputs cut to some of their items."""
        axis = self.batch_axis
        assert axis is not None
        size = arrays[0].shape[axis]
        batched = self.batched or tuple(
            i for i, array in enumerate(arrays) if array.ndim > axis and array.shape[axis] == size
        )
        index = (*(slice(None) for _ in range(axis)), keep)
        return [np.ascontiguousarray(array[index]) if i in batched else array for i, array in enumerate(arrays)]


class LayerRun:
    """A layer outside any net, with blobs of its own.

    layer: prototxt of it (with or without `layer { }`), or a LayerDefinition. inputs: values of the bottoms. tops: how
    many; None takes what the layer names. weights: values to start from; None draws normal ones for learnable weights.
    device: its name, or a Device; values go in and come out as NumPy arrays all the same.
    """

    def __init__(
        self,
        layer: str | LayerDefinition,
        inputs: Sequence[npt.ArrayLike],
        *,
        phase: str = "TRAIN",
        dtype: npt.DTypeLike = np.float64,
        in_place: bool = False,
        seed: int = 1,
        weights: Sequence[Array] | None = None,
        device: str | Device = "cpu",
    ) -> None:
        definition = layer_definition(layer)
        self.device = device = get_device(device) if isinstance(device, str) else device
        self.dtype = np.dtype(dtype)
        context = LayerContext(phase, device, self.dtype, seed)
        self.layer: Layer = LAYERS[definition.type](definition, context)
        arrays = [np.asarray(array) for array in inputs]
        names = list(definition.message.bottom)
        self.bottom = [
            Blob(array.shape, device=device, dtype=dtype, name=names[i] if i < len(names) else f"bottom{i}")
            for i, array in enumerate(arrays)
        ]
        count = max(len(definition.message.top), 1 if self.layer.is_loss else 0)
        self.top = [
            self.bottom[0] if in_place and i == 0 else Blob(device=device, dtype=dtype, name=f"top{i}")
            for i in range(count)
        ]
        self.layer.setup(self.bottom, self.top)
        self.layer.reshape(self.bottom, self.top)
        self.feed(arrays)
        self._fill_weights(weights, seed)
        self.start = self._state()

    def _fill_weights(self, values: Sequence[Array] | None, seed: int) -> None:
        rng = np.random.default_rng(seed + 1)
        for i, blob in enumerate(self.layer.weights):
            if values is not None:
                blob.reshape(values[i].shape)
                self._write(blob.data, values[i])
            elif blob.learnable:
                self._write(blob.data, 0.5 * normal(rng, blob.shape))

    def _write(self, target: Any, values: npt.ArrayLike) -> None:
        target[...] = self.device.from_host(np.asarray(values, self.dtype))

    def _read(self, array: Any) -> Array:
        return np.array(self.device.to_host(array))

    def _state(self) -> tuple[dict[str, Any], list[Array]]:
        return self.layer.state(), [self._read(blob.data) for blob in self.layer.weights]

    def feed(self, arrays: Sequence[Array]) -> None:
        """Give the bottoms values, of other shapes than before where wanted."""
        for blob, array in zip(self.bottom, arrays, strict=True):
            blob.reshape(np.shape(array))
            self._write(blob.data, array)

    def rewind(self) -> None:
        """Take back draws, running sums and carried states, so that a forward repeats the first one."""
        state, weights = self.start
        self.layer.restore(state)
        for blob, values in zip(self.layer.weights, weights, strict=True):
            if not blob.learnable:
                blob.reshape(values.shape)
                self._write(blob.data, values)

    def forward(self) -> list[Array]:
        """Run forward from the starting state, and return copies of the tops."""
        self.rewind()
        return self.step()

    def step(self) -> list[Array]:
        """Reshape, feed and run forward from where the layer stands, and return copies of the tops."""
        self.layer.reshape(self.bottom, self.top)
        self.layer.feed(self.bottom, self.top)
        self.layer.forward(self.bottom, self.top)
        return [self._read(blob.data) for blob in self.top]

    def wanted(self) -> list[bool]:
        """Which bottoms can get a gradient."""
        return [self.layer.differentiable and i not in self.layer.blocked_bottoms for i in range(len(self.bottom))]

    def learnable(self) -> list[Blob]:
        """The weights that can get a gradient."""
        return [blob for blob in self.layer.weights if blob.learnable] if self.layer.differentiable else []

    def backward(self, top_diffs: Sequence[Array]) -> tuple[list[Array | None], list[Array]]:
        """Gradients of bottoms (None where there is none) and of learnable weights, for these gradients of the tops.

        Diffs are full of other numbers before, so that a gradient that is not written, or not added, shows.
        """
        for blob in [*self.bottom, *self.learnable()]:
            blob.diff[...] = UNUSED
        for blob, diff in zip(self.top, top_diffs, strict=True):
            self._write(blob.diff, diff)
        wanted = self.wanted()
        self.layer.backward(self.top, wanted, self.bottom)
        bottoms = [self._read(blob.diff) if flag else None for blob, flag in zip(self.bottom, wanted, strict=True)]
        return bottoms, [self._read(blob.diff) - UNUSED for blob in self.learnable()]


def layer_definition(layer: str | LayerDefinition) -> LayerDefinition:
    """The definition that a text stands for."""
    if isinstance(layer, LayerDefinition):
        return layer
    return parse_net(layer if layer.lstrip().startswith("layer") else f"layer {{ {layer} }}").layers[0]
