"""Where the dashed lines run that join boxes with shared weights: beside boxes, around them, never through one.

Places are (across, along), as those of `Layout`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import NamedTuple

from netforge.inspect.canvas import Point
from netforge.inspect.layered import Layout, Slot

INSIDE = 14.0  # how far from the end of a box lines meet its side
BESIDE, ABOVE = 12.0, 10.0  # how far outside they run
CLEAR = 3.0  # as near as they come to other boxes


class _Extent(NamedTuple):
    """Where a box lies: from `low` to `high` across, from `start` to `end` along."""

    low: float
    high: float
    start: float
    end: float


class Ties:
    """The lines between boxes of a layout; slots: the room of each of them."""

    def __init__(self, layout: Layout, slots: Sequence[Slot]) -> None:
        self._ranks = layout.ranks
        self._extents = [
            _Extent(across + slot.left, across + slot.left + slot.width, along, along + slot.exit)
            for slot, (across, along) in zip(slots, layout.corners, strict=True)
        ]

    def lines(self, nodes: Sequence[int], number: int) -> Iterator[list[Point]]:
        """The lines of a group of boxes: in each rank from box to box, and from each rank to the next that has some.

        number: of the group; the lines of different ones keep apart.
        """
        ranks: dict[int, list[int]] = {}
        for node in sorted(nodes, key=lambda node: (self._ranks[node], self._extents[node].low)):
            ranks.setdefault(self._ranks[node], []).append(node)
        for same in ranks.values():
            yield from (self._within(first, second) for first, second in pairwise(same))
        for ones, twos in pairwise(ranks.values()):
            first, second = min(product(ones, twos), key=lambda pair: self._distance(*pair))
            yield from self._between(first, second, number)

    def _within(self, first: int, second: int) -> list[Point]:
        """From side to side of two boxes of a rank, or around what lies between them."""
        one, two, rank = self._extents[first], self._extents[second], self._ranks[first]
        between = any(
            rank == other and one.low < box.low < two.low for other, box in zip(self._ranks, self._extents, strict=True)
        )
        if not between:
            return [(one.high, one.start + INSIDE), (two.low, one.start + INSIDE)]
        left, right, above = one.high - BESIDE, two.low + BESIDE, one.start - ABOVE
        return [(left, one.start), (left, above), (right, above), (right, two.start)]

    def _between(self, first: int, second: int, number: int) -> Iterator[list[Point]]:
        """From a box to one of a later rank, between both or beside them; nothing where other boxes are in the way."""
        one, two = self._extents[first], self._extents[second]
        if one.high < two.low or two.high < one.low:
            start, end = (one.high, two.low) if one.high < two.low else (one.low, two.high)
            aside = (number % 5 - 2) * min(6.0, abs(end - start) / 10)
            shares = (0.5, 0.75, 0.25)  # of the way from one side to the other
            places = ((start + end) / 2 + aside, *(start + (end - start) * share for share in shares))
            ways = [(start, place, end) for place in places]
        else:
            low, high = min(one.low, two.low) - BESIDE, max(one.high, two.high) + BESIDE
            ways = [(one.low, low, two.low), (one.high, high, two.high)]
        for leave, beside, arrive in ways:
            y, end = one.end - INSIDE, two.start + INSIDE
            corners = [(leave, y), (beside, y), (beside, end), (arrive, end)]
            if self._is_free(corners, {first, second}):
                yield corners
                return

    def _distance(self, first: int, second: int) -> float:
        return abs(self._extents[first].low - self._extents[second].low)

    def _is_free(self, corners: Sequence[Point], own: set[int]) -> bool:
        """Whether a line of upright and level pieces meets no box but `own`."""
        others = [box for node, box in enumerate(self._extents) if node not in own]
        for (x, y), (to, end) in pairwise(corners):
            for box in others:
                beside = max(x, to) < box.low - CLEAR or min(x, to) > box.high + CLEAR
                if not (beside or max(y, end) < box.start - CLEAR or min(y, end) > box.end + CLEAR):
                    return False
        return True
