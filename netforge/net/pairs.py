"""Pairs: a BatchNorm layer and the Scale layer that follows it in place run as one in a pass over the whole net.

Scale reads what BatchNorm has just written, writes it again and keeps a copy: more memory moves than for BatchNorm
alone. As one they read and write each array once and give the same numbers, up to rounding. Each layer can still run
by itself; where the Scale layer keeps its input, it keeps what BatchNorm keeps anyway.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from netforge.layers.base import Layer
from netforge.layers.linear import Scale
from netforge.layers.normalize import BatchNorm
from netforge.net.gradients import Routing
from netforge.net.memory import Memory
from netforge.net.wiring import Value, Wiring


@dataclass(frozen=True)
class Pair:
    """Layer numbers of a BatchNorm and of its Scale. trains: whether backward runs as one too."""

    first: int
    second: int
    norm: BatchNorm
    scale: Scale
    trains: bool

    def forward(self, memory: Memory) -> None:
        """Both layers' forward, after both have their shapes."""
        bias = self.scale.bias
        factor, shift = self.scale.weights[0].data, None if bias is None else bias.data
        self.norm.forward_scaled(memory.bottoms[self.first], memory.tops[self.first], factor, shift)

    def backward(self, memory: Memory) -> None:
        """Both layers' backward, from the gradient of the Scale layer's top."""
        bias, factor = self.scale.bias, self.scale.weights[0]
        dbias = None if bias is None else bias.diff
        tops, bottoms = memory.tops[self.second], memory.bottoms[self.first]
        self.norm.backward_scaled(tops, bottoms, factor.data, factor.diff, dbias)


def find_pairs(
    wiring: Wiring,
    layers: Sequence[Layer],
    memory: Memory,
    routing: Routing,
    weighted: Set[Value],
    taken: Set[int],
) -> list[Pair]:
    """The pairs of a net, in file order. weighted: values that count towards the loss. taken: layers of towers.

    From then on the Scale layers keep their inputs where their BatchNorm layers keep what they have normalised.
    """
    pairs = []
    for number, norm in enumerate(layers):
        value = wiring.tops[number][0] if wiring.tops[number] else None
        if type(norm) is not BatchNorm or value is None or value in weighted or len(value.readers) != 1:
            continue
        second, index = value.readers[0]
        scale = layers[second]
        if type(scale) is not Scale or index or scale.given or scale.kept is None or {number, second} & taken:
            continue
        if scale.axis == 1 and scale.weights[0].shape == (norm.channels,):
            scale.kept.share_data(norm.normalized)
            pairs.append(Pair(number, second, norm, scale, _trains(norm, scale, number, second, routing)))
    return pairs


def _trains(norm: BatchNorm, scale: Scale, first: int, second: int, routing: Routing) -> bool:
    """Whether both layers hand a gradient down, all weights between learn, and the statistics are the batch's."""
    flows = routing.propagate_down[first][0] and routing.propagate_down[second][0]
    return flows and not norm.stored and all(scale.learns(index) for index in range(len(scale.weights)))
