"""Counts of a source and measures of its pixels, against plain arithmetic on all images at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ArraySource, ImageDatabase
from netforge.data.care.statistics import ClassCounts, census, pixel_statistics
from netforge.data.formats.mean import read_mean, write_mean
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, datum, fill_database, write_lmdb


@pytest.mark.parametrize("block_values", [1, 700, 1 << 20])
@pytest.mark.parametrize("kind", ["bytes", "floats", "far from zero"])
def test_pixels_are_measured_as_if_all_lay_in_memory(
    kind: str, block_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netforge.data.source.BLOCK_VALUES", block_values)
    pixels = np.random.default_rng(3).integers(0, 256, (23, 3, 4, 5), np.uint8)
    if kind != "bytes":
        pixels = (pixels / 7 - 9 + (1e6 if kind == "far from zero" else 0)).astype(np.float32)
    seen: list[int] = []
    found = pixel_statistics(ArraySource("x", pixels, np.zeros(23)), seen.append)
    exact = pixels.astype(np.float64)
    assert found.dtype == pixels.dtype.name and sum(seen) == 23
    assert found.minimum.tolist() == exact.min((0, 2, 3)).tolist()
    assert found.maximum.tolist() == exact.max((0, 2, 3)).tolist()
    np.testing.assert_allclose(found.mean, exact.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, exact.std((0, 2, 3)), rtol=1e-9)
    np.testing.assert_array_equal(found.mean_image, exact.mean(0).astype(np.float32))


def change(statement: str) -> None:
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.execute(statement)
    connection.close()


def test_a_census_tells_changed_auto_and_disabled_images() -> None:
    fill_database(source=array_source(10, classes=3))  # labels 0 1 2 0 1 2 0 1 2 0
    change("UPDATE images SET label = 2, auto = 1 WHERE position = 0")
    change("UPDATE images SET label = 7 WHERE position = 1")
    change("UPDATE images SET active = 0, auto = 1 WHERE position IN (2, 5)")
    change("UPDATE images SET group_number = position / 5")
    change("INSERT INTO boxes VALUES (1, 2, 0, 1, 0, 0, 1, 1, 0), (1, 3, 0, 1, 0, 0, 1, 1, 0)")
    found = census("tiny.training")
    assert found.classes == (
        ClassCounts(0, "zero", 3),
        ClassCounts(1, "one", 2),
        ClassCounts(2, "2", 2, auto=1, changed=1, disabled=2),
        ClassCounts(7, "7", 1, changed=1),
    )
    assert (found.count, found.groups, found.boxes) == (8, 2, 1)
    assert (found.smallest.label, found.largest.label) == (7, 0)
    some = census("tiny.training", "changed or disabled")
    assert [(entry.label, entry.count, entry.disabled) for entry in some.classes] == [(2, 1, 2), (7, 1, 0)]
    with pytest.raises(DataError, match="no image meets the query 'label = 5'"):
        census("tiny.training", "label = 5")


def test_a_census_of_a_source_that_is_all_disabled() -> None:
    fill_database(source=array_source(4, classes=2))
    change("UPDATE images SET active = 0")
    found = census("tiny.training")
    assert found.count == 0 and [entry.disabled for entry in found.classes] == [2, 2]


def test_a_census_of_other_sources(tmp_path: Path) -> None:
    folder = write_lmdb(tmp_path / "db", {b"%d" % i: datum(np.zeros((1, 2, 2), np.uint8), i % 2) for i in range(5)})
    assert census(str(folder)).classes == (ClassCounts(0, "0", 3), ClassCounts(1, "1", 2))
    assert census("digits.testing").count > 300
    with pytest.raises(UnknownNameError):
        census("nowhere")


def test_a_mean_is_written_as_caffe_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mean = np.random.default_rng(1).random((3, 4, 5)).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", mean)
    np.testing.assert_array_equal(read_mean(tmp_path / "mean.binaryproto"), mean)
    with pytest.raises(DataError, match="the mean file cannot be written"):
        write_mean(tmp_path, mean)
