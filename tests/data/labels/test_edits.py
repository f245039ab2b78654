"""Editing labels: whatever is done can be taken back, the original labels stay, and readers see whole edits only."""

from __future__ import annotations

import copy
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data import ArraySource, ImageDatabase, Labels, open_source
from netforge.data.labels.changes import LONGEST_ACTION
from netforge.data.labels.query import ALL_IMAGES, among
from netforge.data.store.home import database_path
from netforge.data.store.writer import label_stamp
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, fill_database

ORIGINALS = [i % 4 for i in range(24)]
NAMES = {0: "zero", 1: "one", 2: "two"}


def make(path: Path | None = None, auto: list[int] | None = None) -> None:
    """24 images with labels 0 to 3, the first three classes named."""
    images = array_source(24).images[:]
    with ImageDatabase(path) as database, database.write() as writer:
        options: dict[str, Any] = {"class_names": NAMES, "groups": np.arange(24) % 5, "auto": auto}
        writer.add("a", [images], ORIGINALS, replace=True, **options)
        writer.add("other", [images], ORIGINALS, replace=True, **options)


def rows(name: str = "a", path: Path | None = None) -> list[tuple[int, int, int, int]]:
    """Label, auto, boost and active of all images."""
    with sqlite3.connect(path or database_path()) as raw:
        found = raw.execute(
            "SELECT label, auto, boost, active FROM images JOIN sources ON source = id WHERE name = ?"
            " ORDER BY position",
            (name,),
        ).fetchall()
    raw.close()
    return found


def test_relabelling_is_seen_by_whoever_opens_the_source_next(netforge_home: Path) -> None:
    make()
    with ImageDatabase() as database:
        before = database.open("a")
        old_labels = before.labels.copy()
        files = set((netforge_home / "cache").glob("*.labels.npy"))
        change = Labels(database, "a").relabel("label = 1 and id < 10", to=3)
        assert (change.images, change.moves) == (3, ((1, 3, 3),))
        after = database.open("a")
        assert after.labels.tolist() == [3 if k == 1 and i < 10 else k for i, k in enumerate(ORIGINALS)]
        assert database.original_labels("a").tolist() == ORIGINALS
        info = database.find("a")
        assert (info.count, info.label_stamp) == (24, label_stamp(*database.label_columns(info)))
        np.testing.assert_array_equal(before.labels, old_labels)
        np.testing.assert_array_equal(after.images[:], before.images[:])
        assert database.open("other").labels.tolist() == ORIGINALS
        assert len(files) == 1, "both sources have one cache file"
        assert files < set((netforge_home / "cache").glob("*.labels.npy")), "one of them needs it still"
        Labels(database, "other").relabel("label = 1 and id < 10", to=3)
        np.testing.assert_array_equal(before.labels, old_labels)
    assert not files & set((netforge_home / "cache").glob("*.labels.npy")), "now nobody needs it"


def test_labels_may_be_given_by_name_and_marks_of_nets_go() -> None:
    make(auto=[1, 1, *[0] * 22])
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        change = labels.relabel("id in 0-2", to="one")
        assert (change.images, change.moves, change.confirmed) == (3, ((0, 1, 1), (2, 1, 1)), 1)
        assert [row[:2] for row in rows()[:3]] == [(1, 0)] * 3
        assert labels.relabel("id = 1", to=1).images == 0 and len(labels.history()) == 1
        assert labels.relabel(among("index", "3,4"), to="-7").moves == ((0, -7, 1), (3, -7, 1))
        labels.undo(2)
        assert [row[:2] for row in rows()[:3]] == [(0, 1), (1, 1), (2, 0)]
        assert labels.redo().confirmed == 1


def test_a_mapping_is_done_all_at_once() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        change = labels.map({"zero": 1, 1: "zero", 3: 9})
        assert change.moves == ((0, 1, 6), (1, 0, 6), (3, 9, 6))
        assert [row[0] for row in rows()] == [{0: 1, 1: 0, 2: 2, 3: 9}[k] for k in ORIGINALS]
        assert labels.map({9: 0}, "id < 4 or id = 5").moves == ((9, 0, 1),)
        with pytest.raises(DataError, match="no image meets the query 'label in 77'"):
            labels.map({77: 1})
        with pytest.raises(DataError, match="the mapping names a label twice"):
            labels.map({0: 1, "zero": 2})


