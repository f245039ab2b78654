"""Counting draws: exact, by the label in use in the source, whatever a net makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data import ArraySource
from netforge.data.batches.turns import QuarterTurns
from netforge.data.labels import label_queries
from netforge.data.labels.label_queries import LabelQueries, LabelQueryCounts, by_source
from netforge.data.source import RelabelledSource


def source_of(labels: list[int], name: str = "x") -> ArraySource:
    return ArraySource(name, np.zeros((len(labels), 1, 2, 2), np.uint8), labels)


def counts_of(queries: LabelQueries) -> dict[int, int]:
    found = queries.counts
    return dict(zip(found.labels.tolist(), found.counts.tolist(), strict=True))


def drawn(queries: LabelQueries, source: ArraySource, images: list[list[int]]) -> dict[int, int]:
    for batch in images:
        indices = np.array(batch, np.int64)[:, None]
        queries.add(indices, source.labels[np.maximum(indices, 0)])
    return counts_of(queries)


@pytest.mark.parametrize("folded_at", [1, 5, 32_768])
def test_counts_percent_and_epochs(folded_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_queries, "FOLDED_AT", folded_at)
    source = source_of([7, -2, 7, 3])
    queries = LabelQueries(source)
    assert drawn(queries, source, [[0, 2], [0, 1], [0], [-1, 2, 1]]) == {-2: 2, 3: 0, 7: 5}
    found = queries.counts
    assert found.images is not None and found.images.tolist() == [1, 1, 2]
    np.testing.assert_allclose(found.hit_percent, [200 / 7, 0, 500 / 7])
    assert found.epochs is not None and found.epochs.tolist() == [2, 0, 2.5]


def test_before_the_first_draw_all_is_zero() -> None:
    found = LabelQueries(source_of([4, 4, 6])).counts
    assert found.epochs is not None
    assert (found.labels.tolist(), found.hit_percent.tolist(), found.epochs.tolist()) == ([4, 6], [0, 0], [0, 0])


def test_labels_of_any_size_are_counted() -> None:
    labels = [0, 5, 1 << 20, 5, -3]
    source = source_of(labels)
    assert drawn(LabelQueries(source), source, [[0, 1], [2, 3, 3], [4]]) == {-3: 1, 0: 1, 5: 3, 1 << 20: 1}


def test_the_label_in_use_is_counted_whatever_is_made_of_it() -> None:
    stored = source_of([0, 1, 1, 2])
    mapped = RelabelledSource(stored, {1: 0, 2: 9})
    turned = QuarterTurns(mapped)
    assert drawn(LabelQueries(mapped), mapped, [[0, 1], [3]]) == {0: 1, 1: 1, 2: 1}
    assert drawn(LabelQueries(turned), turned, [[1, 4 + 1, 8 + 2], [12 + 3]]) == {0: 0, 1: 3, 2: 1}


def test_a_source_whose_labels_are_dear_is_not_read_through(monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of([5, 5, 8])
    monkeypatch.setattr(ArraySource, "labels_are_cheap", False)
    queries = LabelQueries(source)
    queries.add(np.array([0, 2, 2]), np.array([5, 8, 8]))
    monkeypatch.delattr(ArraySource, "labels")
    found = queries.counts
    assert (found.labels.tolist(), found.counts.tolist(), found.images, found.epochs) == ([5, 8], [1, 2], None, None)


def test_a_state_goes_on_where_it_was() -> None:
    source = source_of([0, 1, 1])
    one, other = LabelQueries(source), LabelQueries(source)
    drawn(one, source, [[0, 1, 2]])
    other.add(np.array([0]), np.array([0]))
    other.restore(one.state())
    assert drawn(other, source, [[1]]) == {0: 1, 1: 3}
    other.restore({"position": 3})
    assert counts_of(other) == {0: 0, 1: 0}


def test_layers_of_one_source_are_one() -> None:
    def entry(name: str, labels: list[int], counts: list[int], images: list[int] | None) -> LabelQueryCounts:
        return LabelQueryCounts(name, *(None if part is None else np.array(part) for part in (labels, counts, images)))

    a, b = by_source(
        [entry("a", [0, 1], [2, 3], [4, 4]), entry("b", [0], [9], None), entry("a", [1, 5], [1, 7], [4, 1])]
    )
    assert (a.source, a.labels.tolist(), a.counts.tolist()) == ("a", [0, 1, 5], [2, 4, 7])
    assert a.images is not None and a.images.tolist() == [4, 4, 0]
    assert a.epochs is not None and a.epochs.tolist() == [0.5, 1, np.inf]
    assert (b.source, b.counts.tolist(), b.images) == ("b", [9], None)
