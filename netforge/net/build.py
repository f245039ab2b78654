"""Building a net: layers are made, handed their blobs, set up and given shapes, one by one in file order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netforge.blob import Blob, unlimited
from netforge.errors import NetError, NetforgeError, SettingsError, counted
from netforge.layers.base import Layer, LayerContext
from netforge.net.memory import Memory
from netforge.net.wiring import Value, Wiring, describe
from netforge.schema import LayerDefinition


def make_layers(
    definitions: Sequence[LayerDefinition], wiring: Wiring, memory: Memory, context: LayerContext
) -> list[Layer]:
    """Instantiate every layer, run its `setup` and first `reshape`; errors name the layer and its place."""
    layers: list[Layer] = []
    try:
        for number, definition in enumerate(definitions):
            with at_layer(definition):
                layer = wiring.classes[number](definition, context)
                layers.append(layer)
                limit_values(layer, memory.bottoms[number], memory.tops[number])
                layer.setup(memory.bottoms[number], memory.tops[number])
                layer.reshape(memory.bottoms[number], memory.tops[number])
                spread_shapes(wiring.tops[number], memory)
    except BaseException:
        for layer in layers:
            layer.close()
        raise
    return layers


def limit_values(layer: Layer, bottoms: Sequence[Blob], tops: Sequence[Blob]) -> None:
    """Hand on what is known about labels to the tops of a layer that passes them; forget it for those of others.

    A layer that writes labels of its own states what it knows in `setup`, after this.
    """
    sources = [blob.data_storage for blob in bottoms] if type(layer).passes_values else []
    limits = [storage.limit for storage in sources]

    def largest() -> int | None:
        known = [limit() for limit in limits]
        return max((below for below in known if below is not None), default=None) if None not in known else None

    for blob in tops:
        if blob.data_storage not in sources:  # a layer in place has the same limit already
            blob.data_storage.limit = largest if sources else unlimited


def spread_shapes(values: Sequence[Value], memory: Memory) -> None:
    """Hand the shape of each value on to the blobs through which several readers see it."""
    for value in values:
        for blob in memory.readers.get(value, ()):
            main: Blob = memory.of[value]
            if blob.shape != main.shape:
                blob.reshape(main.shape)


class at_layer:
    """Context in which every error names the layer at fault; a plugin's own exceptions become a NetError."""

    def __init__(self, definition: LayerDefinition) -> None:
        self.definition = definition

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Add place and layer to the error, if there is one."""
        if error is not None:
            self._name_layer(error)

    def _name_layer(self, error: BaseException) -> None:
        place, label = self.definition.place, describe(self.definition)
        if isinstance(error, NetforgeError):
            error.at(place, label)
        elif isinstance(error, Exception) and not _is_ours(error):
            raise NetError(
                f"{type(error).__name__}: {error}",
                where=place,
                layer=label,
                mend="this comes from the layer's own code; --verbose shows where",
            ) from error


def _is_ours(error: BaseException) -> bool:
    """Whether an exception was raised by netforge's own code rather than by a plugin."""
    trace = error.__traceback__
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return all(name.partition(".")[0] in ("netforge", "numpy", "cupy") for name in names if name)


def loss_weights(definitions: Sequence[LayerDefinition], wiring: Wiring) -> dict[Value, float]:
    """The weight of each top that counts towards the loss; raises SettingsError where their number does not fit."""
    weights: dict[Value, float] = {}
    for definition, cls, tops in zip(definitions, wiring.classes, wiring.tops, strict=True):
        given = list(definition.message.loss_weight)
        if given and len(given) != len(tops):
            raise SettingsError(
                f"loss_weight is given {counted(len(given), 'time')} for {counted(len(tops), 'top')}",
                where=definition.locate("loss_weight"),
                layer=describe(definition),
                mend="give it once for each top, or not at all",
            )
        if not given and cls.is_loss:
            given = [1.0]
        weights.update({value: weight for value, weight in zip(tops, given, strict=False) if weight})
    return weights


def unread_settings(definitions: Sequence[LayerDefinition], wiring: Wiring) -> list[str]:
    """A note on each block of settings that stands in a layer which does not read it; once for a type of layer.

    Caffe passes over them, so that files with them load.
    """
    notes: dict[tuple[str, str], str] = {}
    for definition, cls in zip(definitions, wiring.classes, strict=True):
        known = [name for name in (cls.settings_field, *cls.also_reads) if name]
        for block, _ in definition.message.ListFields():
            if block.name.endswith("_param") and block.name not in known:
                instead = f"its settings are in {' and '.join(known)}" if known else "it has no settings"
                text = f"layer {describe(definition)} does not read {block.name}; {instead}"
                notes.setdefault((cls.type, block.name), f"{definition.locate(block.name)}: {text}")
    return list(notes.values())
