"""What a layer is: the class that all layers extend, and the registry that finds them by their `type` string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.device.base import Device
from netforge.device.operations import Ops
from netforge.device.random import RandomStream
from netforge.errors import NetError, NetforgeError, Place, SettingsError, ShapeError
from netforge.filler import make_fill
from netforge.registry import Registry
from netforge.schema import LayerDefinition, declare_settings

ErrorClass = type[NetforgeError]


@dataclass(frozen=True)
class Slots:
    """What a layer takes or gives: one text per blob, "name shape, meaning".

    required: blobs that must be there. optional: blobs that may follow. more: text for any number beyond those.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    more: str | None = None

    @property
    def most(self) -> float:
        """The largest number of blobs."""
        return float("inf") if self.more else len(self.required) + len(self.optional)

    def admits(self, count: int) -> bool:
        """Whether `count` blobs fit."""
        return len(self.required) <= count <= self.most

    def __str__(self) -> str:
        least, most = len(self.required), self.most
        if least == most:
            return f"exactly {least}"
        return f"at least {least}" if self.more else f"{least} to {most:.0f}"


def slots(*required: str, optional: Sequence[str] = (), more: str | None = None) -> Slots:
    """Shorthand for `Slots`."""
    return Slots(required, tuple(optional), more)


@dataclass(frozen=True)
class LayerContext:
    """What a net tells each of its layers.

    phase: "TRAIN", "TEST" or "RUN". device, dtype: where arrays live, and of what type (float32, or float64 in
    gradient checks). seed: the run's seed. folder: where the net's file lies, for paths in it. plan_only: no source may
    be opened beyond its header (`netforge check`, `netforge summary`).
    """

    phase: str
    device: Device
    dtype: np.dtype[Any]
    seed: int
    folder: Path | None = None
    plan_only: bool = False


class Report:
    """What an operation found wrong, kept on the device until the host asks: `Layer.report` makes them.

    array: (2,), where operations write 1 + the flat index of the first fault, and the value there. explain: makes an
    error of index and value, or deals with the fault itself and returns None.
    """

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._blob.reshape(2)
        self.explain: Callable[[int, float], Exception | None] = lambda index, value: None

    @property
    def array(self) -> Any:
        """The array on the device."""
        return self._blob.data

    def settle(self) -> None:
        """Wait for the device, and raise for the fault where there was one; the report is empty again afterwards."""
        place, value = self._blob.device.to_host(self.array).tolist()
        if place:
            self.array[...] = 0
            error = self.explain(int(place) - 1, value)
            if error is not None:
                raise error


