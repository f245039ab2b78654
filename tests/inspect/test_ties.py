"""Dashed lines between boxes with shared weights: where they run, and where there is no way for one."""

from __future__ import annotations

from netforge.inspect.layered import Layout, Slot
from netforge.inspect.ties import BESIDE, INSIDE, Ties

SLOT = Slot(100, 60, 0, 100, 40)  # a box of 100 x 40 with 20 below it for a label


def ties(*boxes: tuple[float, int]) -> Ties:
    """Boxes at (across, rank); ranks are 100 apart."""
    corners = [(across, 100.0 * rank) for across, rank in boxes]
    layout = Layout(corners, [], [rank for _, rank in boxes], (1000.0, 1000.0))
    return Ties(layout, [SLOT] * len(boxes))


def lines(found: Ties, *nodes: int) -> list[list[tuple[float, float]]]:
    return list(found.lines(nodes, 2))


def test_neighbours_are_joined_straight_and_others_around_what_is_between() -> None:
    assert lines(ties((0, 0), (150, 0)), 0, 1) == [[(100, INSIDE), (150, INSIDE)]]
    (around,) = lines(ties((0, 0), (150, 0), (300, 0)), 0, 2)
    assert min(y for _, y in around) < 0


def test_a_box_of_a_later_rank_is_reached_between_both() -> None:
    (line,) = lines(ties((0, 0), (200, 1)), 0, 1)
    assert line == [(100, 40 - INSIDE), (150, 40 - INSIDE), (150, 100 + INSIDE), (200, 100 + INSIDE)]
    (back,) = lines(ties((200, 0), (0, 1)), 0, 1)
    assert (back[0], back[-1]) == ((200, 40 - INSIDE), (100, 100 + INSIDE))


def test_boxes_below_one_another_are_joined_beside_them_on_the_free_side() -> None:
    (left,) = lines(ties((0, 0), (0, 1)), 0, 1)
    assert {x for x, _ in left} == {0, -BESIDE}
    (right,) = lines(ties((0, 0), (0, 2), (-105, 1)), 0, 1)
    assert {x for x, _ in right} == {100, 100 + BESIDE}


def test_where_boxes_are_in_every_way_there_is_no_line() -> None:
    assert lines(ties((0, 0), (0, 2), (-105, 1), (105, 1)), 0, 1) == []
    assert lines(ties((0, 0), (300, 2), (120, 0), (120, 1), (180, 2)), 0, 1) == []


def test_several_ranks_are_joined_one_after_another_from_the_nearest_box() -> None:
    found = lines(ties((0, 0), (200, 0), (250, 1), (250, 2)), 0, 1, 2, 3)
    assert [(line[0], line[-1]) for line in found] == [
        ((100, INSIDE), (200, INSIDE)),
        ((200, 40 - INSIDE), (250, 100 + INSIDE)),
        ((250, 140 - INSIDE), (250, 200 + INSIDE)),
    ]
