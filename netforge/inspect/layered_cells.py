"""What a layout in ranks is made of: cells, which take room in a rank, and the segments of wires between them."""

from __future__ import annotations

from dataclasses import dataclass, field

GAP, WIRE_GAP = 26.0, 15.0  # least room across between boxes, and between wires or a wire and a box
STRAIGHT, PAIRED = 8.0, 3.0  # weights: of a wire that passes two ranks, of the one wire between two boxes


@dataclass(eq=False)
class Cell:
    """What takes room in a rank: a box, or the passage of a wire. x: where it begins, across."""

    across: float
    node: int | None
    rank: int
    order: int = 0
    x: float = 0.0
    above: list[Segment] = field(default_factory=list)
    below: list[Segment] = field(default_factory=list)


@dataclass(eq=False)
class Segment:
    """A wire between neighbouring ranks. start, end: where across it leaves and enters, from the cells' beginnings."""

    upper: Cell
    lower: Cell
    start: float
    end: float = 0.0

    @property
    def weight(self) -> float:
        """How much it counts that it is straight."""
        if self.upper.node is None and self.lower.node is None:
            return STRAIGHT
        return PAIRED if len(self.upper.below) == 1 and len(self.lower.above) == 1 else 1.0


def leaves(segment: Segment) -> float:
    """Where a segment leaves its rank, in units of cells."""
    return segment.upper.order + (segment.start / segment.upper.across if segment.upper.across else 0.5)


def distance(left: Cell, right: Cell) -> float:
    """From the beginning of a cell to the beginning of the next, at least."""
    return left.across + (GAP if left.node is not None and right.node is not None else WIRE_GAP)