def test_disabled_images_are_out_of_use_until_they_are_enabled() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        assert labels.disable("label in 0-1").disabled == 12
        opened = database.open("a")
        assert database.find("a").count == opened.count == 12 and set(opened.labels) == {2, 3}
        assert opened.groups.tolist() == [i % 5 for i in range(24) if i % 4 > 1]
        assert labels.enable("disabled and id < 4").enabled == 2 and database.open("a").count == 14
        assert labels.enable("disabled").enabled == 10 and database.open("a").labels.tolist() == ORIGINALS
        labels.disable(ALL_IMAGES)
        with pytest.raises(DataError, match=r'all images of source "a" are disabled.*netforge data enable a --all'):
            database.open("a")


def test_reset_brings_back_what_was_imported() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        labels.relabel("label = 0", to=5)
        labels.boost("id in 0-9", 4)
        labels.disable("id = 23")
        with pytest.raises(DataError, match="a boost is -1"):
            labels.boost("auto", -1)
        assert labels.reset("id < 5", ["labels"]).moves == ((5, 0, 2),)
        assert labels.reset(what=["boosts"]).boosted == 10
        change = labels.reset()
        assert (change.images, change.moves, change.enabled) == (5, ((5, 0, 4),), 1)
        assert rows() == [(k, 0, 0, 1) for k in ORIGINALS]
        assert [edit.count for edit in labels.history()] == [6, 10, 1, 2, 10, 5]


def test_classes_are_renamed() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        assert labels.rename({"zero": "cat", 3: "a dog"}).renamed == ((0, "zero", "cat"), (3, None, "a dog"))
        assert database.open("a").class_names == {0: "cat", 1: "one", 2: "two", 3: "a dog"}
        assert labels.rename({1: "two", 2: "one"}).renamed == ((1, "one", "two"), (2, "two", "one"))
        assert labels.rename({1: "two"}).renamed == ()
        assert [edit.action for edit in labels.history()] == ['rename zero "cat", 3 "a dog"', 'rename 1 "two", 2 "one"']
        labels.undo(2)
        assert database.open("a").class_names == NAMES == database.open("other").class_names
        for names, message in (
            ({0: "one"}, 'label 1 is named "one" already'),
            ({0: "x", "zero": "y"}, "a class is named twice"),
            ({0: "bad\n"}, "cannot name a class"),
            ({9: "nine"}, "no image has label 9"),
        ):
            with pytest.raises(DataError, match=message):
                labels.rename(names)


def test_undo_goes_back_and_redo_forth_and_the_history_only_grows() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        states = [rows()]
        for to in (5, 6, 7):
            labels.relabel("id < 4", to)
            states.append(rows())
        labels.undo()
        assert rows() == states[2]
        labels.undo(2)
        assert rows() == states[0]
        labels.redo()
        assert rows() == states[2], "two steps were taken back as one"
        labels.redo()
        assert rows() == states[3]
        labels.undo(3)
        assert rows() == states[0]
        labels.redo()
        labels.undo()
        assert rows() == states[2]
        labels.boost("id = 0", 1)
        with pytest.raises(DataError, match="no undo can be taken back"):
            labels.redo()
        labels.undo(3)
        with pytest.raises(DataError, match="a: there is nothing to take back"):
            labels.undo()
        assert [edit.action for edit in labels.history()] == [
            *(f"relabel to {to}, id < 4" for to in (5, 6, 7)),
            *(
                "undo 3",
                "undo 1, 2",
                "redo 5",
                "redo 4",
                "undo 1, 2, 3",
                "redo 8",
                "undo 3",
                "boost 1, id = 0",
                "undo 1, 2, 11",
            ),
        ]
        assert Labels(database, "other").history() == [] and rows("other") == states[0]


Model = dict[str, Any]  # "images": [label, auto, boost, active] each, "names"


def fresh() -> Model:
    return {"images": [[k, int(i % 3 == 0), 0, 1] for i, k in enumerate(ORIGINALS)], "names": dict(NAMES)}


def chosen(model: Model, which: int) -> list[int]:
    """What `WHERE[which]` means."""
    images = model["images"]
    in_use = [i for i in range(24) if images[i][3]]
    return [
        [i for i in range(24) if images[i][0] == 2],
        [i for i in range(24) if images[i][1] and i > 4],
        in_use[3:9],
        [i for i in range(24) if not images[i][3]],
        [i for i in range(24) if images[i][0] != ORIGINALS[i] or images[i][2] > 0],
        list(range(24)),
    ][which]


