"""Balanced labels, boosted images and followers: what is drawn how often, and that a draw follows from its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data import ImageDatabase
from netforge.data.batches.selections import BOOST_BLOCK, Among, Boosted, Followed, LabelBalanced
from netforge.data.sampling import ClassIndex, Selection, Sequential, Shuffled
from netforge.device.random import RandomStream
from tests.data.helpers import array_source

LABELS = np.array([5] * 7 + [2] * 3 + [9] + [5] * 2)


def stream(name: str) -> RandomStream:
    return RandomStream(3, name)


def balanced(*, shuffled: bool = True, labels: np.ndarray = LABELS) -> LabelBalanced:
    index = ClassIndex(labels)
    count = len(index.labels)
    order = Shuffled(count, stream("labels")) if shuffled else Sequential(count)
    return LabelBalanced(index, order, stream("images") if shuffled else None)


def boosted(share: float = 0.3) -> Boosted:
    rows = np.array([4, 8, 9])
    return Boosted(Shuffled(50, stream("others")), Among(rows, Shuffled(3, stream("boosted"))), share, stream("places"))


SELECTIONS: dict[str, Callable[[], Selection]] = {
    "balanced": balanced,
    "balanced, in order": lambda: balanced(shuffled=False),
    "boosted": boosted,
    "followed": lambda: Followed(Shuffled(50, stream("leaders")), 50),
    "boosted labels": lambda: Boosted(balanced(), Among(np.array([1, 3]), Sequential(2)), 0.5, stream("places")),
}


@pytest.mark.parametrize("kind", SELECTIONS)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 3000), st.integers(1, 90))
def test_draws_depend_on_their_numbers_alone(kind: str, lengths: list[int], start: int, length: int) -> None:
    used, fresh = SELECTIONS[kind](), SELECTIONS[kind]()
    ends = np.cumsum([0, *lengths]).tolist()
    parts = [used.take(a, b - a) for a, b in pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate(parts), fresh.take(0, ends[-1]))
    one_by_one = [int(used.take(start + i, 1)[0]) for i in range(length)]
    assert fresh.take(start, length).tolist() == one_by_one


def test_balanced_labels_come_once_an_epoch_and_so_do_their_images() -> None:
    images = balanced().take(0, 3 * 18)
    labels = LABELS[images].reshape(18, 3)
    assert (np.sort(labels, axis=1) == [2, 5, 9]).all() and len(set(map(tuple, labels))) > 1
    for label, size in ((2, 3), (5, 9), (9, 1)):
        runs = images[LABELS[images] == label].reshape(-1, size)
        assert (np.sort(runs, axis=1) == np.flatnonzero(np.equal(LABELS, label))).all()
        assert size < 3 or len(set(map(tuple, runs))) > 1


def test_balanced_labels_in_stored_order() -> None:
    assert balanced(shuffled=False).take(0, 12).tolist() == [7, 0, 10, 8, 1, 10, 9, 2, 10, 7, 3, 10]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_boosted_images_is_exact_and_no_epoch_has_a_gap(share: float) -> None:
    selection, count = boosted(share), 5 * BOOST_BLOCK
    rows = np.array([4, 8, 9])
    drawn = selection.take(0, count)
    extra = int(count * share)
    expected = Counter(Among(rows, Shuffled(3, stream("boosted"))).take(0, extra).tolist() if extra else [])
    expected += Counter(Shuffled(50, stream("others")).take(0, count - extra).tolist() if extra < count else [])
    assert Counter(drawn.tolist()) == expected


def test_boosted_draws_come_at_random_places() -> None:
    rows = np.array([1000])
    selection = Boosted(Sequential(1000), Among(rows, Sequential(1)), 0.5, stream("places"))
    places = np.flatnonzero(selection.take(0, 4 * BOOST_BLOCK) == 1000)
    even, first_half = (places % 2 == 0).mean(), (places % BOOST_BLOCK < BOOST_BLOCK // 2).mean()
    assert 0.45 < even < 0.55 and 0.45 < first_half < 0.55
    assert np.bincount(places // BOOST_BLOCK).tolist() == [BOOST_BLOCK // 2] * 4


def test_followers_come_behind_their_leaders() -> None:
    drawn = Followed(Shuffled(50, stream("leaders")), 50).take(0, 100).reshape(-1, 2)
    assert drawn[:, 0].tolist() == Shuffled(50, stream("leaders")).take(0, 50).tolist()
    assert ((drawn[:, 0] + 1) % 50 == drawn[:, 1]).all()


@pytest.mark.parametrize("groups", [None, np.arange(40) // 8])
@pytest.mark.parametrize("boosts", [None, np.zeros(40, np.int64), np.arange(40) % 3])
def test_boosts_and_groups_come_through_the_cache(
    tmp_path, groups: np.ndarray | None, boosts: np.ndarray | None
) -> None:
    source = array_source()
    with ImageDatabase(tmp_path / "images.db") as database:
        with database.write() as writer:
            writer.add("a", [source.images[:]], source.labels, groups=groups, boosts=boosts)
        for _ in range(2):  # the second time it is in the cache
            opened = database.open("a")
            np.testing.assert_array_equal(opened.labels, source.labels)
            np.testing.assert_equal(opened.groups, groups)
            np.testing.assert_equal(opened.boosts, boosts if boosts is not None and boosts.any() else None)
