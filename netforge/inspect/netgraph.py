"""A net as a graph to be drawn: boxes of layers, the blobs between them, and weights that several layers share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from netforge.layers.base import Layer
from netforge.net import LayerSummary, Net
from netforge.net.wiring import AUTOMATIC_TOP, Value, Wiring, wire

FAMILIES = {
    "accuracy": "metric",
    "data": "data",
    "decode": "metric",
    "dropout": "activation",
    "hdf5": "data",
    "image_data": "data",
    "input": "data",
    "knn": "metric",
    "linear": "linear",
    "memory_data": "data",
    "neuron": "activation",
    "normalize": "normalization",
    "pooling": "pooling",
    "recurrent": "recurrent",
    "reduce": "shape",
    "select": "shape",
    "sequence": "data",
    "shape": "shape",
    "softmax": "activation",
    "vision": "convolution",
}  # module of a layer's class in netforge.layers -> family, which has a colour
OWN = "other"
MOST_FACTS = 3


@dataclass(frozen=True)
class LayerEntry:
    """One layer. number: in the net. family: what colours it. facts: its main settings, in words."""

    number: int
    family: str
    summary: LayerSummary
    facts: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Elements of its weights, shared ones included."""
        return sum(weight.count for weight in self.summary.weights)


@dataclass(frozen=True)
class Node:
    """A box: a layer, and below it those that work on its output in place. group: of shared weights, None for none."""

    layers: tuple[LayerEntry, ...]
    group: int | None = None


@dataclass(frozen=True)
class Edge:
    """A blob from the box that makes it to those that read it; numbers of nodes. readers: () for an output."""

    name: str
    shape: tuple[int, ...]
    source: int
    readers: tuple[int, ...]


@dataclass(frozen=True)
class NetGraph:
    """Boxes in file order, the blobs between them in the order in which they are made.

    groups: for each group of shared weights the nodes with them, and the names of the weights.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[SharedWeights, ...]


@dataclass(frozen=True)
class SharedWeights:
    """Weights that several layers use. badge: a letter. names: of their param blocks. nodes: that use them."""

    badge: str
    names: tuple[str, ...]
    nodes: tuple[int, ...]


def net_graph(net: Net) -> NetGraph:
    """The graph of a net, which may be built with plan_only: shapes are enough."""
    wiring = wire(net.definition.layers)
    node_of = _fold(wiring)
    entries = [
        LayerEntry(number, family(layer), summary, tuple(facts(layer)))
        for number, (layer, summary) in enumerate(zip(net.layers, net.describe(), strict=True))
    ]
    groups = _shared(net.layers, node_of)
    group_of = {node: index for index, group in enumerate(groups) for node in group.nodes}
    members: dict[int, list[LayerEntry]] = {}
    for entry in entries:
        members.setdefault(node_of[entry.number], []).append(entry)
    nodes = tuple(Node(tuple(layers), group_of.get(node)) for node, layers in members.items())
    return NetGraph(nodes, tuple(_edges(wiring, node_of, entries)), groups)


def family(layer: Layer) -> str:
    """What kind of layer it is: a key of the diagram's colours."""
    if layer.is_loss:
        return "loss"
    package, _, module = type(layer).__module__.rpartition(".")
    if type(layer).type == "Silence":
        return "shape"
    return FAMILIES.get(module, OWN) if package == "netforge.layers" else OWN