WHERE = ["label = 2", "auto and id > 4", "index in 3-8", "disabled", "changed or boost > 0", "id >= 0"]
actions = st.one_of(
    st.tuples(st.just("relabel"), st.integers(0, 5), st.integers(-1, 5)),
    st.tuples(st.just("map"), st.integers(0, 5), st.dictionaries(st.integers(0, 3), st.integers(0, 4), min_size=1)),
    st.tuples(st.sampled_from(["disable", "enable"]), st.integers(0, 5), st.none()),
    st.tuples(st.just("boost"), st.integers(0, 5), st.integers(0, 2)),
    st.tuples(
        st.just("reset"), st.integers(0, 5), st.sets(st.sampled_from(["labels", "boosts", "disabled"]), min_size=1)
    ),
    st.tuples(st.just("rename"), st.integers(0, 2), st.sampled_from(["red", "green", "blue"])),
    st.tuples(st.just("undo"), st.integers(1, 3), st.none()),
    st.tuples(st.just("redo"), st.none(), st.none()),
)


def change_model(model: Model, action: str, which: int, value: Any) -> bool:
    """Do what an edit does; False where it cannot be done."""
    images = model["images"]
    if action == "rename":
        if any(name == value and label != which for label, name in model["names"].items()):
            return False
        model["names"][which] = value
        return True
    numbers = chosen(model, which)
    if action == "map":
        numbers = [i for i in numbers if images[i][0] in value]
    for i in numbers:
        if action in ("relabel", "map"):
            images[i][:2] = [value if action == "relabel" else value[images[i][0]], 0]
        if action == "reset" and "labels" in value and images[i][0] != ORIGINALS[i]:
            images[i][:2] = [ORIGINALS[i], 0]
        if action == "boost" or (action == "reset" and "boosts" in value):
            images[i][2] = value if action == "boost" else 0
        if action in ("disable", "enable") or (action == "reset" and "disabled" in value):
            images[i][3] = int(action != "disable")
    return bool(numbers)


def edit(labels: Labels, action: str, which: Any, value: Any) -> Any:
    return {
        "relabel": lambda: labels.relabel(WHERE[which], value),
        "map": lambda: labels.map(value, WHERE[which]),
        "disable": lambda: labels.disable(WHERE[which]),
        "enable": lambda: labels.enable(WHERE[which]),
        "boost": lambda: labels.boost(WHERE[which], value),
        "reset": lambda: labels.reset(WHERE[which], sorted(value)),
        "rename": lambda: labels.rename({which: value}),
        "undo": lambda: labels.undo(which),
        "redo": lambda: labels.redo(),
    }[action]()


@settings(max_examples=25)
@given(script=st.lists(actions, max_size=14))
def test_any_edits_do_what_they_do_in_python(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, Any, Any]]
) -> None:
    path = tmp_path_factory.mktemp("edits") / "images.db"
    make(path, auto=[int(i % 3 == 0) for i in range(24)])
    model = fresh()
    done: list[Model] = []
    undone: list[tuple[Model, list[Model]]] = []
    with ImageDatabase(path) as database:
        for action, which, value in script:
            before, history = copy.deepcopy(model), len(Labels(database, "a").history())
            if action == "undo":
                possible = which <= len(done)
                if possible:
                    undone.append((before, done[-which:]))
                    model = done[-which]
                    del done[-which:]
            elif action == "redo":
                possible = bool(undone)
                if possible:
                    model, again = undone.pop()
                    done += again
            else:
                possible = change_model(model, action, which, value)
                if model != before:
                    done.append(before)
                    undone.clear()
            wanted = sum(a != b for a, b in zip(model["images"], before["images"], strict=True))
            for dry_run in (True, False):
                labels = Labels(database, "a", dry_run=dry_run)
                if not possible:
                    with pytest.raises(DataError):
                        edit(labels, action, which, value)
                else:
                    assert edit(labels, action, which, value).images == wanted
                if dry_run:
                    assert [list(row) for row in rows(path=path)] == before["images"]
            grown = possible and (action in ("undo", "redo") or model != before)
            assert len(labels.history()) == history + grown
        info = database.find("a")
        assert [list(row) for row in rows(path=path)] == model["images"]
        assert database.class_names(info) == model["names"]
        in_use = [i for i in range(24) if model["images"][i][3]]
        labels_in_use = np.array([model["images"][i][0] for i in in_use], np.int64)
        assert (info.count, info.label_stamp) == (len(in_use), label_stamp(*database.label_columns(info)))
        if in_use:
            assert database.open("a").labels.tolist() == labels_in_use.tolist()


