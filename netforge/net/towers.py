"""Towers: layers that do the same with the same weights to different blobs run once, over one batch.

A Siamese or Triplet net repeats a chain of layers under shared weights. The blobs of such layers are laid side by side
in one buffer, so that each group of them runs as one layer over all their items: the same numbers (up to the order in
which weight gradients are summed) with fewer and larger operations. Layers in which the items of a batch influence each
other stay apart. Every layer can still run alone, and every blob keeps its name: this is about memory and order only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from netforge.blob import Blob, Storage
from netforge.layers.base import Layer
from netforge.net.gradients import Routing
from netforge.net.memory import Memory
from netforge.net.wiring import Wiring


class Strip:
    """Memory of several blobs laid end to end: `storages` become windows of `whole`, in this order."""

    def __init__(self, storages: Sequence[Storage]) -> None:
        self.storages = tuple(storages)
        self.whole = Storage(storages[0].device, storages[0].dtype)
        self._counts: tuple[int, ...] = ()

    def align(self, counts: tuple[int, ...]) -> None:
        """Give each storage room for its count of elements in the whole; they keep what they hold.

        Costs next to nothing where all of them lie right already.
        """
        if counts == self._counts and all(storage.parent is self.whole for storage in self.storages):
            return
        self._counts = counts
        offsets = (0, *accumulate(counts))
        moves = list(zip(self.storages, offsets, counts, strict=False))
        self.whole.take_in(moves, size=offsets[-1])


class SideBySide:
    """The blobs that a tower's members have at one position, as one blob over all their items.

    parts: one blob a member, of one shape apart from the number of items. data, diff: where their memory lies.
    """

    def __init__(self, parts: Sequence[Blob], data: Strip, diff: Strip) -> None:
        first = parts[0]
        self.parts = tuple(parts)
        self.data, self.diff = data, diff
        self.whole = Blob(device=first.device, dtype=first.dtype, name=first.name)
        self.whole.data_storage, self.whole.diff_storage = data.whole, diff.whole

    def align(self) -> Blob:
        """The whole blob, in the shape that the parts have now."""
        shapes = [part.shape for part in self.parts]
        counts = tuple(part.count for part in self.parts)
        self.data.align(counts)
        self.diff.align(counts)
        shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        if shape != self.whole.shape:
            self.whole.reshape(shape)
        return self.whole


@dataclass
class Tower:
    """Layers that run as one: `members` are their numbers in file order, the first of which does the work.

    own_shapes: the shapes for which the first member last gave its own tops theirs.
    united: whether the first member still holds what all of them computed as one. alone: members that have run by
    themselves since then, and hold their own.
    """

    members: tuple[int, ...]
    bottoms: tuple[SideBySide, ...]
    tops: tuple[SideBySide, ...]
    own_shapes: tuple[tuple[int, ...], ...] = ()
    united: bool = False
    alone: set[int] = field(default_factory=set)

    def unite(self) -> None:
        """Note that all members have run as one."""
        self.united = True
        self.alone.clear()

    def leave(self, member: int) -> None:
        """Note that a member runs by itself."""
        self.united = self.united and member != self.members[0]
        self.alone.add(member)

    def parts_but(self, index: int) -> list[Blob]:
        """The blobs of all members but the one at this index."""
        groups = (*self.bottoms, *self.tops)
        return [blob for group in groups for i, blob in enumerate(group.parts) if i != index]

    def align(self) -> tuple[list[Blob], list[Blob]]:
        """The bottoms and tops over all items, in the shapes that the members have now."""
        return [group.align() for group in self.bottoms], [group.align() for group in self.tops]


def find_towers(wiring: Wiring, layers: Sequence[Layer], memory: Memory, routing: Routing) -> list[Tower]:
    """The groups of layers of a net that can run as one, in file order."""
    search = _Search(wiring, layers, memory, routing)
    return [tower for number in range(len(layers)) if (tower := search.start_at(number)) is not None]


class _Search:
    """Finds towers one by one; `runs_at` says when a layer runs, which moves up for the later members of a tower."""

    def __init__(self, wiring: Wiring, layers: Sequence[Layer], memory: Memory, routing: Routing) -> None:
        self.wiring, self.layers, self.memory, self.routing = wiring, layers, memory, routing
        self.runs_at = list(range(len(layers)))
        self.taken: set[int] = set()
        self.strips: dict[int, Strip] = {}
        self.alike: dict[int, list[int]] = {}  # layer number -> all layers that have the same key, in file order
        by_key: dict[tuple[Any, ...], list[int]] = {}
        for number in filter(self._may_join, range(len(layers))):
            self.alike[number] = by_key.setdefault(self._key(number), [])
            self.alike[number].append(number)

    def start_at(self, number: int) -> Tower | None:
        """The tower whose first member is this layer, if there is one."""
        if number in self.taken:
            return None
        later = [m for m in self.alike.get(number, ()) if m > number and m not in self.taken]
        members = (number, *(m for m in later if self._ready(m, number)))
        if len(members) < 2:
            return None
        tower = self._unite(members)
        if tower is not None:
            self.taken.update(members)
            for member in members:
                self.runs_at[member] = number
        return tower

    def _may_join(self, number: int) -> bool:
        layer = self.layers[number]
        bottoms, tops = self.memory.bottoms[number], self.memory.tops[number]
        by_item = layer.per_item and not (layer.dynamic_shape or layer.is_loss)
        return bool(
            by_item
            and bottoms
            and all(blob.shape and blob.shape[0] == bottoms[0].shape[0] for blob in (*bottoms, *tops))
            and getattr(layer.settings, "axis", 1) != 0
        )

    def _key(self, number: int) -> tuple[Any, ...]:
        """What members of a tower have in common: type, settings, weights, shapes of items, flow of gradients."""
        layer = self.layers[number]
        message = type(layer.definition.message)()
        message.CopyFrom(layer.definition.message)
        for name in ("name", "bottom", "top", "param", "include", "exclude", "loss_weight", "propagate_down", "blobs"):
            message.ClearField(name)
        return (
            type(layer),
            message.SerializeToString(deterministic=True),
            tuple(id(weight.data_storage) for weight in layer.weights),
            tuple(layer.frozen),
            tuple(blob.shape[1:] for blob in self.memory.bottoms[number]),
            len(self.memory.tops[number]),
            self.routing.backward[number],
            tuple(self.routing.propagate_down[number]),
        )

    def _ready(self, member: int, first: int) -> bool:
        """Whether a later member's bottoms are there when the first member runs."""
        return all(self.runs_at[value.producer] < first for value in self.wiring.bottoms[member])

    def _unite(self, members: tuple[int, ...]) -> Tower | None:
        strips = dict(self.strips)
        bottoms = _side_by_side([self.memory.bottoms[member] for member in members], strips)
        tops = _side_by_side([self.memory.tops[member] for member in members], strips)
        if bottoms is None or tops is None:
            return None
        self.strips = strips
        return Tower(members, bottoms, tops)


def _side_by_side(blobs: list[list[Blob]], strips: dict[int, Strip]) -> tuple[SideBySide, ...] | None:
    """The blobs of all members at each position; None where some cannot lie side by side. New strips are noted."""
    joined = []
    for parts in zip(*blobs, strict=True):
        data = _strip([part.data_storage for part in parts], strips)
        diff = _strip([part.diff_storage for part in parts], strips)
        if data is None or diff is None:
            return None
        joined.append(SideBySide(parts, data, diff))
    return tuple(joined)


def _strip(storages: list[Storage], strips: dict[int, Strip]) -> Strip | None:
    """The strip of these storages, an old one or a new one; None where they cannot lie side by side."""
    known = [strips.get(id(storage)) for storage in storages]
    if known[0] is not None and known[0].storages == tuple(storages):
        return known[0]
    if any(known) or len(set(map(id, storages))) < len(storages) or any(s.parent is not None for s in storages):
        return None
    strip = Strip(storages)
    strips.update({id(storage): strip for storage in storages})
    return strip
