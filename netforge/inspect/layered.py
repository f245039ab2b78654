"""Layout of a directed graph in ranks: where boxes stand and which way wires take between them.

The method of Sugiyama, Tagawa and Toda (1981): ranks by longest paths, places inside wires that pass ranks, orders by
barycentres that reduce crossings, then coordinates that keep wires straight. Lengths are "along" the wires or "across"
them, so that the same layout serves drawings from top to bottom and from left to right.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

Point = tuple[float, float]  # (across, along)

GAP, WIRE_GAP = 26.0, 15.0  # least room across between boxes, and between wires or a wire and a box
RANK_GAP, STEEPNESS, MOST_RANK_GAP = 30.0, 0.09, 96.0  # room along between ranks, more where wires go far across
ORDER_SWEEPS, PLACE_SWEEPS = 12, 10
STRAIGHTENED = 3  # times that chains are put into line: one may make room for another
WORK = 400_000  # cells times sweeps: larger graphs get fewer sweeps
WIGGLE = 10.0  # a wire that would go across by less goes straight, into its box beside the place meant for it
STRAIGHT, PAIRED = 8.0, 3.0  # weights: of a wire that passes two ranks, of the one wire between two boxes


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


@dataclass(eq=False)
class _Cell:
    """What takes room in a rank: a box, or the passage of a wire. x: where it begins, across."""

    across: float
    node: int | None
    rank: int
    order: int = 0
    x: float = 0.0
    above: list[_Segment] = field(default_factory=list)
    below: list[_Segment] = field(default_factory=list)


@dataclass(eq=False)
class _Segment:
    """A wire between neighbouring ranks. start, end: where across it leaves and enters, from the cells' beginnings."""

    upper: _Cell
    lower: _Cell
    start: float
    end: float = 0.0

    @property
    def weight(self) -> float:
        """How much it counts that it is straight."""
        if self.upper.node is None and self.lower.node is None:
            return STRAIGHT
        return PAIRED if len(self.upper.below) == 1 and len(self.lower.above) == 1 else 1.0


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
        self.cells = [_Cell(slot.across, number, self.rank_of[number]) for number, slot in enumerate(slots)]
        self.ranks: list[list[_Cell]] = [[] for _ in range(max(self.rank_of, default=-1) + 1)]
        for cell in self.cells:
            self.ranks[cell.rank].append(cell)
        self.paths: list[list[tuple[_Segment, ...]]] = [self._connect(wire) for wire in wires]
        total = max(1, sum(map(len, self.ranks)))
        self.effort = min(1.0, WORK / (total * (ORDER_SWEEPS + PLACE_SWEEPS)))

    def _connect(self, wire: Wire) -> list[tuple[_Segment, ...]]:
        """Cells for the ranks that a wire passes, joined to one trunk; the segments on the way to each reader."""
        at, start = self.cells[wire.source], wire.port
        last = max((self.rank_of[reader] for reader in wire.readers), default=0)
        trunk: list[_Segment] = []
        paths: dict[int, tuple[_Segment, ...]] = {}
        for rank in range(at.rank + 1, last + 1):
            for reader in wire.readers:
                if self.rank_of[reader] == rank and reader not in paths:
                    paths[reader] = (*trunk, self._join(at, self.cells[reader], start))
            if rank < last:
                passage = _Cell(0.0, None, rank)
                self.ranks[rank].append(passage)
                trunk.append(self._join(at, passage, start))
                at, start = passage, 0.0
        return [paths[reader] for reader in wire.readers]

    def _join(self, upper: _Cell, lower: _Cell, start: float) -> _Segment:
        segment = _Segment(upper, lower, start)
        upper.below.append(segment)
        lower.above.append(segment)
        return segment

    def layout(self) -> Layout:
        """All steps."""
        self._order()
        self._set_entries()
        self._place()
        self._straighten()
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

    # --- orders ----------------------------------------------------------------------------------------------------

    def _order(self) -> None:
        """Sort each rank by the means of its neighbours, up and down, and keep the order with fewest crossings."""
        self._number()
        best, kept, waited = self._crossings(), [list(rank) for rank in self.ranks], 0
        for sweep in range(max(2, round(ORDER_SWEEPS * self.effort))):
            downward = sweep % 2 == 0
            for rank in self.ranks if downward else reversed(self.ranks):
                _sort(rank, downward)
            crossings = self._crossings()
            waited = 0 if crossings < best else waited + 1
            if crossings < best or (sweep == 0 and crossings == best):
                best, kept = crossings, [list(rank) for rank in self.ranks]
            if not best or waited > 3:
                break
        self.ranks = kept
        self._number()

    def _number(self) -> None:
        for rank in self.ranks:
            for order, cell in enumerate(rank):
                cell.order = order

    def _crossings(self) -> int:
        count = 0
        for rank in self.ranks[:-1]:
            pairs = sorted((_leaves(s), s.lower.order) for cell in rank for s in cell.below)
            seen: list[int] = []
            for _, end in pairs:
                count += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return count

    def _set_entries(self) -> None:
        """Where wires enter boxes: side by side in the order in which they come."""
        for number, cell in enumerate(self.cells):
            slot, segments = self.slots[number], sorted(cell.above, key=_leaves)
            for index, segment in enumerate(segments):
                segment.end = slot.left + round(slot.width * (index + 1) / (len(segments) + 1))

    # --- coordinates -----------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Move cells to where their wires are straight, as far as their neighbours let them."""
        for rank in self.ranks:
            _settle(rank, [0.0] * len(rank), [1.0] * len(rank))
        sweeps = max(3, round(PLACE_SWEEPS * self.effort))
        for sweep in range(sweeps):
            last = sweep >= sweeps - 2
            for rank in self.ranks:
                _pull(rank, up=True, down=last)
            for rank in reversed(self.ranks):
                _pull(rank, up=last, down=True)

    def _straighten(self) -> None:
        """Give chains of cells one place across, as far as there is one that is free in all of their ranks."""
        chains = sorted(self._chains(), key=len, reverse=True)
        for _ in range(STRAIGHTENED):
            for chain in chains:
                first = 0
                while first < len(chain):
                    first += self._align(chain[first:])

    def _chains(self) -> Iterator[list[tuple[_Cell, float]]]:
        """Cells that should stand in one line, each with its place by that of the first one."""
        below = {s.upper: s for rank in self.ranks for cell in rank for s in cell.below if s.weight > 1}
        inner = {segment.lower for segment in below.values()}
        for cell in (cell for rank in self.ranks for cell in rank if cell in below and cell not in inner):
            chain, offset, at = [(cell, 0.0)], 0.0, cell
            while at in below:
                offset += below[at].start - below[at].end
                at = below[at].lower
                chain.append((at, offset))
            yield chain

    def _align(self, chain: list[tuple[_Cell, float]]) -> int:
        """Put the first cells of a chain in one line, as many as there is room for; the number of them."""
        low, high, count = -1e9, 1e9, 0
        for cell, offset in chain:
            rank = self.ranks[cell.rank]
            before = rank[cell.order - 1] if cell.order else None
            after = rank[cell.order + 1] if cell.order + 1 < len(rank) else None
            least = max(low, before.x + _distance(before, cell) - offset if before else low)
            most = min(high, after.x - _distance(cell, after) - offset if after else high)
            if least > most:
                break
            low, high, count = least, most, count + 1
        if not count:  # no room at all, not even where it stands, but for rounding
            return 1
        line = chain[:count]
        wishes = [median(cell.x - offset for cell, offset in line)]
        if all(cell.node is None for cell, _ in line):
            ends = [s.upper.x + s.start for s in line[0][0].above] + [s.lower.x + s.end for s in line[-1][0].below]
            wishes = [end - (line[-1][1] if i else 0.0) for i, end in enumerate(ends[:2])] + wishes
        place = next((wish for wish in wishes if low <= wish <= high), min(max(wishes[-1], low), high))
        for cell, offset in line:
            cell.x = place + offset
        return count

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

    def _route(self, path: tuple[_Segment, ...], tops: list[float], depths: list[float]) -> tuple[Piece, ...]:
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