def test_what_cannot_be_edited(netforge_home: Path) -> None:
    with ImageDatabase() as database:
        with pytest.raises(UnknownNameError, match='no source "a"'):
            Labels(database, "a")
        assert not list(netforge_home.iterdir())
        make()
        labels = Labels(database, "a")
        before = (rows(), database.find("a"))
        for where, to, error, message in (
            ("label = 9", 1, DataError, "no image meets the query 'label = 9'"),
            (
                among("id", "3,20-29"),
                1,
                DataError,
                "of the 11 images 'id in 3,20-29', 5 are there. The source has 24 images",
            ),
            ("lable = 9", 1, UnknownNameError, "column 1"),
            ("class = twoo", 1, UnknownNameError, 'Did you mean "two"'),
            ("label = 1", "twoo", UnknownNameError, '"twoo" is no label and no name of a class. Did you mean "two"'),
            ("label = 1", (1 << 24) + 1, DataError, "label 16777217 is too large"),
            ("label = 1", "1.5", UnknownNameError, '"1.5" is no label'),
        ):
            with pytest.raises(error, match=message):
                labels.relabel(where, to)
        with pytest.raises(UnknownNameError, match='"label" is nothing that can be reset'):
            labels.reset(what=["label"])
        assert (rows(), database.find("a")) == before and labels.history() == []


def test_a_damaged_history_is_told() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        labels.boost("id = 0", 1)
        labels.undo()
        with sqlite3.connect(database_path()) as raw:
            raw.execute("UPDATE edits SET undoes = 77 WHERE undoes IS NOT NULL")
        raw.close()
        with pytest.raises(DataError, match="the history of labels is damaged: edit 2 takes back"):
            labels.undo()


def test_a_long_action_is_cut_in_the_history() -> None:
    make()
    with ImageDatabase() as database:
        labels = Labels(database, "a")
        labels.boost(" or ".join(f"id = {i}" for i in range(400)), 1)
        assert len(labels.history()[0].action) == LONGEST_ACTION


def test_the_digits_are_there_to_be_edited_at_once() -> None:
    with ImageDatabase() as database:
        assert Labels(database, "digits.testing").relabel("label = 3", 8).images > 10


def test_digits_that_were_removed_come_back_without_touching_the_others() -> None:
    whole = open_source(None, "digits.testing")
    with ImageDatabase() as database:
        Labels(database, "digits.training").relabel("id = 3", to=8)
        with database.write() as writer:
            writer.remove("digits.testing")
        again = open_source(None, "digits.testing")
        assert (again.images[:] == whole.images[:]).all() and np.array_equal(again.labels, whole.labels)
        assert again.mean is not None and np.array_equal(again.mean, database.open("digits.training").mean)
        assert database.open("digits.training").labels[3] == 8
        assert len(Labels(database, "digits.training").history()) == 1


def test_replacing_a_source_ends_its_history() -> None:
    make()
    with ImageDatabase() as database:
        Labels(database, "a").relabel("id = 0", 2)
        make()
        assert Labels(database, "a").history() == [] and database.open("a").labels.tolist() == ORIGINALS
    with sqlite3.connect(database_path()) as raw:
        assert raw.execute("SELECT count(*) FROM image_edits").fetchone() == (0,)
    raw.close()


def test_a_database_of_the_second_version_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make(path)
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE images DROP COLUMN origin")
        for table in ("boxes", "class_edits", "image_edits", "edits"):
            raw.execute(f"DROP TABLE {table}")
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    with ImageDatabase(path) as database:
        labels = Labels(database, "a")
        labels.relabel("origin = x or group = 2", 9)
        assert database.open("a").labels.tolist() == [9 if i % 5 == 2 else k for i, k in enumerate(ORIGINALS)]
        labels.undo()
        assert database.open("a").labels.tolist() == ORIGINALS


RELABEL = """
import sys
from netforge.data import ImageDatabase, Labels
with ImageDatabase() as database:
    labels = Labels(database, "big")
    for turn in range(1000):
        print(turn, flush=True)
        labels.map({k: (k + 1) % 4 for k in range(4)})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform has no SIGKILL")
def test_readers_and_killed_editors_leave_whole_edits() -> None:
    numbers = np.arange(1000) % 4
    fill_database("big", ArraySource("big", np.zeros((1000, 1, 1, 1), np.uint8), numbers))
    process = subprocess.Popen([sys.executable, "-c", RELABEL], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(6):
        assert process.stdout.readline()
        shift = (open_source("IMAGEDB", "big").labels - numbers) % 4
        assert (shift == shift[0]).all()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with ImageDatabase() as database:
        labels = Labels(database, "big")
        edits = len(labels.history())
        assert edits >= 5 and ((database.open("big").labels - numbers) % 4 == edits % 4).all()
        labels.undo(edits)
        assert (database.open("big").labels == numbers).all()
