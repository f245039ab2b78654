"""Layers in a row that run as one in a pass over the whole net, so that what lies between them is never written.

A BatchNorm layer, the Scale layer that follows it in place, and the ReLU layer that follows that in place, if there is
one: each reads what the one before has just written. And an Eltwise layer that adds two blobs with the ReLU layer that
follows it in place, the end of a residual block (He et al. 2016). As one they read and write each array once and give
the same numbers, up to rounding. Each layer can still run by itself; where the Scale layer keeps its input, it keeps
what BatchNorm keeps anyway.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from netforge.layers.base import Layer
from netforge.layers.linear import Scale
from netforge.layers.neuron import ReLU
from netforge.layers.normalize import BatchNorm
from netforge.layers.reduce import Eltwise
from netforge.net.gradients import Routing
from netforge.net.memory import Memory
from netforge.net.wiring import Value, Wiring


@dataclass(frozen=True)
class ScaledNorm:
    """A BatchNorm, its Scale and the ReLU behind it, None where there is none.

    members: their layer numbers, in file order. trains: whether backward runs as one too.
    """

    members: tuple[int, ...]
    norm: BatchNorm
    scale: Scale
    relu: ReLU | None
    trains: bool

    @property
    def slope(self) -> float:
        """The factor on values below 0, 1 without a ReLU."""
        return 1.0 if self.relu is None else self.relu.slope

    def forward(self, memory: Memory) -> None:
        """All layers' forward, after all have their shapes."""
        bias, first = self.scale.bias, self.members[0]
        factor, shift = self.scale.weights[0].data, None if bias is None else bias.data
        self.norm.forward_scaled(memory.bottoms[first], memory.tops[first], factor, shift, self.slope)

    def backward(self, memory: Memory) -> None:
        """All layers' backward, from the gradient of the last one's top."""
        bias, factor = self.scale.bias, self.scale.weights[0]
        shift, dshift = (None, None) if bias is None else (bias.data, bias.diff)
        tops, bottoms = memory.tops[self.members[-1]], memory.bottoms[self.members[0]]
        self.norm.backward_scaled(tops, bottoms, factor.data, factor.diff, dshift, shift, self.slope)


@dataclass(frozen=True)
class RectifiedSum:
    """An Eltwise that adds two blobs, and its ReLU.

    members: their layer numbers, in file order. trains: whether backward runs as one too. flows: whether each of the
    two blobs gets a gradient.
    """

    members: tuple[int, ...]
    relu: ReLU
    trains: bool
    flows: tuple[bool, ...]

    def forward(self, memory: Memory) -> None:
        """Both layers' forward, after both have their shapes."""
        (a, b), (top,) = memory.bottoms[self.members[0]], memory.tops[self.members[-1]]
        self.relu.ops.relu_of_sum_forward(a.data, b.data, top.data, self.relu.slope)

    def backward(self, memory: Memory) -> None:
        """Both layers' backward, from the gradient of the ReLU layer's top."""
        bottoms, (top,) = memory.bottoms[self.members[0]], memory.tops[self.members[-1]]
        da, db = (blob.diff if flow else None for blob, flow in zip(bottoms, self.flows, strict=True))
        self.relu.ops.relu_of_sum_backward(top.data, top.diff, da, db, self.relu.slope)


Fused = ScaledNorm | RectifiedSum


def find_fused(
    wiring: Wiring,
    layers: Sequence[Layer],
    memory: Memory,
    routing: Routing,
    weighted: Set[Value],
    taken: Set[int],
) -> list[Fused]:
    """The rows of layers of a net that run as one, in file order.

    weighted: values that count towards the loss. taken: layers of towers. From then on the Scale layers keep their
    inputs where their BatchNorm layers keep what they have normalised, and the ReLU layers behind sums work in the
    memory of these.
    """

    def follower(number: int) -> int | None:
        """The one layer that reads the only top of a layer, as its first bottom; None where it must be seen."""
        values = wiring.tops[number]
        if len(values) != 1 or values[0] in weighted or len(values[0].readers) != 1 or number in taken:
            return None
        second, index = values[0].readers[0]
        return None if index or second in taken else second

    def rectifier(number: int) -> int | None:
        """The follower if it is a ReLU, in place, for which the sign of y tells that of x."""
        second = follower(number)
        relu = None if second is None else layers[second]
        if second is None or type(relu) is not ReLU or relu.keeps_input:
            return None
        return second if wiring.tops[second][0].rewrites is wiring.tops[number][0] else None

    found: list[Fused] = []
    for first, layer in enumerate(layers):
        if type(layer) is BatchNorm and (second := follower(first)) is not None:
            third = rectifier(second)
            members = (first, second) if third is None else (first, second, third)
            found += _scaled_norm(members, layers, memory, routing)
        elif type(layer) is Eltwise and (second := rectifier(first)) is not None:
            found += _rectified_sum((first, second), layers, memory, routing)
    return found


def _scaled_norm(
    members: tuple[int, ...], layers: Sequence[Layer], memory: Memory, routing: Routing
) -> list[ScaledNorm]:
    """These layers as one, if the second is a Scale that has a weight for each channel and works in place.

    They train as one where all hand a gradient down, all weights between learn, and the statistics are the batch's.
    """
    norm, scale, *rest = (layers[number] for number in members)
    if type(norm) is not BatchNorm or type(scale) is not Scale or scale.given or scale.kept is None:
        return []
    if scale.axis != 1 or scale.weights[0].shape != (norm.channels,):
        return []
    relu = rest[0] if rest and memory.tops[members[2]][0] is memory.tops[members[1]][0] else None
    members = members if relu is not None else members[:2]
    scale.kept.share_data(norm.normalized)
    flows = all(routing.propagate_down[number][0] for number in members)
    trains = flows and not norm.stored and all(scale.learns(index) for index in range(len(scale.weights)))
    return [ScaledNorm(members, norm, scale, relu if isinstance(relu, ReLU) else None, trains)]


def _rectified_sum(
    members: tuple[int, int], layers: Sequence[Layer], memory: Memory, routing: Routing
) -> list[RectifiedSum]:
    """These layers as one, if the first adds two blobs as they are.

    They train as one where the ReLU layer hands a gradient down and any of the two blobs gets one.
    """
    total, relu = (layers[number] for number in members)
    if type(total) is not Eltwise or type(relu) is not ReLU:
        return []
    if total.settings.operation != total.settings.SUM or total.factors != [1.0, 1.0]:
        return []
    (between,), (top,) = (memory.tops[number] for number in members)
    between.share_data(top)
    flows = tuple(routing.propagate_down[members[0]])
    trains = routing.propagate_down[members[1]][0] and any(flows)
    return [RectifiedSum(members, relu, trains, flows)]
