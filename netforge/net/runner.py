"""Running a net's layers: shapes handed on, gradients of several readers added up, towers run as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np

from netforge.blob import Blob
from netforge.errors import NetError
from netforge.layers.base import Layer
from netforge.net import build
from netforge.net.fused import Fused, find_fused
from netforge.net.gradients import Routing
from netforge.net.memory import Memory
from netforge.net.towers import Tower, find_towers
from netforge.net.wiring import Value, Wiring

Shapes = tuple[tuple[int, ...], ...]


class Runner:
    """Runs layers by number, singly or all of them.

    loss_weights: the weight of each value that counts towards the loss. seeded: names of blobs whose gradient the
    caller has set, in the place of their loss weight. NumPy's warnings of overflow are off while layers run.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        wiring: Wiring,
        memory: Memory,
        routing: Routing,
        loss_weights: Mapping[Value, float],
    ) -> None:
        self.layers, self.wiring, self.memory, self.routing = layers, wiring, memory, routing
        self.loss_weights = loss_weights
        self.seeded: Set[str] = frozenset()
        self.towers = {tower.members[0]: tower for tower in find_towers(wiring, layers, memory, routing)}
        self._tower_of = {member: tower for tower in self.towers.values() for member in tower.members}
        rows = find_fused(wiring, layers, memory, routing, set(loss_weights), set(self._tower_of))
        self.fused = {row.members[-1]: row for row in rows}
        self._fused_of = {member: row for row in rows for member in row.members}
        self._shapes: list[Shapes] = [self._signature(number, memory.bottoms[number]) for number in range(len(layers))]

    def feed_pass(self) -> None:
        """Let every layer bring what the next pass needs from the host; a tower's first layer does it for all."""
        for number in range(len(self.layers)):
            if number in self.towers or number not in self._tower_of:
                self._feed(number)

    def compute_pass(self) -> None:
        """Run every layer once, towers and fused layers as one, after they were fed."""
        for number in range(len(self.layers)):
            if number in self.towers:
                self._forward_tower(self.towers[number])
            elif number in self.fused:
                self._forward_fused(self.fused[number])
            elif number not in self._tower_of and number not in self._fused_of:
                self._forward(number)

    def backward_pass(self) -> None:
        """Run every layer that a gradient passes through, last to first; weight gradients are added up."""
        for number in reversed(range(len(self.layers))):
            tower, row = self._tower_of.get(number), self._fused_of.get(number)
            if row is not None and row.trains:
                if number == row.members[-1]:
                    self._backward_fused(row)
            elif tower is None or tower.alone:
                self.backward(number)
            elif number == tower.members[0]:
                self._backward_tower(tower)

    def forward(self, number: int) -> None:
        """Feed one layer and run it forward, after giving its tops the shapes that its bottoms now ask for."""
        if number in self._tower_of:
            self._tower_of[number].leave(number)
        self._feed(number)
        self._forward(number)

    @np.errstate(all="ignore")
    def _feed(self, number: int) -> None:
        layer = self.layers[number]
        with build.at_layer(layer.definition):
            if not self.wiring.bottoms[number]:
                self._fit(number)
            layer.feed(self.memory.bottoms[number], self.memory.tops[number])

    @np.errstate(all="ignore")
    def _forward(self, number: int) -> None:
        layer = self.layers[number]
        with build.at_layer(layer.definition):
            if self.wiring.bottoms[number]:
                self._fit(number)
            layer.forward(self.memory.bottoms[number], self.memory.tops[number])
            if layer.dynamic_shape:
                build.spread_shapes(self.wiring.tops[number], self.memory)

    @np.errstate(all="ignore")
    def backward(self, number: int, *, gather: bool = True) -> None:
        """Run one layer backward, if a gradient passes through it, after adding up the gradients of its tops.

        gather: False leaves the gradients of tops that other layers read as the caller has written them.
        """
        if not self.routing.backward[number]:
            return
        layer = self.layers[number]
        with build.at_layer(layer.definition):
            self._collect_diffs(number, gather=gather)
            tower = self._tower_of.get(number)
            if tower is not None and number not in tower.alone:
                self._backward_member(tower, number)
            else:
                bottoms, tops = self.memory.bottoms[number], self.memory.tops[number]
                layer.backward(tops, self.routing.propagate_down[number], bottoms)

    def reshape(self) -> None:
        """Hand shapes through all layers, from what the input blobs have now; no values are computed."""
        for number, layer in enumerate(self.layers):
            if self.wiring.bottoms[number] or layer.dynamic_shape:
                with build.at_layer(layer.definition):
                    self._reshape(number)
            else:
                build.spread_shapes(self.wiring.tops[number], self.memory)

    def blobs(self) -> list[Blob]:
        """Every blob that layers work on: values, how readers and towers see them, weights, working memory."""
        memory = self.memory
        towers = [group.whole for tower in self.towers.values() for group in (*tower.bottoms, *tower.tops)]
        own = [blob for layer in self.layers for blob in (*layer.weights, *layer.buffers)]
        return [*memory.of.values(), *(blob for group in memory.readers.values() for blob in group), *towers, *own]

    def note_replay(self) -> None:
        """Say that the device has repeated a pass over all layers, towers as one."""
        for tower in self.towers.values():
            tower.unite()

    @np.errstate(all="ignore")
    def _forward_fused(self, row: Fused) -> None:
        for number in row.members:
            with build.at_layer(self.layers[number].definition):
                self._fit(number)
        with build.at_layer(self.layers[row.members[0]].definition):
            row.forward(self.memory)

    @np.errstate(all="ignore")
    def _backward_fused(self, row: Fused) -> None:
        with build.at_layer(self.layers[row.members[0]].definition):
            self._collect_diffs(row.members[-1])
            row.backward(self.memory)

    @np.errstate(all="ignore")
    def _forward_tower(self, tower: Tower) -> None:
        layer = self.layers[tower.members[0]]
        with build.at_layer(layer.definition):
            for member in tower.members:
                self._fit(member, tower)
            bottoms, tops = tower.align()
            if self._shapes[tower.members[0]] != (shapes := self._signature(tower.members[0], bottoms)):
                layer.reshape(bottoms, tops)
                self._shapes[tower.members[0]] = shapes
            layer.forward(bottoms, tops)
            tower.unite()

    @np.errstate(all="ignore")
    def _backward_tower(self, tower: Tower) -> None:
        first = tower.members[0]
        if not self.routing.backward[first]:
            return
        layer = self.layers[first]
        with build.at_layer(layer.definition):
            for member in tower.members:
                self._collect_diffs(member)
            bottoms, tops = tower.align()
            layer.backward(tops, self.routing.propagate_down[first], bottoms)

    def _backward_member(self, tower: Tower, number: int) -> None:
        """Backward for one member of a tower that ran forward as one: with zero gradients for all others."""
        first, index = tower.members[0], tower.members.index(number)
        if not tower.united:
            raise NetError(
                "a gradient is asked for, but the newest pass left this layer out", mend="call forward first"
            )
        bottoms, tops = tower.align()
        aside = [(blob.diff, blob.diff.copy()) for blob in tower.parts_but(index)]
        for group in tower.tops:
            for blob in (*group.parts[:index], *group.parts[index + 1 :]):
                blob.device.ops.fill(blob.diff, 0.0)
        self.layers[first].backward(tops, self.routing.propagate_down[first], bottoms)
        for diff, held in aside:
            diff[...] = held

    def _fit(self, number: int, tower: Tower | None = None) -> None:
        """Reshape a layer if its bottoms have other shapes than when it last ran, alone or in its tower."""
        seen = self._shapes[number]
        if tower is not None and number == tower.members[0]:
            seen = tower.own_shapes or seen
        shapes = self._signature(number, self.memory.bottoms[number])
        if self.layers[number].dynamic_shape or shapes != seen:
            self._reshape(number)
        if tower is not None and number == tower.members[0]:
            tower.own_shapes = shapes

    def _reshape(self, number: int) -> None:
        bottoms = self.memory.bottoms[number]
        self.layers[number].reshape(bottoms, self.memory.tops[number])
        build.spread_shapes(self.wiring.tops[number], self.memory)
        self._shapes[number] = self._signature(number, bottoms)

    def _signature(self, number: int, bottoms: Sequence[Blob]) -> Shapes:
        """The shapes that decide whether a layer has to reshape."""
        return (*[blob.shape for blob in bottoms], *[blob.shape for blob in self.layers[number].weights])

    def _collect_diffs(self, number: int, *, gather: bool = True) -> None:
        """Make the diff of each top the sum over its readers, plus its loss weight."""
        for value in self.wiring.tops[number]:
            if value.readers and not gather:
                continue
            main = self.memory.of[value]
            weight = 0.0 if value.name in self.seeded else self.loss_weights.get(value, 0.0)
            flags = [self.routing.propagate_down[layer][index] for layer, index in value.readers]
            if len(flags) > 1:
                _sum_readers(main, self.memory.readers[value], flags)
            if weight:
                main.device.ops.fill(main.diff, weight, accumulate=any(flags))


def _sum_readers(main: Blob, readers: Sequence[Blob], flags: Sequence[bool]) -> None:
    giving = [blob for blob, flag in zip(readers, flags, strict=True) if flag]
    giving.sort(key=lambda blob: blob.diff_storage is not main.diff_storage)  # what writes to main itself comes first
    if giving and (len(giving) > 1 or giving[0].diff_storage is not main.diff_storage):
        main.device.ops.weighted_sum([blob.diff for blob in giving], [1.0] * len(giving), main.diff)