def _leaves(segment: _Segment) -> float:
    """Where a segment leaves its rank, in units of cells."""
    return segment.upper.order + (segment.start / segment.upper.across if segment.upper.across else 0.5)


def _sort(rank: list[_Cell], downward: bool) -> None:
    """Order a rank by the mean of where its wires come from; cells without wires on that side keep their places."""
    means: dict[_Cell, float] = {}
    for cell in rank:
        ends = [_leaves(s) for s in cell.above] if downward else [s.lower.order + 0.5 for s in cell.below]
        if ends:
            means[cell] = sum(ends) / len(ends)
    movable = iter(sorted(means, key=means.__getitem__))
    rank[:] = [next(movable) if cell in means else cell for cell in rank]
    for order, cell in enumerate(rank):
        cell.order = order


def _pull(rank: list[_Cell], *, up: bool, down: bool) -> None:
    """Move a rank towards the cells above it, below it, or both."""
    wishes, weights = [], []
    for cell in rank:
        pulls = [(s.upper.x + s.start - s.end, s.weight) for s in cell.above] if up else []
        pulls += [(s.lower.x + s.end - s.start, s.weight) for s in cell.below] if down else []
        weight = sum(w for _, w in pulls)
        wishes.append(sum(x * w for x, w in pulls) / weight if pulls else cell.x)
        weights.append(weight or 0.01)
    _settle(rank, wishes, weights)


def _settle(rank: list[_Cell], wishes: Sequence[float], weights: Sequence[float]) -> None:
    """Give the cells of a rank the places nearest to their wishes that keep order and distances.

    Nearest in the sense of least weighted squares: isotonic regression by pooling adjacent violators.
    """
    offsets, offset = [], 0.0
    for number, cell in enumerate(rank):
        offset += _distance(rank[number - 1], cell) if number else 0.0
        offsets.append(offset)
    pools: list[tuple[float, float, int]] = []  # mean, weight, cells
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] >= mean:
            other, other_weight, other_count = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    places = (mean for mean, _, count in pools for _ in range(count))
    for cell, place, offset in zip(rank, places, offsets, strict=True):
        cell.x = place + offset


def _distance(left: _Cell, right: _Cell) -> float:
    """From the beginning of a cell to the beginning of the next, at least."""
    return left.across + (GAP if left.node is not None and right.node is not None else WIRE_GAP)
