"""Layout of a directed graph in ranks: where boxes stand and which way wires take between them.

The method of Sugiyama, Tagawa and Toda (1981): ranks by longest paths, places inside wires that pass ranks, orders by
barycentres that reduce crossings, then coordinates that keep wires straight. Lengths are "along" the wires or "across"
them, so that the same layout serves drawings from top to bottom and from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netforge.inspect.layered_cells import Cell, Segment, leaves
from netforge.inspect.layered_order import ORDER_SWEEPS, order_ranks
from netforge.inspect.layered_place import PLACE_SWEEPS, place_cells, straighten

Point = tuple[float, float]  # (across, along)

RANK_GAP, STEEPNESS, MOST_RANK_GAP = 30.0, 0.09, 96.0  # room along between ranks, more where wires go far across
WORK = 400_000  # cells times sweeps: larger graphs get fewer sweeps
WIGGLE = 10.0  # a wire that would go across by less goes straight, into its box beside the place meant for it


@dataclass(frozen=True)
class Slot:
    """The room of one box.

    across, along: of the whole, its labels included. left, width: where across the box itself lies in it; wires reach
    it there. exit: where along the box ends and its wires begin.
    """

    across: float
    along: float
    left: float
    width: float
    exit: float


@dataclass(frozen=True)
class Wire:
    """From one box to others. port: where across it leaves, from the beginning of the source's room."""

    source: int
    port: float
    readers: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A part of a route: a straight line along, or a curve that begins and ends along."""

    start: Point
    end: Point


@dataclass(frozen=True)
class Layout:
    """corners: (across, along) of the room of each box. routes: by wire, one for each of its readers. size: of all."""

    corners: list[Point]
    routes: list[list[tuple[Piece, ...]]]
    ranks: list[int]
    size: Point


def lay_out(slots: Sequence[Slot], wires: Sequence[Wire]) -> Layout:
    """Place boxes and wires; a wire goes from a box only to boxes that follow it in `slots`."""
    return _Layering(slots, wires).layout()


def longest_paths(count: int, wires: Sequence[Wire]) -> list[int]:
    """The rank of each box: behind all it reads; one that reads nothing stands just before the first that reads it."""
    ranks = [0] * count
    reads: list[list[int]] = [[] for _ in range(count)]
    feeds: list[list[int]] = [[] for _ in range(count)]
    for wire in wires:
        for reader in wire.readers:
            reads[reader].append(wire.source)
            feeds[wire.source].append(reader)
    for node in range(count):
        ranks[node] = max((ranks[source] + 1 for source in reads[node]), default=0)
    for node in range(count):
        if feeds[node] and not reads[node]:
            ranks[node] = min(ranks[reader] for reader in feeds[node]) - 1
    return ranks


class _Layering:
    """The steps of the layout, each on the result of the one before."""

    def __init__(self, slots: Sequence[Slot], wires: Sequence[Wire]) -> None:
        self.slots, self.wires = slots, wires
        self.rank_of = longest_paths(len(slots), wires)
        self.cells = [Cell(slot.across, number, self.rank_of[number]) for number, slot in enumerate(slots)]
        self.ranks: list[list[Cell]] = [[] for _ in range(max(self.rank_of, default=-1) + 1)]
        for cell in self.cells:
            self.ranks[cell.rank].append(cell)
        self.paths: list[list[tuple[Segment, ...]]] = [self._connect(wire) for wire in wires]
        total = max(1, sum(map(len, self.ranks)))
        self.effort = min(1.0, WORK / (total * (ORDER_SWEEPS + PLACE_SWEEPS)))

    def _connect(self, wire: Wire) -> list[tuple[Segment, ...]]:
        """Cells for the ranks that a wire passes, joined to one trunk; the segments on the way to each reader."""
        at, start = self.cells[wire.source], wire.port
        last = max((self.rank_of[reader] for reader in wire.readers), default=0)
        trunk: list[Segment] = []
        paths: dict[int, tuple[Segment, ...]] = {}
        for rank in range(at.rank + 1, last + 1):
            for reader in wire.readers:
                if self.rank_of[reader] == rank and reader not in paths:
                    paths[reader] = (*trunk, self._join(at, self.cells[reader], start))
            if rank < last:
                passage = Cell(0.0, None, rank)
                self.ranks[rank].append(passage)
                trunk.append(self._join(at, passage, start))
                at, start = passage, 0.0
        return [paths[reader] for reader in wire.readers]

    def _join(self, upper: Cell, lower: Cell, start: float) -> Segment:
        segment = Segment(upper, lower, start)
        upper.below.append(segment)
        lower.above.append(segment)
        return segment

    def layout(self) -> Layout:
        """All steps."""
        self.ranks = order_ranks(self.ranks, self.effort)
        self._set_entries()
        place_cells(self.ranks, self.effort)
        straighten(self.ranks)
        first = min((cell.x for rank in self.ranks for cell in rank), default=0.0)
        for rank in self.ranks:
            for cell in rank:
                cell.x = round(cell.x - first)
        self._avoid_wiggles()
        tops, depths = self._place_ranks()
        corners = [(cell.x, tops[cell.rank]) for cell in self.cells]
        routes = [[self._route(path, tops, depths) for path in paths] for paths in self.paths]
        width = max((cell.x + cell.across for rank in self.ranks for cell in rank), default=0.0)
        return Layout(corners, routes, self.rank_of, (width, tops[-1] + depths[-1] if tops else 0.0))

    def _set_entries(self) -> None:
        """Where wires enter boxes: side by side in the order in which they come."""
        for number, cell in enumerate(self.cells):
            slot, segments = self.slots[number], sorted(cell.above, key=leaves)
            for index, segment in enumerate(segments):
                segment.end = slot.left + round(slot.width * (index + 1) / (len(segments) + 1))

    def _avoid_wiggles(self) -> None:
        """Let a wire enter a box a little beside the place that was meant for it, rather than bend a little."""
        for cell in self.cells:
            number = len(cell.above)
            for segment in cell.above:
                bend = segment.upper.x + segment.start - cell.x - segment.end
                room = self.slots[cell.node or 0].width / (number + 1) / 2.5
                if abs(bend) < min(WIGGLE, room):
                    segment.end += bend

    # --- ranks and routes ------------------------------------------------------------------------------------------

    def _place_ranks(self) -> tuple[list[float], list[float]]:
        """Where along each rank begins, and how deep it is."""
        depths = [
            max((self.slots[c.node].along for c in rank if c.node is not None), default=0.0) for rank in self.ranks
        ]
        tops, along = [], 0.0
        for rank, depth in zip(self.ranks, depths, strict=True):
            tops.append(along)
            far = max((abs(s.upper.x + s.start - s.lower.x - s.end) for cell in rank for s in cell.below), default=0.0)
            along += math.ceil(depth + min(MOST_RANK_GAP, RANK_GAP + STEEPNESS * far))
        return tops, depths

    def _route(self, path: tuple[Segment, ...], tops: list[float], depths: list[float]) -> tuple[Piece, ...]:
        pieces = []
        for segment in path:
            upper, lower = segment.upper, segment.lower
            top = tops[upper.rank] + (self.slots[upper.node].exit if upper.node is not None else 0.0)
            bottom = tops[upper.rank] + depths[upper.rank]
            start = upper.x + segment.start
            if bottom > top:
                pieces.append(Piece((start, top), (start, bottom)))
            pieces.append(Piece((start, bottom), (lower.x + segment.end, tops[lower.rank])))
        return tuple(pieces)
