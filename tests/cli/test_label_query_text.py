"""How often labels were drawn, in words."""

from __future__ import annotations

import numpy as np

from netforge.cli.label_query_text import log_lines, screen_texts
from netforge.data.labels.label_queries import LabelQueryCounts


def entry(counts: list[int], images: list[int] | None, name: str = "tiny") -> LabelQueryCounts:
    sizes = None if images is None else np.array(images)
    return LabelQueryCounts(name, np.arange(len(counts)), np.array(counts), sizes)


def test_few_labels_are_listed() -> None:
    few = [entry([10, 30], [4, 12])]
    assert screen_texts(few) == ["25.0 75.0 %   2.50 epochs"]
    assert log_lines(few) == ["Label query hit percent: {25.00 %, 75.00 %}", "Label query epochs: {2.50, 2.50}"]


def test_of_many_labels_the_range_is_shown() -> None:
    many = [entry([1] * 11 + [9], [2] * 12)]
    assert screen_texts(many) == ["5.00 to 45.00 % each of 12 labels   0.50 to 4.50 epochs"]
    percent, epochs = log_lines(many)
    assert percent.startswith("Label query hit percent: {5.00 %, 5.00 %") and percent.endswith("5.00 %, ... 12 labels}")
    assert epochs.count("0.50") == 10


def test_several_sources_are_named_and_unknown_sizes_left_out() -> None:
    both = [entry([1], None, "a"), entry([1], [1], "b")]
    assert screen_texts(both) == ["a   100.0 %", "b   100.0 %   1.00 epochs"]
    assert [line.partition(":")[0] for line in log_lines(both)] == [
        "Label query hit percent of a",
        "Label query hit percent of b",
        "Label query epochs of b",
    ]