def facts(layer: Layer) -> Iterator[str]:
    """The settings that people ask for first, in words."""
    kernel, geometry = getattr(layer, "kernel", None), getattr(layer, "geometry", None)
    kernel = getattr(geometry, "kernel", kernel)
    settings, name = layer.settings, type(layer).type
    if name == "Pooling":
        yield settings.PoolMethod.Name(settings.pool)
    if kernel is not None:
        yield "x".join(map(str, kernel))
        for word, usual in (("stride", 1), ("pad", 0), ("dilation", 1)):
            values = tuple(getattr(geometry, word, ()))
            if any(value != usual for value in values):
                yield f"{word} {values[0] if len(set(values)) == 1 else 'x'.join(map(str, values))}"
        if getattr(settings, "group", 1) > 1:
            yield f"group {settings.group}"
    elif dataclasses.is_dataclass(settings):
        for field in dataclasses.fields(settings)[:MOST_FACTS]:
            yield f"{field.name} {getattr(settings, field.name)}"
    elif settings is not None:
        yield from _given(settings)


def _given(settings: Any) -> Iterator[str]:
    """The first of those settings that the file gives and that are one value each."""
    found = 0
    for descriptor, value in settings.ListFields():
        if found == MOST_FACTS or descriptor.is_repeated or descriptor.message_type is not None:
            continue
        if descriptor.name == "backend":  # the source's name says enough
            continue
        found += 1
        if descriptor.enum_type is not None:
            value = descriptor.enum_type.values_by_number[value].name
        if isinstance(value, bool):
            yield descriptor.name if value else f"no {descriptor.name}"
        elif descriptor.name == "num_output":
            yield f"{value} outputs"
        elif descriptor.name == "source":
            yield str(value)
        else:
            yield f"{descriptor.name} {value:g}" if isinstance(value, float) else f"{descriptor.name} {value}"


def _fold(wiring: Wiring) -> list[int]:
    """The node of each layer: that of the layer whose only output it changes in place, else one of its own."""
    node_of: list[int] = []
    count = 0
    for bottoms, tops in zip(wiring.bottoms, wiring.tops, strict=True):
        changed = tops[0].rewrites if len(tops) == len(bottoms) == 1 else None
        if changed is not None and len(changed.readers) == 1 and len(wiring.tops[changed.producer]) == 1:
            node_of.append(node_of[changed.producer])
        else:
            node_of.append(count)
            count += 1
    return node_of


def _edges(wiring: Wiring, node_of: Sequence[int], entries: Sequence[LayerEntry]) -> Iterator[Edge]:
    """One edge for each value that leaves its node, or that nobody reads."""
    for value in wiring.values:
        source = node_of[value.producer]
        inside = [node_of[number] == source for number, _ in value.readers]
        if inside and all(inside):
            continue
        readers = tuple(dict.fromkeys(node_of[number] for number, _ in value.readers))
        name = "loss" if value.name == AUTOMATIC_TOP else value.name
        yield Edge(name, _shape(value, entries), source, readers)


def _shape(value: Value, entries: Sequence[LayerEntry]) -> tuple[int, ...]:
    return entries[value.producer].summary.tops[value.top][1]


def _shared(layers: Sequence[Layer], node_of: Sequence[int]) -> tuple[SharedWeights, ...]:
    """Groups of layers whose param blocks have names in common."""
    users: dict[str, list[int]] = {}
    for number, layer in enumerate(layers):
        for spec in layer.definition.message.param[: len(layer.weights)]:
            if spec.name:
                users.setdefault(spec.name, []).append(number)
    together = list(range(len(layers)))
    for numbers in users.values():
        for first, second in pairwise(numbers):
            low, high = sorted((together[first], together[second]))
            together = [low if root == high else root for root in together]
    names: dict[int, dict[str, None]] = {}
    for name, numbers in users.items():
        if len(numbers) > 1:
            names.setdefault(together[numbers[0]], {})[name] = None
    groups: list[SharedWeights] = []
    for root, shared in sorted(names.items()):
        nodes = tuple(dict.fromkeys(node_of[number] for number, other in enumerate(together) if other == root))
        groups.append(SharedWeights(_letters(len(groups)), tuple(shared), nodes))
    return tuple(groups)


def _letters(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    text = ""
    while number >= 0:
        text, number = chr(ord("A") + number % 26) + text, number // 26 - 1
    return text
