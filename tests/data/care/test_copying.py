"""Sources made of images of others: nothing is lost, nothing changes, and the seed says which."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.data import ArraySource, ImageDatabase, Labels, Source, copy_images, open_source
from netforge.data.care.copying import AutoLabels
from netforge.data.importers.splitting import draw
from netforge.data.labels.ranges import LabelRanges
from netforge.data.store.home import database_path
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, datum, fill_database, write_lmdb


def copied(*sources: str, **options: object) -> list:
    with ImageDatabase() as database:
        return copy_images(database, sources, "new", **options)


def test_a_subset_and_its_rest_are_the_whole() -> None:
    source = array_source(45, classes=4)
    fill_database("old", source)
    few, rest = copied("old", most_per_label=5, seed=1, rest="rest")
    assert (few.count, rest.count, few.shape) == (20, 25, (1, 5, 6))
    new, others = open_source("IMAGEDB", "new"), open_source("IMAGEDB", "rest")
    assert np.bincount(new.labels).tolist() == [5, 5, 5, 5]
    whole = {image.tobytes(): int(label) for image, label in zip(source.images[:], source.labels, strict=True)}
    parts = [
        (image.tobytes(), int(label))
        for part in (new, others)
        for image, label in zip(part.images[:], part.labels, strict=True)
    ]
    assert dict(parts) == whole and len(parts) == len(whole) == 45
    np.testing.assert_allclose(new.mean, new.images[:].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(others.mean, new.mean)
    assert new.class_names == {0: "zero", 1: "one"}


def test_several_sources_are_taken_together_in_their_order() -> None:
    first, second = array_source(10), array_source(7, classes=3)
    with ImageDatabase() as database, database.write() as writer:
        writer.add("a", [first.images[:]], first.labels, groups=np.arange(10), class_names={0: "zero"})
        writer.add("b", [second.images[:]], second.labels, groups=np.arange(7), class_names={0: "zero", 2: "two"})
        writer.add("c", [second.images[:]], second.labels)
    copied("a", "b")
    new = open_source("IMAGEDB", "new")
    np.testing.assert_array_equal(new.images[:], np.concatenate([first.images[:], second.images[:]]))
    assert new.labels.tolist() == [*first.labels, *second.labels]
    assert new.groups.tolist() == [*range(10), *range(7)] and new.class_names == {0: "zero", 2: "two"}
    copied("a", "c", replace=True)
    assert open_source("IMAGEDB", "new").groups is None


def test_original_labels_come_along_and_disabled_images_do_not() -> None:
    fill_database("old", array_source(6, classes=6))
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE images SET active = 0 WHERE position = 1")
        raw.execute("UPDATE images SET label = 9 WHERE position = 2")
        raw.execute("UPDATE sources SET count = 5, label_stamp = 'changed'")
    raw.close()
    copied("old", only_labels="3-9")
    with ImageDatabase() as database:
        assert database.open("new").labels.tolist() == [9, 3, 4, 5]
        assert database.original_labels("new").tolist() == [2, 3, 4, 5]


def fill_with_marks() -> None:
    """Twelve images, of labels 0 to 2: some with boosts, some labelled by a net, one relabelled, one disabled."""
    images = array_source(12).images[:]
    with ImageDatabase() as database:
        with database.write() as writer:
            writer.add("old", [images], np.arange(12) % 3, auto=np.arange(12) % 2, class_names={0: "no", 1: "yes"})
            writer.add("plain", [images], np.arange(12) % 3)
        labels = Labels(database, "old")
        labels.relabel("id = 4", to=2)
        labels.boost("id in 6-8", 3)
        labels.disable("id = 0")


def stored(name: str) -> list[tuple[int, ...]]:
    with sqlite3.connect(database_path()) as raw:
        found = raw.execute(
            "SELECT label, original_label, auto, boost FROM images JOIN sources ON source = id WHERE name = ?"
            " ORDER BY position",
            (name,),
        ).fetchall()
    raw.close()
    return found


def expected(ids: list[int]) -> list[tuple[int, ...]]:
    return [(2 if i == 4 else i % 3, i % 3, i % 2 * (i != 4), 3 * (i in (6, 7, 8))) for i in ids]


def test_a_query_chooses_and_marks_and_boosts_come_along() -> None:
    fill_with_marks()
    copied("old", where="class = yes or boost > 0 or changed", rest="rest")
    assert stored("new") == expected([1, 4, 6, 7, 8, 10]) and stored("rest") == expected([2, 3, 5, 9, 11])
    copied("old", "plain", where="index < 3 and not auto", replace=True)
    assert stored("new") == expected([2]) + [(i % 3, i % 3, 0, 0) for i in (0, 1, 2)]
    with pytest.raises(DataError, match=r"old \+ plain: no image in use meets the query 'label = 7'"):
        copied("old", "plain", where="label = 7", replace=True)
    with pytest.raises(UnknownNameError, match='Did you mean "yes"'):
        copied("old", where="class = yess", replace=True)


def test_only_the_database_answers_queries(tmp_path: Path) -> None:
    folder = write_lmdb(tmp_path / "db", {b"0": datum(np.zeros((1, 4, 4), np.uint8))})
    with pytest.raises(DataError, match="only sources of the image database can be asked by a query"):
        copied(str(folder), where="label = 0")


def test_labels_may_come_from_a_net() -> None:
    fill_with_marks()
    seen: list[np.ndarray] = []

    def net(images: Source) -> AutoLabels:
        """Label 5 for images of label 1, 6 for others; sure of all but every third."""
        seen.append(images.read(np.arange(images.count))[1])
        return AutoLabels(np.where(images.labels == 1, 5, 6), np.arange(images.count) % 3 > 0, {5: "five", 6: "six"})

    copied("old", only_labels="1-2", auto_label=net, rest="rest")
    assert [labels.tolist() for labels in seen] == [[1, 2, 2, 2, 1, 2, 1, 2]]  # images 1, 2, 4, 5, 7, 8, 10 and 11
    assert stored("new") == [(6, 2, 1, 0), (6, 1, 1, 0), (5, 1, 1, 3), (6, 2, 1, 3), (6, 2, 1, 0)]
    assert open_source("IMAGEDB", "new").class_names == {5: "five", 6: "six"}
    assert stored("rest") == expected([1, 3, 5, 6, 9, 10])
    assert open_source("IMAGEDB", "rest").class_names == {0: "no", 1: "yes"}
    copied("old", only_labels="1-2", auto_label=net, most_per_label=1, replace=True)
    assert sorted(row[0] for row in stored("new")) == [5, 6], "labels of the net are counted"
    with pytest.raises(DataError, match='no image is left for source "new"'):
        copied("old", replace=True, auto_label=lambda images: AutoLabels(images.labels, images.labels < 0, {}))


@given(
    labels=st.lists(st.integers(-3, 4), min_size=1, max_size=60).map(np.array),
    most=st.integers(1, 9),
    seed=st.integers(0, 5),
)
def test_the_draw_is_full_and_depends_on_the_seed_and_its_label_alone(labels: np.ndarray, most: int, seed: int) -> None:
    everything = np.ones(len(labels), np.bool_)
    chosen = draw(labels, everything, most, seed)
    for label in np.unique(labels):
        assert chosen[labels == label].sum() == min(most, (labels == label).sum())
        only = draw(labels, labels == label, most, seed)
        np.testing.assert_array_equal(only, chosen & (labels == label))
    np.testing.assert_array_equal(chosen, draw(labels, everything, most, seed))
    assert (draw(labels, everything, most + 1, seed) | ~chosen).all(), "more of a label: the same ones and others"


def test_draws_of_other_seeds_differ_and_all_images_are_as_likely() -> None:
    labels, everything = np.zeros(12, np.int64), np.ones(12, np.bool_)
    times = sum(draw(labels, everything, 4, seed).astype(int) for seed in range(600))
    assert times.sum() == 2400 and abs(times - 200).max() < 60


def test_an_lmdb_becomes_a_source(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (5, 3, 4, 4), np.uint8)
    folder = write_lmdb(tmp_path / "db", {f"{i:03}".encode(): datum(images[i], i) for i in range(5)})
    copied(str(folder))
    new = open_source("IMAGEDB", "new")
    np.testing.assert_array_equal(new.images[:], images)
    assert new.labels.tolist() == [0, 1, 2, 3, 4] and new.color_order == "BGR"


def test_the_digits_need_no_import() -> None:
    (done,) = copied("digits.testing", most_per_label=3)
    assert done.count == 30


def test_a_dry_run_changes_nothing() -> None:
    fill_database("old")
    with ImageDatabase() as database:
        before = database.sources()
        (done,) = copy_images(database, ["old"], "new", dry_run=True)
        assert done.count == 40 and database.sources() == before


def test_what_cannot_be_copied() -> None:
    fill_database("old")
    fill_database("wide", array_source(shape=(1, 5, 7)))
    with ImageDatabase() as database, database.write() as writer:
        writer.add("named", [array_source().images[:]], array_source().labels, class_names={1: "uno"})
        writer.add("floats", [array_source().images[:].astype(np.float32)], array_source().labels)
    for sources, options, message in (
        (["old"], {"rest": "new"}, '"new" is named twice'),
        (["old", "new"], {}, '"new" is named twice'),
        (["old"], {"rest": "old", "replace": True}, '"old" is named twice'),
        (["old", "wide"], {}, r'images of "wide" are \(1, 5, 7\) RGB, those of "old" \(1, 5, 6\) RGB'),
        (["old", "floats"], {}, 'images of source "new" differ in shape or type'),
        (["old", "named"], {}, 'label 1 is "one" in one source and "uno" in another'),
        (["old"], {"only_labels": "7-9"}, "no image has one of the labels '7-9': those that are there lie in 0 to 3"),
        (["old"], {"rest": "rest"}, 'no image is left for source "rest"'),
        (["old"], {"rest": "wide", "most_per_label": 1}, 'there is a source "wide" already'),
        (["old"], {"rest": "bad\n", "most_per_label": 1}, "cannot name a source"),
    ):
        with ImageDatabase() as database:
            before = database.sources()
            for dry_run in (True, False):
                with pytest.raises(DataError, match=message):
                    copy_images(database, sources, "new", dry_run=dry_run, **options)
            assert database.sources() == before
    with pytest.raises(UnknownNameError, match=r'no source "odl"\. Did you mean "old"'):
        copied("odl")
    with pytest.raises(UnknownNameError, match='no source "mean"'):
        copied("old", mean_of="mean")


def test_a_source_without_a_mean_gives_none() -> None:
    fill_database("old")
    with ImageDatabase() as database, database.write() as writer:
        writer.add("bare", [array_source().images[:]], array_source().labels)
    with pytest.raises(DataError, match='source "bare" has no mean image'):
        copied("old", mean_of="bare")


@pytest.mark.parametrize(
    ("text", "labels"),
    [("3", [3]), ("0-2,4", [0, 1, 2, 4]), (" -2 - 0 , 9", [-2, -1, 0, 9]), ("-3--2", [-3, -2]), ("1-1", [1])],
)
def test_label_ranges(text: str, labels: list[int]) -> None:
    everything = np.arange(-5, 12)
    assert everything[LabelRanges(text).mask(everything)].tolist() == labels


@pytest.mark.parametrize("text", ["", ",", "1,", "a", "3-1", "1-2-3", "1.5", "9" * 20, "0-", "--1"])
def test_texts_that_are_no_label_ranges(text: str) -> None:
    with pytest.raises(DataError, match="is no label and no range of labels"):
        LabelRanges(text)


def test_memory_for_one_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.source.BLOCK_VALUES", 300)
    fill_database("old", ArraySource("old", array_source(45).images[:], np.arange(45)))
    seen: list[int] = []
    copied("old", progress=seen.append)
    assert seen == [10, 10, 10, 10, 5]
    np.testing.assert_array_equal(open_source("IMAGEDB", "new").images[:], array_source(45).images[:])


COPY = """
from netforge.data import ImageDatabase, copy_images
with ImageDatabase() as database:
    copy_images(
        database, ["old"], "new", most_per_label=900, rest="rest", progress=lambda count: print(count, flush=True)
    )
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform has no SIGKILL")
@pytest.mark.parametrize("lines", [1, 3, 5])
def test_a_killed_copy_leaves_nothing(lines: int) -> None:
    fill_database("old", ArraySource("old", np.zeros((4000, 1, 64, 64), np.uint8), np.arange(4000) % 4))
    process = subprocess.Popen([sys.executable, "-c", COPY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with ImageDatabase() as database:
        names = [info.name for info in database.sources()]
        assert names in (["old"], ["new", "old", "rest"])
        assert lines > 4 or names == ["old"]
        assert database.open("old").count == 4000
        with database.write() as writer:
            assert writer.has("old")
