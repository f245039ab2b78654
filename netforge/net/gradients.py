"""Where gradients flow: which layers run backward, and for which of their bottoms (Caffe's rules)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netforge.errors import NetError, counted
from netforge.layers.base import Layer
from netforge.net.wiring import Value, Wiring


@dataclass
class Routing:
    """backward: per layer whether it runs backward. propagate_down: per layer one flag for each bottom."""

    backward: list[bool]
    propagate_down: list[list[bool]]


def route(wiring: Wiring, layers: Sequence[Layer], weighted: set[Value], *, force: bool) -> Routing:
    """Decide where gradients flow.

    A value needs a gradient if a weight that learns lies above it, and gets one if a loss (`weighted`) lies below it;
    in a net without any loss the outputs take the place of losses. `propagate_down` in a layer overrides the first
    rule; `force` (force_backward: true) sends gradients everywhere but to labels.
    Raises NetError where a gradient would have to pass through something that has none.
    """
    needed, routing = _above(wiring, layers)
    if force:
        _force(wiring, layers, routing)
    else:
        _below(wiring, weighted or set(wiring.outputs), routing)
    _check(wiring, layers, routing, weighted, needed)
    return routing


def _above(wiring: Wiring, layers: Sequence[Layer]) -> tuple[set[Value], Routing]:
    """First pass, in file order: what depends on weights that learn."""
    needed: set[Value] = set()
    routing = Routing([], [])
    for number, layer in enumerate(layers):
        wanted = list(layer.definition.message.propagate_down)
        inherited = [value in needed for value in wiring.bottoms[number]]
        if wanted and len(wanted) != len(inherited):
            raise NetError(
                f"propagate_down is given {counted(len(wanted), 'time')} for {counted(len(inherited), 'bottom')}",
                where=layer.definition.locate("propagate_down"),
                layer=layer.label,
                mend="give it once for each bottom, or not at all",
            )
        flags = [
            bool(flag) and (bool(wanted) or index not in layer.blocked_bottoms)
            for index, flag in enumerate(wanted or inherited)
        ]
        learns = any(layer.learns(index) for index in range(len(layer.weights)))
        active = layer.differentiable and (learns or any(flags) or any(inherited))
        routing.backward.append(active)
        routing.propagate_down.append(flags if active else [False] * len(flags))
        if active:
            needed.update(wiring.tops[number])
    return needed, routing


def _below(wiring: Wiring, roots: set[Value], routing: Routing) -> None:
    """Second pass, in reverse: switch off whatever leads to no loss."""
    under_loss: set[Value] = set(roots)
    for number in reversed(range(len(wiring.classes))):
        contributes = any(value in under_loss for value in wiring.tops[number])
        if not (contributes and routing.backward[number]):
            routing.backward[number] = False
            routing.propagate_down[number] = [False] * len(wiring.bottoms[number])
            continue
        flags = routing.propagate_down[number]
        under_loss.update(value for value, flag in zip(wiring.bottoms[number], flags, strict=True) if flag)


def _force(wiring: Wiring, layers: Sequence[Layer], routing: Routing) -> None:
    for number, layer in enumerate(layers):
        routing.backward[number] = layer.differentiable
        routing.propagate_down[number] = [
            layer.differentiable and (flag or index not in layer.blocked_bottoms)
            for index, flag in enumerate(routing.propagate_down[number])
        ]


def _check(wiring: Wiring, layers: Sequence[Layer], routing: Routing, weighted: set[Value], needed: set[Value]) -> None:
    for number, layer in enumerate(layers):
        place = layer.definition.place
        if not layer.differentiable and any(value in weighted for value in wiring.tops[number]):
            raise NetError(
                "a loss_weight is given, but this layer has no gradient",
                where=layer.definition.locate("loss_weight"),
                layer=layer.label,
                mend="remove loss_weight; put it on a loss layer",
            )
        for index, flag in enumerate(routing.propagate_down[number]):
            if flag and index in layer.blocked_bottoms:
                raise NetError(
                    f'propagate_down asks for the gradient of bottom {index} ("{wiring.bottoms[number][index].name}"), '
                    "which has none",
                    where=layer.definition.locate("propagate_down"),
                    layer=layer.label,
                    mend="set it to false for that bottom",
                )
        if routing.backward[number]:
            for index in layer.blocked_bottoms:
                if index < len(wiring.bottoms[number]) and wiring.bottoms[number][index] in needed:
                    flags = layer.definition.message.propagate_down
                    if not flags:
                        raise NetError(
                            f'bottom {index} ("{wiring.bottoms[number][index].name}") depends on weights that learn, '
                            "but this layer has no gradient for it",
                            where=place,
                            layer=layer.label,
                            mend="feed it data, or write propagate_down for each bottom, false for this one",
                        )
