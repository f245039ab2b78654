"""Recording what a net does in each pass and repeating it: the host then says "again" instead of queueing every launch.

A net can be recorded where its device can capture and each of its layers is `replayable`. Everything else runs as ever;
`Replay.obstacle` says why.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from netforge.blob import Blob, Storage
from netforge.device.base import Device, Graph
from netforge.errors import DeviceError, NetforgeError

if TYPE_CHECKING:
    from netforge.layers.base import Layer
    from netforge.net.runner import Runner

Step = Callable[[], None]

logger = logging.getLogger("netforge")

WARM_UP = 2
"""How often a step runs as ever before it is recorded: it takes its memory, and lets libraries choose algorithms."""


class Replay:
    """Runs steps of a net, from the third time on as recorded graphs.

    A step is a function without arguments that does the same work on the same memory each time; the steps of one `run`
    are one graph. Where a blob has got another shape or other memory since, graphs are dropped. Only runs with the
    shapes of now count: batches of changing sizes run as ever.

    obstacle: why nothing is recorded, with the layer at fault; None where all is.
    """

    def __init__(self, runner: Runner, device: Device) -> None:
        self.obstacle = find_obstacle(runner.layers, device)
        self._runner, self._device = runner, device
        self._layout: Layout | None = None
        self._shapes: list[tuple[int, ...]] = []
        self._runs: Counter[Hashable] = Counter()
        self._graphs: dict[tuple[Hashable, ...], Graph] = {}

    def refuse(self, reason: str) -> None:
        """Run everything as ever from now on, for this reason, unless there is another one already."""
        self.obstacle = self.obstacle or reason
        self._graphs.clear()

    def run(self, *steps: Step) -> None:
        """Do the steps, one after another."""
        if self.obstacle is not None:
            _do(steps)
            return
        keys = tuple(map(_key, steps))
        graph = self._graph(keys, steps) if self._ready(keys) else None
        if graph is not None:
            graph.launch()
            self._runner.note_replay()
        else:
            _do(steps)
            self._count(keys)

    def _count(self, keys: tuple[Hashable, ...]) -> None:
        shapes = self._shapes_now()
        if shapes != self._shapes:
            self._shapes = shapes
            self._runs.clear()
        self._runs.update(keys)

    def _shapes_now(self) -> list[tuple[int, ...]]:
        return [blob.shape for blob in self._runner.blobs()]

    def _ready(self, keys: tuple[Hashable, ...]) -> bool:
        """Whether graphs that there are fit what the net is now, and these steps ran often enough."""
        if self._layout is not None and not self._layout.holds():
            self._layout = None
            self._graphs.clear()
            self._runs.clear()
        known = all(self._runs[key] >= WARM_UP for key in keys)
        return known and (self._layout is not None or self._shapes == self._shapes_now())

    def _graph(self, keys: tuple[Hashable, ...], steps: tuple[Step, ...]) -> Graph | None:
        """The graph of these steps, captured when first asked for; None where that fails, which is said once."""
        if keys not in self._graphs:
            self._layout = layout = self._layout or Layout(self._runner.blobs())
            try:
                graph = self._device.capture(lambda: _do(steps))
                if not layout.holds():
                    raise DeviceError("a layer took memory, or changed a shape, in a pass like those before")
            except NetforgeError as error:
                self.refuse(str(error))
                logger.warning("iterations run launch by launch: %s", error)
                return None
            self._graphs[keys] = graph
        return self._graphs[keys]


def _key(step: Step) -> Hashable:
    """Stands for a step; a method does not keep its object, which may be the net that owns this."""
    return WeakMethod(step) if isinstance(step, MethodType) else step


def _do(steps: Sequence[Step]) -> None:
    for step in steps:
        step()


class Layout:
    """The shapes of blobs, and the memory that each of them lies in, at one moment."""

    def __init__(self, blobs: Sequence[Blob]) -> None:
        self._changes = Storage.changes
        self._places = [(blob, *_place(blob)) for blob in blobs]

    def holds(self) -> bool:
        """Whether all of that is as it was."""
        changes = Storage.changes
        if changes == self._changes:
            return True
        for blob, shape, data, diff in self._places:
            place = _place(blob)
            if place[0] != shape or place[1] is not data or place[2] is not diff:
                return False
        self._changes = changes
        return True


def _place(blob: Blob) -> tuple[tuple[int, ...], Any, Any]:
    data, diff = (storage.array if storage.allocated else None for storage in (blob.data_storage, blob.diff_storage))
    return blob.shape, data, diff


def find_obstacle(layers: Sequence[Layer], device: Device) -> str | None:
    """Why the passes of these layers cannot be recorded; None where they can."""
    if not device.can_capture:
        return f'device "{device.name}" does not record work'
    for layer in layers:
        if layer.dynamic_shape:
            return f"layer {layer.label} may change shapes in every pass"
        if not layer.replayable:
            return f"layer {layer.label} does not say that it is replayable"
    return None
