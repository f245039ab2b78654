"""The order of cells in the ranks of a layout: by barycentres, which reduce crossings."""

from __future__ import annotations

from bisect import bisect_right, insort

from netforge.inspect.layered_cells import Cell, leaves

ORDER_SWEEPS = 12


def order_ranks(ranks: list[list[Cell]], effort: float) -> list[list[Cell]]:
    """Each rank sorted by the means of its neighbours, up and down: the order that had the fewest crossings on the way.

    effort: the share (0 to 1) of ORDER_SWEEPS that there is time for. Cells know their `order` afterwards.
    """
    _number(ranks)
    best, kept, waited = _crossings(ranks), [list(rank) for rank in ranks], 0
    for sweep in range(max(2, round(ORDER_SWEEPS * effort))):
        downward = sweep % 2 == 0
        for rank in ranks if downward else reversed(ranks):
            _sort(rank, downward)
        crossings = _crossings(ranks)
        waited = 0 if crossings < best else waited + 1
        if crossings < best or (sweep == 0 and crossings == best):
            best, kept = crossings, [list(rank) for rank in ranks]
        if not best or waited > 3:
            break
    _number(kept)
    return kept


def _number(ranks: list[list[Cell]]) -> None:
    """Note in each cell its place in its rank."""
    for rank in ranks:
        for order, cell in enumerate(rank):
            cell.order = order


def _crossings(ranks: list[list[Cell]]) -> int:
    count = 0
    for rank in ranks[:-1]:
        pairs = sorted((leaves(s), s.lower.order) for cell in rank for s in cell.below)
        seen: list[int] = []
        for _, end in pairs:
            count += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return count


def _sort(rank: list[Cell], downward: bool) -> None:
    """Order a rank by the mean of where its wires come from; cells without wires on that side keep their places."""
    means: dict[Cell, float] = {}
    for cell in rank:
        ends = [leaves(s) for s in cell.above] if downward else [s.lower.order + 0.5 for s in cell.below]
        if ends:
            means[cell] = sum(ends) / len(ends)
    movable = iter(sorted(means, key=means.__getitem__))
    rank[:] = [next(movable) if cell in means else cell for cell in rank]
    for order, cell in enumerate(rank):
        cell.order = order
