"""A net: layers joined by blobs, built from a prototxt for one phase."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

import netforge.layers  # noqa: F401  registers the built-in layers
from netforge.blob import Blob
from netforge.data.sources.in_memory import InMemory, sources_in_memory
from netforge.device import get_device
from netforge.device.base import Device
from netforge.errors import NetError, did_you_mean
from netforge.layers.base import Layer, LayerContext
from netforge.net import build, values, weights
from netforge.net.gradients import route
from netforge.net.memory import lay_out
from netforge.net.replay import Replay
from netforge.net.runner import Runner
from netforge.net.running import for_one_image, running_definition
from netforge.net.summary import LayerSummary, summarise
from netforge.net.wiring import Value, wire
from netforge.schema import NetDefinition, merge_state, read_net

if TYPE_CHECKING:
    from netforge.snapshot import LoadReport

M = TypeVar("M", bound=Callable[..., Any])


def on_device(method: M) -> M:
    """Method decorator: run while the net's device is current."""

    @wraps(method)
    def run(net: Net, *args: Any, **options: Any) -> Any:
        with net.device.running():
            return method(net, *args, **options)

    return cast(M, run)


class Net:
    """A net for one phase, ready to run.

    source: a prototxt's path, a NetParameter message, or a NetDefinition. phase: "TRAIN", "TEST" or "RUN"; RUN is
    derived from a training file where that has no Input layer. level: None keeps the file's; stages are added to the
    file's. device: "cpu", "cuda:N", "auto", or a Device. weights: a file, or several, loaded in order. dtype: float32,
    or float64 for gradient checks. seed: of everything random; None draws a fresh one, kept in `.seed`. plugins:
    modules that register layers. plan_only: open data sources no further than their headers; shapes are known, nothing
    can run. sources: what Data layers read in place of the sources of these names, each a Source or (images, labels).

    Raises a NetforgeError that names file, line, layer and mend where the net cannot be built. No array is made before
    the first value is needed.
    """

    def __init__(
        self,
        source: str | Path | NetDefinition | Any,
        phase: str = "TEST",
        level: int | None = None,
        stages: Sequence[str] = (),
        device: str | Device = "cpu",
        weights: str | Path | Sequence[str | Path] | None = None,
        *,
        dtype: npt.DTypeLike = np.float32,
        seed: int | None = None,
        plugins: Sequence[str] = (),
        plan_only: bool = False,
        sources: Mapping[str, InMemory] | None = None,
    ) -> None:
        self.phase = str(phase).upper()
        self.seed = secrets.randbits(63) if seed is None else seed
        self.device = get_device(device) if isinstance(device, str) else device
        self.dtype = np.dtype(dtype)
        whole = read_net(source, plugins=plugins)
        with sources_in_memory(sources):
            if self.phase == "RUN":
                self.definition = running_definition(whole, level, stages)
            else:
                self.definition = whole.select(merge_state(whole, self.phase, level, tuple(stages)))
            self.name: str = self.definition.name
            with for_one_image() if self.phase == "RUN" else nullcontext():
                self._build(plan_only)
        try:
            self._connect()
            for path in [weights] if isinstance(weights, str | Path) else weights or ():
                self.copy_from(path)
        except BaseException:
            self.close()
            raise

    def _build(self, plan_only: bool) -> None:
        definition = self.definition
        if not definition.layers:
            raise NetError(f"no layer is left for phase {self.phase}", where=definition.place)
        self._wiring = wire(definition.layers)
        unread = build.unread_settings(definition.layers, self._wiring)
        self.definition = replace(definition, notes=(*definition.notes, *unread))
        self._loss_weights = build.loss_weights(definition.layers, self._wiring)
        self._memory = lay_out(self._wiring, set(self._loss_weights), self.device, self.dtype)
        context = LayerContext(self.phase, self.device, self.dtype, self.seed, definition.folder, plan_only)
        self.layers: list[Layer] = build.make_layers(definition.layers, self._wiring, self._memory, context)

    def _connect(self) -> None:
        """All that needs the layers' weights and shapes: sharing, gradients, names."""
        force = bool(self.definition.message.force_backward)
        weights.check_names(self.layers)
        self.learnable, self._behind = weights.gather_weights(self.layers, force=force)
        self._flat = weights.flatten(self.learnable, self.device, self.dtype)
        routing = route(self._wiring, self.layers, set(self._loss_weights), force=force)
        of = self._memory.of
        entries = [top for layer, tops in self._each_tops() if layer.type == "Input" for top in tops]
        self.inputs = [value.name for value in entries]
        # The newest value of a name, but of an input the first: that is the one to write into, should a layer that
        # rewrites it in place have got memory of its own.
        self.blobs: dict[str, Blob] = {value.name: of[value] for value in (*self._wiring.values, *entries)}
        self.params: dict[str, list[Blob]] = {layer.name: layer.weights for layer in self.layers if layer.weights}
        self.outputs = [value.name for value in self._wiring.outputs]
        self.loss_weights = {value.name: weight for value, weight in self._loss_weights.items()}
        self._runner = Runner(self.layers, self._wiring, self._memory, routing, self._loss_weights)

    def _each_tops(self) -> Iterator[tuple[Layer, tuple[Value, ...]]]:
        return zip(self.layers, self._wiring.tops, strict=True)

    def __repr__(self) -> str:
        return f"Net({self.name!r}, phase={self.phase}, {len(self.layers)} layers, device={self.device.name})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of the layers and a diagram."""
        from netforge.inspect import notebook

        return notebook.net_html(self)

    # --- running ---------------------------------------------------------------------------------------------------

    @on_device
    def forward(
        self, start: str | None = None, end: str | None = None, **inputs: npt.ArrayLike
    ) -> dict[str, npt.NDArray[Any]]:
        """Run layers `start` to `end` (names, both included; all by default) and return the outputs.

        inputs: values for input blobs; a blob takes the shape of what it is given.
        Returns a copy of each output of the net as a NumPy array, by blob name; with `end`, the tops of that layer.
        Raises NetError for unknown names, ShapeError where an input does not fit the layers.
        """
        self._set_inputs(inputs)
        if start is None and end is None:
            self.forward_pass()
            return self.output_values()
        first, last = self._range(start, end)
        for number in range(first, last + 1):
            self._runner.forward(number)
        if end is not None:
            return self._values(self._wiring.tops[last])
        return self.output_values()

    @on_device
    def backward(
        self, start: str | None = None, end: str | None = None, **diffs: npt.ArrayLike
    ) -> dict[str, npt.NDArray[Any]]:
        """Run layers backward from `start` down to `end` (names, both included; all by default).

        diffs: gradients of output blobs; outputs not named get 0, or their loss weight. Without any, outputs keep what
        was written into `blobs[name].diff`; so do the tops of layer `start`. Weight gradients are added up: call
        `clear_weight_diffs` between batches. Returns a copy of the gradient of every input blob.
        Raises NetError for unknown names, ShapeError where a gradient has another shape than its blob.
        """
        for name in diffs:
            if name not in self.outputs:
                raise NetError(f'"{name}" is not an output of the net', mend=did_you_mean(name, self.outputs))
        for value in self._wiring.outputs if diffs else ():
            blob = self._memory.of[value]
            given = values.as_array(value.name, diffs.get(value.name, np.zeros(blob.shape)))
            values.write(value.name, blob, blob.diff, given)
        self._runner.seeded = frozenset(diffs)
        try:
            if start is None and end is None:
                self._runner.backward_pass()
            else:
                first, last = self._range(end, start)
                for number in range(last, first - 1, -1):
                    self._runner.backward(number, gather=start is None or number < last)
        finally:
            self._runner.seeded = frozenset()
        return {name: self.device.to_host(self.blobs[name].diff).copy() for name in self.inputs}

    @on_device
    def forward_pass(self) -> None:
        """Feed every layer, then run it once, towers as one; nothing is read back from the device.

        From the third time on a device that can repeats what it recorded, see `replay`.
        """
        self.feed_pass()
        self.replay.run(self.compute_pass)

    @on_device
    def feed_pass(self) -> None:
        """The first half of `forward_pass`: every layer brings what the next pass needs from the host."""
        self._runner.feed_pass()

    @on_device
    def compute_pass(self) -> None:
        """The second half of `forward_pass`: run every layer once, after `feed_pass`."""
        self._runner.compute_pass()

    @cached_property
    def replay(self) -> Replay:
        """Runs passes of this net, as recorded graphs where the device and all layers allow it."""
        return Replay(self._runner, self.device)

    @on_device
    def backward_pass(self) -> None:
        """Run every layer that a gradient passes through, last to first; weight gradients are added up."""
        self._runner.backward_pass()

    @on_device
    def forward_layer(self, number: int) -> None:
        """Run one layer forward, after giving its tops the shapes that its bottoms now ask for."""
        self._runner.forward(number)

    @on_device
    def backward_layer(self, number: int) -> None:
        """Run one layer backward, if a gradient passes through it, after adding up the gradients of its tops."""
        self._runner.backward(number)

    def reshape(self) -> None:
        """Hand shapes through all layers again, after an input blob was reshaped; no values are computed."""
        self._runner.reshape()

    def _range(self, start: str | None, end: str | None) -> tuple[int, int]:
        names = [layer.name for layer in self.layers]
        for name in (start, end):
            if name is not None and name not in names:
                raise NetError(f'the net has no layer "{name}"', mend=did_you_mean(name, names))
        first = names.index(start) if start is not None else 0
        last = len(names) - 1 - names[::-1].index(end) if end is not None else len(names) - 1
        return first, last

    def _set_inputs(self, inputs: dict[str, npt.ArrayLike]) -> None:
        for name, given in inputs.items():
            if name not in self.inputs:
                raise NetError(f'"{name}" is not an input of the net', mend=did_you_mean(name, self.inputs))
            array = values.as_array(name, given)
            blob = self.blobs[name]
            if array.shape != blob.shape:
                blob.reshape(array.shape)
                build.spread_shapes([value for value, own in self._memory.of.items() if own is blob], self._memory)
            values.write(name, blob, blob.data, array)

    # --- what came out ---------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait for the device, and raise for what layers found wrong there since the last time, such as a bad label.

        Whatever reads results calls this first; on a host, passes raise at once.
        """
        for layer in self.layers:
            layer.settle()

    @on_device
    def diagnose(self) -> list[tuple[Layer, str]]:
        """What layers find wrong with the training, judged by the newest pass: the layer, and its words."""
        found = [
            (layer, layer.diagnose(self._memory.bottoms[number], self._memory.tops[number]))
            for number, layer in enumerate(self.layers)
        ]
        return [(layer, text) for layer, text in found if text]

    def loss(self) -> float:
        """The weighted sum of all losses of the newest forward pass."""
        self.settle()
        total = 0.0
        for value, weight in self._loss_weights.items():
            data = self.device.to_host(self._memory.of[value].data)
            total += weight * float(data.sum() if data.ndim else data)
        return total

    def output_values(self) -> dict[str, npt.NDArray[Any]]:
        """A copy of every output of the newest forward pass, by blob name in alphabetical order."""
        self.settle()
        return self._values(self._wiring.outputs)

    def _values(self, wanted: Sequence[Value]) -> dict[str, npt.NDArray[Any]]:
        return {value.name: self.device.to_host(self._memory.of[value].data).copy() for value in wanted}

    def find_nonfinite(self) -> tuple[str, str] | None:
        """The first layer, and the blob or weight in it, that holds NaN or infinity; None where all is finite."""
        return values.find_nonfinite(self.layers, self._memory.tops, self.device)

    def describe(self) -> list[LayerSummary]:
        """One row a layer: shapes, weights, memory, multiply-adds; no arrays are needed."""
        return summarise(self.layers, self._memory, self._behind)

    # --- weights and state -----------------------------------------------------------------------------------------

    @property
    def flat_weights(self) -> weights.FlatWeights:
        """All learnable weights as one array, filled; `learnable[i].offset` and `.size` say where each lies."""
        for entry in self.learnable:
            _ = entry.blob.data
        return self._flat

    @on_device
    def clear_weight_diffs(self) -> None:
        """Set the gradient of every learnable weight to zero."""
        self.device.ops.fill(self._flat.diff, 0.0)

    def share_weights(self, other: Net) -> None:
        """Use the weights of the layers of the same name in `other`; raises ShapeError where shapes differ.

        Shapes are those of this moment: once a table of classes (Decode) has grown there, this net needs another call.
        """
        weights.share_weights(self.layers, other.layers)

    def save(self, path: str | Path) -> None:
        """Write all weights to a .caffemodel (HDF5 where the name ends in .h5)."""
        from netforge import snapshot

        snapshot.save_weights(self, path)

    def copy_from(self, path: str | Path) -> LoadReport:
        """Load weights by layer name; returns what was loaded, skipped and missing. Raises SnapshotError."""
        from netforge import snapshot

        return snapshot.load_weights(self, path)

    def state(self) -> dict[str, dict[str, Any]]:
        """What an exact resume needs beyond weights, per layer."""
        return {layer.name: layer.state() for layer in self.layers}

    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Take back what `state` gave; layers that it does not name start afresh."""
        for layer in self.layers:
            if layer.name in state:
                layer.restore(state[layer.name])

    def close(self) -> None:
        """Let go of threads and open files."""
        for layer in self.layers:
            layer.close()

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