class Layer:
    """One node of a net.

    A net calls `setup` once, `reshape` whenever shapes may have changed, then `feed`, `forward` and `backward`. `setup`
    and `reshape` see shapes only: they must not touch `data` or `diff`. `feed` brings what the pass needs from the
    host. `forward` writes every top's data. `backward` reads top diffs, overwrites the diff of each bottom i for which
    `propagate_down[i]` holds, and adds to diffs of weights.

    Class attributes that describe the layer to nets, help pages and checks (`setup` may set dynamic_shape, replayable
    and blocked_bottoms for one layer):
    bottoms, tops: `Slots`. settings_field: the field of LayerParameter that holds its settings. also_reads: further
    fields that do ("loss_param"); a block of settings that a layer does not read is told to the user.
    in_place: top 0 may use the memory of bottom 0. paired: as many tops as bottoms. is_loss: the first top has loss
    weight 1 unless the file says otherwise, missing tops are made, and the layer is left out in phase RUN.
    differentiable: False where there is no backward at all. blocked_bottoms: bottoms that never get a gradient
    (labels). per_item: no item of a batch influences another, and axis 0 counts items in every blob; then towers with
    shared weights run as one batch. backward_reads_top: `backward` needs top 0's data, so that no later layer may
    overwrite it in place. passes_values: tops hold values of the bottoms, in whatever order, and no others, so that
    what is known about labels holds behind the layer too. dynamic_shape: tops may change shape from one batch to the
    next, so that `reshape` runs before every forward; otherwise it runs only when the shape of a bottom or of a
    weight has changed. replayable: as long as no shape changes, `forward` and `backward` are a fixed sequence of
    launches on fixed addresses, so that a device may record one pass and repeat it without calling them: they read no
    values to the host, and no number that the host counts or draws goes into a launch (`feed` is called for every
    pass, and may write such numbers into memory of the device).
    """

    type: ClassVar[str] = ""
    settings_field: ClassVar[str | None] = None
    also_reads: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[tuple[str, ...]] = ()
    bottoms: ClassVar[Slots] = slots("x any shape")
    tops: ClassVar[Slots] = slots("y")
    in_place: ClassVar[bool] = False
    paired: ClassVar[bool] = False
    is_loss: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    blocked_bottoms: tuple[int, ...] = ()
    per_item: ClassVar[bool] = False
    backward_reads_top: ClassVar[bool] = False
    passes_values: ClassVar[bool] = False
    dynamic_shape: bool = False
    replayable: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        """A layer from elsewhere has to say itself that it is replayable: it may do more than what it extends."""
        super().__init_subclass__(**options)
        if "replayable" not in vars(cls) and cls.__module__.partition(".")[0] != "netforge":
            cls.replayable = False

    def __init__(self, definition: LayerDefinition, context: LayerContext) -> None:
        self.definition = definition
        self.name: str = definition.name
        self.context = context
        self.phase = context.phase
        self.device = context.device
        self.xp: ModuleType = context.device.xp
        self.ops: Ops = context.device.ops
        self.dtype = context.dtype
        self.settings: Any = definition.settings(type(self).settings_field)
        self.weights: list[Blob] = []
        self.frozen: list[bool] = []
        self.buffers: list[Blob] = []
        self.reports: dict[str, Report] = {}
        self.random = RandomStream(context.seed, self.name)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check settings and declare weights with `add_weight`; called once, before the first `reshape`.

        Raises SettingsError for settings that do not go together, ShapeError where weights do not fit the bottoms.
        """

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Give every top its shape; raises ShapeError where bottoms do not fit."""
        raise self._lacks("reshape")

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Bring what the next pass needs from the host: draws, uploads, counters; once before each `forward`.

        A net feeds all of its layers before the first one runs: bottoms hold the values of the pass before, and only
        layers without bottoms know the shapes of this one. Raises DataError for what a source lacks.
        """

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the data of every top; raises DataError for values that cannot be, where the host sees them."""
        raise self._lacks("forward")

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Write the diffs of bottoms and add to the diffs of weights."""
        raise self._lacks("backward")

    def _lacks(self, method: str) -> NetforgeError:
        return self.fail(
            f"class {type(self).__name__} has no method {method}",
            error=NetError,
            mend=f"define {method}, with the arguments that it has in the class it extends",
        )

    @classmethod
    def image_shape(cls, definition: LayerDefinition, folder: Path | None) -> tuple[int, ...] | None:
        """For layers that read images: the shape (C, H, W) of one of them as the net sees it; None for all others."""
        return None

    def state(self) -> dict[str, Any]:
        """What an exact resume needs beyond weights: names to integers or NumPy arrays."""
        return {"position": self.random.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; raises SnapshotError or DataError for the state of another layer."""
        self.random.position = int(state["position"])

    def report(self, name: str) -> Report:
        """The layer's report of that name; made when it is first asked for."""
        if name not in self.reports:
            self.reports[name] = Report(self.buffer(name))
        return self.reports[name]

    def settle(self) -> None:
        """Raise for what was found wrong since the last time, where the device was not waited for then."""
        for report in self.reports.values():
            report.settle()

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """What goes wrong with the training, in words with what to try, or None; judged by the newest pass.

        A solver asks where it displays, and tells what it hears once a run: only here may a layer read values back.
        """
        return None

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        """Multiply-add operations of one forward pass, for `netforge summary`; 0 where they do not matter."""
        return 0

    def close(self) -> None:
        """Let go of threads and files."""

    def add_weight(
        self,
        shape: tuple[int, ...],
        filler: Any = None,
        *,
        learnable: bool = True,
        resizable: bool = False,
    ) -> Blob:
        """Declare the next weight blob; `filler` is a FillerParameter, None means zeros.

        Raises SettingsError, at its line, for a filler that does not fit the shape or has settings out of range, and
        UnknownNameError for one that is not known.
        """
        index = len(self.weights)
        stream = RandomStream(self.context.seed, f"{self.name}.weights[{index}]")
        try:
            fill = make_fill(filler, shape, stream, self.device)
        except NetforgeError as error:
            raise error.at(self._place_of(filler)) from None
        blob = Blob(
            shape,
            device=self.device,
            dtype=self.dtype,
            name=f"{self.name}[{index}]",
            fill=fill,
            learnable=learnable,
            resizable=resizable,
        )
        self.weights.append(blob)
        return blob

    def _place_of(self, filler: Any) -> Place:
        """Where the file gives a filler; the layer's own place where it does not say."""
        fields = getattr(getattr(self.settings, "DESCRIPTOR", None), "fields", ())
        for field in fields:
            is_filler = field.message_type is not None and field.message_type.name == "FillerParameter"
            if is_filler and getattr(self.settings, field.name) == filler:
                return self.definition.locate(f"{type(self).settings_field}.{field.name}.type")
        return self.definition.place

    def buffer(self, name: str, dtype: npt.DTypeLike | None = None) -> Blob:
        """Working memory of the layer's own, kept from one call to the next: neither a bottom, a top nor a weight."""
        blob = Blob((0,), device=self.device, dtype=dtype or self.dtype, name=f"{self.name}.{name}")
        self.buffers.append(blob)
        return blob

    def learns(self, index: int) -> bool:
        """Whether `backward` has to add to the diff of weight `index` (its lr_mult is not 0, or the net forces it)."""
        return index < len(self.weights) and not (self.frozen and self.frozen[index])

    @property
    def label(self) -> str:
        """Name and type, for messages."""
        return f'"{self.name}" ({type(self).type})'

    def fail(
        self,
        found: str,
        *,
        mend: str | None = None,
        setting: str | None = None,
        error: ErrorClass | None = None,
    ) -> NetforgeError:
        """An error that names this layer and its place in the file: `raise self.fail(...)`.

        setting: dotted name of a field of the layer ("pooling_param.kernel_size") whose line to name.
        error: the class; SettingsError where `setting` is given, ShapeError otherwise.
        """
        kind = error or (SettingsError if setting else ShapeError)
        place = self.definition.locate(setting) if setting else self.definition.place
        return kind(found, where=place, layer=self.label, mend=mend)


LAYERS: Registry[type[Layer]] = Registry("layer type")

L = TypeVar("L", bound=type[Layer])


def register_layer(name: str, *, settings: str | type | None = None, aliases: tuple[str, ...] = ()) -> Callable[[L], L]:
    """Class decorator that makes a layer known under the `type` string `name`.

    settings: the field of LayerParameter with its settings ("pooling_param"), or a dataclass (`netforge.setting` gives
    its fields ranges and help), which is then written in prototxt as `<name_in_snake_case>_param { ... }`.
    Raises PluginError where the name is taken, or where the dataclass cannot be expressed in protobuf.
    """

    def decorate(cls: L) -> L:
        cls.type = name
        cls.aliases = aliases
        cls.settings_field = declare_settings(name, settings) if isinstance(settings, type) else settings
        LAYERS.add(name, cls, aliases=aliases)
        return cls

    return decorate
