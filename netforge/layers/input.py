"""Layers where values enter a net without a data source, and where they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob
from netforge.device.random import RandomStream
from netforge.filler import FILLERS, check_filler, make_fill
from netforge.layers.base import Layer, register_layer, slots
from netforge.schema import messages


def _one_or_each(layer: Layer, what: str, given: Sequence[Any], tops: int, setting: str) -> list[Any]:
    """`given` once for all tops, or once for each; raises SettingsError for other numbers."""
    if len(given) not in (1, tops):
        raise layer.fail(
            f"{what} is given {len(given)} times for {tops} tops",
            setting=setting,
            mend="give it once for all tops, or once for each",
        )
    return list(given) * tops if len(given) == 1 else list(given)


@register_layer("Input", settings="input_param")
class Input(Layer):
    """Blobs that the caller fills. `shape`: once for all tops, once for each, or left to the caller."""

    bottoms = slots()
    tops = slots("x", more="more inputs")
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Give the tops their first shapes."""
        if self.settings.shape:
            shapes = _one_or_each(self, "shape", self.settings.shape, len(top), "input_param.shape")
            for blob, shape in zip(top, shapes, strict=True):
                blob.reshape(tuple(shape.dim))

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The caller decides."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The caller wrote the values."""

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """The caller reads the gradients."""


@register_layer("DummyData", settings="dummy_data_param")
class DummyData(Layer):
    """Blobs filled by fillers: random ones anew in each forward pass, constant ones once, so that they can be assigned.

    shape and data_filler (default constant 0): once for all tops, or once for each.
    """

    bottoms = slots()
    tops = slots("x", more="more blobs")
    differentiable = False
    backward_reads_top = True  # what is filled once must not be overwritten in place
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Give the tops their shapes, and prepare the fillers."""
        shapes = _one_or_each(self, "shape", self._shapes(), len(top), "dummy_data_param")
        fillers = list(self.settings.data_filler) or [messages.FillerParameter()]
        fillers = _one_or_each(self, "data_filler", fillers, len(top), "dummy_data_param.data_filler")
        self.shapes, self.fillers = shapes, fillers
        for blob, shape, filler in zip(top, shapes, fillers, strict=True):
            check_filler(filler, shape)
            blob.reshape(shape)
            if FILLERS.canonical(filler.type) == "constant":
                blob.data_storage.fill = make_fill(filler, shape, self.random, self.device)

    def _shapes(self) -> list[tuple[int, ...]]:
        s = self.settings
        old = [s.num, s.channels, s.height, s.width]
        if s.shape:
            if any(old):
                raise self.fail(
                    "shape and its old form are both given",
                    setting="dummy_data_param",
                    mend="remove num, channels, height and width",
                )
            return [tuple(shape.dim) for shape in s.shape]
        if not s.num or len({len(field) for field in old}) != 1:
            raise self.fail("shape is missing", setting="dummy_data_param", mend="give shape { dim: ... }")
        return list(zip(*old, strict=True))

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Shapes are fixed."""
        for blob, shape in zip(top, self.shapes, strict=True):
            blob.reshape(shape)

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Fill each random top; the pass number decides the draw."""
        for i, (blob, filler) in enumerate(zip(top, self.fillers, strict=True)):
            if blob.data_storage.fill is not None:
                _ = blob.data  # filled when first touched, and the caller's from then on
                continue
            stream = RandomStream(self.context.seed, f"{self.name}.data[{i}]")
            values = FILLERS[filler.type](filler, blob.shape, stream.generator(self.random.position))
            blob.data[...] = self.device.from_host(values.astype(self.dtype))
        self.random.position += 1

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """`feed` wrote the values."""


@register_layer("Parameter", settings="parameter_param")
class Parameter(Layer):
    """A learned weight as a top: starts at 0, and gets the top's gradient."""

    bottoms = slots()
    tops = slots("the weight, of parameter_param.shape")
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the weight."""
        self.add_weight(tuple(self.settings.shape.dim))

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top has the weight's shape."""
        top[0].reshape(self.weights[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the weight."""
        self.ops.copy(self.weights[0].data, top[0].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Add the gradient."""
        if self.learns(0):
            diff = self.weights[0].diff
            self.ops.weighted_sum([diff, top[0].diff], [1.0, 1.0], diff)


@register_layer("Silence")
class Silence(Layer):
    """Takes blobs out of the net's outputs; their gradient is zero."""

    bottoms = slots("any blob", more="more blobs")
    tops = slots()
    replayable = True

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """There is no top."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Nothing happens."""

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Zero gradients."""
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                self.ops.fill(blob.diff, 0.0)
