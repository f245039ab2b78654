"""Where the cells of a layout stand across: near their neighbours in other ranks, and in line with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from netforge.inspect.layered_cells import Cell, distance

PLACE_SWEEPS = 10
STRAIGHTENED = 3  # times that chains are put into line: one may make room for another


def place_cells(ranks: list[list[Cell]], effort: float) -> None:
    """Move cells to where their wires are straight, as far as their neighbours let them.

    effort: the share (0 to 1) of PLACE_SWEEPS that there is time for.
    """
    for rank in ranks:
        _settle(rank, [0.0] * len(rank), [1.0] * len(rank))
    sweeps = max(3, round(PLACE_SWEEPS * effort))
    for sweep in range(sweeps):
        last = sweep >= sweeps - 2
        for rank in ranks:
            _pull(rank, up=True, down=last)
        for rank in reversed(ranks):
            _pull(rank, up=last, down=True)


def straighten(ranks: list[list[Cell]]) -> None:
    """Give chains of cells one place across, as far as there is one that is free in all of their ranks."""
    chains = sorted(_chains(ranks), key=len, reverse=True)
    for _ in range(STRAIGHTENED):
        for chain in chains:
            first = 0
            while first < len(chain):
                first += _align(ranks, chain[first:])


def _chains(ranks: list[list[Cell]]) -> Iterator[list[tuple[Cell, float]]]:
    """Cells that should stand in one line, each with its place by that of the first one."""
    below = {s.upper: s for rank in ranks for cell in rank for s in cell.below if s.weight > 1}
    inner = {segment.lower for segment in below.values()}
    for cell in (cell for rank in ranks for cell in rank if cell in below and cell not in inner):
        chain, offset, at = [(cell, 0.0)], 0.0, cell
        while at in below:
            offset += below[at].start - below[at].end
            at = below[at].lower
            chain.append((at, offset))
        yield chain


def _align(ranks: list[list[Cell]], chain: list[tuple[Cell, float]]) -> int:
    """Put the first cells of a chain in one line, as many as there is room for; the number of them."""
    low, high, count = -math.inf, math.inf, 0
    for cell, offset in chain:
        rank = ranks[cell.rank]
        before = rank[cell.order - 1] if cell.order else None
        after = rank[cell.order + 1] if cell.order + 1 < len(rank) else None
        least = max(low, before.x + distance(before, cell) - offset if before else low)
        most = min(high, after.x - distance(cell, after) - offset if after else high)
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


def _pull(rank: list[Cell], *, up: bool, down: bool) -> None:
    """Move a rank towards the cells above it, below it, or both."""
    wishes, weights = [], []
    for cell in rank:
        pulls = [(s.upper.x + s.start - s.end, s.weight) for s in cell.above] if up else []
        pulls += [(s.lower.x + s.end - s.start, s.weight) for s in cell.below] if down else []
        weight = sum(w for _, w in pulls)
        wishes.append(sum(x * w for x, w in pulls) / weight if pulls else cell.x)
        weights.append(weight or 0.01)
    _settle(rank, wishes, weights)


def _settle(rank: list[Cell], wishes: Sequence[float], weights: Sequence[float]) -> None:
    """Give the cells of a rank the places nearest to their wishes that keep order and distances.

    Nearest in the sense of least weighted squares: isotonic regression by pooling adjacent violators.
    """
    offsets, offset = [], 0.0
    for number, cell in enumerate(rank):
        offset += distance(rank[number - 1], cell) if number else 0.0
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
