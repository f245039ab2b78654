"""Which layer reads which blob, from names alone: the first stage of building a net.

A name may be written several times (in-place layers do so); each writing is a `Value` with its own readers. Values are
given memory later, by `netforge.net.memory`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netforge.errors import NetError, did_you_mean
from netforge.layers.base import LAYERS, Layer
from netforge.schema import LayerDefinition

AUTOMATIC_TOP = "(automatic)"


@dataclass(eq=False)
class Value:
    """What one top of one layer holds.

    name: the blob's name. producer, top: layer number and top number. readers: (layer number, bottom number) in file
    order. rewrites: the value of the same name that the producer reads at the same index, if it works in place.
    """

    name: str
    producer: int
    top: int
    readers: list[tuple[int, int]] = field(default_factory=list)
    rewrites: Value | None = None


@dataclass(frozen=True)
class Wiring:
    """The graph of a net: per layer its class, the values it reads and the values it makes."""

    classes: tuple[type[Layer], ...]
    bottoms: tuple[tuple[Value, ...], ...]
    tops: tuple[tuple[Value, ...], ...]

    @property
    def values(self) -> list[Value]:
        """All values in the order in which they are made."""
        return [value for tops in self.tops for value in tops]

    @property
    def outputs(self) -> list[Value]:
        """Values that nothing reads, in alphabetical order of their names, as Caffe reports them."""
        unread = [v for v in self.values if not v.readers and v.name != AUTOMATIC_TOP]
        return sorted(unread, key=lambda value: value.name)


def wire(layers: Sequence[LayerDefinition]) -> Wiring:
    """Connect layers by the names of their blobs; raises NetError or UnknownNameError with the layer's place."""
    newest: dict[str, Value] = {}
    classes: list[type[Layer]] = []
    all_bottoms: list[tuple[Value, ...]] = []
    all_tops: list[tuple[Value, ...]] = []
    for number, layer in enumerate(layers):
        cls = find_class(layer)
        bottoms = tuple(_read(number, index, layers, newest) for index in range(len(layer.message.bottom)))
        tops = tuple(_write(number, index, layer, bottoms, newest) for index in range(len(layer.message.top)))
        missing = len(cls.tops.required) - len(tops) if cls.is_loss else 0
        tops += tuple(Value(AUTOMATIC_TOP, number, len(tops) + extra) for extra in range(missing))
        _check_counts(layer, cls, len(bottoms), len(tops))
        classes.append(cls)
        all_bottoms.append(bottoms)
        all_tops.append(tops)
    return Wiring(tuple(classes), tuple(all_bottoms), tuple(all_tops))


def describe(layer: LayerDefinition) -> str:
    """Name and type of a layer, for messages."""
    return f'"{layer.name}" ({layer.type})'


def find_class(layer: LayerDefinition) -> type[Layer]:
    """The class registered for a layer's `type`; raises UnknownNameError at the line of the type."""
    if not layer.type:
        raise NetError("the layer has no type", where=layer.place, mend='add a line such as type: "ReLU"')
    if layer.type not in LAYERS:
        raise NetError(
            f'unknown layer type "{layer.type}"',
            where=layer.locate("type"),
            layer=describe(layer),
            mend=did_you_mean(layer.type, LAYERS)
            or "`netforge layers` lists all types; a type of your own needs its `plugin:` line",
        )
    return LAYERS[layer.type]


def _read(number: int, index: int, layers: Sequence[LayerDefinition], newest: dict[str, Value]) -> Value:
    layer = layers[number]
    name = layer.message.bottom[index]
    if name not in newest:
        later = next((other for other in layers[number:] if name in other.message.top), None)
        if later is layer:
            mend = "a layer cannot read what it makes itself, except in place"
        elif later is not None:
            mend = f"layer {describe(later)} makes it, but further down: move that layer above this one"
        else:
            mend = did_you_mean(name, newest) or "no layer above makes it"
        raise NetError(
            f'unknown bottom blob "{name}"', where=layer.locate(f"bottom[{index}]"), layer=describe(layer), mend=mend
        )
    value = newest[name]
    value.readers.append((number, index))
    return value


def _write(
    number: int, index: int, layer: LayerDefinition, bottoms: tuple[Value, ...], newest: dict[str, Value]
) -> Value:
    name = layer.message.top[index]
    value = Value(name, number, index)
    if name in newest:
        if index < len(bottoms) and bottoms[index].name == name and newest[name] is bottoms[index]:
            value.rewrites = bottoms[index]
        else:
            raise NetError(
                f'top blob "{name}" is made a second time',
                where=layer.locate(f"top[{index}]"),
                layer=describe(layer),
                mend="give this top another name (in place means the same name at the same position among the bottoms)",
            )
    newest[name] = value
    return value


def _check_counts(layer: LayerDefinition, cls: type[Layer], bottoms: int, tops: int) -> None:
    for word, slots, count in (("bottom", cls.bottoms, bottoms), ("top", cls.tops, tops)):
        if not slots.admits(count):
            named = "; ".join((*slots.required, *(f"[{text}]" for text in slots.optional), *filter(None, [slots.more])))
            raise NetError(
                f"{count} {word} blob{'' if count == 1 else 's'} given, {cls.type} takes {slots}",
                where=layer.place,
                layer=describe(layer),
                mend=f"its {word}s are: {named}" if named else f"remove its {word} lines",
            )
    if cls.paired and bottoms != tops:
        raise NetError(
            f"{bottoms} bottoms but {tops} tops",
            where=layer.place,
            layer=describe(layer),
            mend=f"{cls.type} makes one top of each bottom",
        )
