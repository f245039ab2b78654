"""The image database: what is written is read back, and nothing but whole transactions is ever seen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ArraySource, ImageDatabase, open_source
from netforge.data.store.home import database_path, home_folder
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, fill_database


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_written_is_read_back(dtype: type) -> None:
    pixels = (np.random.default_rng(1).random((50, 3, 40, 50)) * 255).astype(dtype)  # several rows of the table
    labels = np.arange(50) % 7 - 1
    with ImageDatabase() as database:
        with database.write() as writer:
            mean = writer.add("a", iter([pixels[:20], pixels[20:]]), labels, class_names={3: "three"})
            writer.set_mean("a", mean)
        source = database.open("a")
        info = database.find("a")
    assert (source.shape, source.count, info.dtype) == ((3, 40, 50), 50, np.dtype(dtype).name)
    read, read_labels = source.read(np.array([49, 0, 7]))
    np.testing.assert_array_equal(read, pixels[[49, 0, 7]])
    assert read.dtype == dtype
    assert read_labels.tolist() == labels[[49, 0, 7]].tolist()
    assert source.labels.tolist() == labels.tolist()
    np.testing.assert_allclose(source.mean, pixels.mean(0, dtype=np.float64), rtol=1e-6)
    assert (source.class_name(3), source.class_name(4)) == ("three", "4")


def test_images_are_indexed_like_an_array() -> None:
    source = array_source()
    whole = source.read(np.arange(40))[0]
    images = source.images
    assert images.shape == (40, 1, 5, 6) and len(images) == 40
    np.testing.assert_array_equal(images[3], whole[3])
    np.testing.assert_array_equal(images[-2:], whole[-2:])
    np.testing.assert_array_equal(images[[4, 1]], whole[[4, 1]])
    out = np.empty((2, 1, 5, 6), np.uint8)
    assert images.take([4, 1], out=out) is out
    np.testing.assert_array_equal(out, whole[[4, 1]])


def test_an_exception_undoes_the_whole_transaction() -> None:
    fill_database("kept")
    with ImageDatabase() as database:
        with pytest.raises(RuntimeError), database.write() as writer:
            writer.remove("kept")
            writer.add("new", [array_source().images[:]], array_source().labels)
            raise RuntimeError
        assert [info.name for info in database.sources()] == ["kept"]
        assert database.open("kept").count == 40


def test_a_name_is_taken_until_replaced(netforge_home: Path) -> None:
    fill_database("a", array_source(20))
    with ImageDatabase() as database:
        old = database.open("a")
        files = set((netforge_home / "cache").iterdir())
        with pytest.raises(DataError, match='there is a source "a" already'), database.write() as writer:
            writer.add("a", [array_source().images[:]], array_source().labels)
    fill_database("a", array_source(30))
    assert open_source("IMAGEDB", "a").count == 30
    assert not files & set((netforge_home / "cache").iterdir()), "cache files of the old source stay"
    assert old.images[19].shape == (1, 5, 6)


def test_replacing_by_the_same_content_keeps_the_cache(netforge_home: Path) -> None:
    fill_database("a")
    open_source("IMAGEDB", "a")
    files = set((netforge_home / "cache").iterdir())
    fill_database("a")
    assert files and files == set((netforge_home / "cache").iterdir())


def test_opening_reads_the_cache_and_rebuilds_it_where_it_is_damaged(netforge_home: Path) -> None:
    fill_database("a")
    wanted = open_source("IMAGEDB", "a").images[:]
    (pixels,) = (netforge_home / "cache").glob("*.pixels.npy")
    pixels.write_bytes(pixels.read_bytes()[:-1])
    np.testing.assert_array_equal(open_source("IMAGEDB", "a").images[:], wanted)
    pixels.write_bytes(b"")
    np.testing.assert_array_equal(open_source("IMAGEDB", "a").images[:], wanted)
    stamp = pixels.stat().st_mtime_ns
    open_source("IMAGEDB", "a")
    assert pixels.stat().st_mtime_ns == stamp
    assert not list((netforge_home / "cache").glob("*.part"))


def test_damaged_pixels_are_noticed() -> None:
    fill_database("a")
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE pixels SET data = zeroblob(length(data))")
    raw.close()
    with pytest.raises(DataError, match='the pixels of source "a" are damaged'):
        open_source("IMAGEDB", "a")


def test_labels_that_are_no_numbers_are_noticed() -> None:
    fill_database("a")
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE images SET label = 'seven' WHERE position = 2")
    raw.close()
    with pytest.raises(DataError, match=r'a label, group or boost of source "a" is no whole number.*seven'):
        open_source("IMAGEDB", "a")


def test_disabled_images_are_left_out_and_labels_in_use_are_read() -> None:
    source = array_source(10, classes=10)
    fill_database("a", source)
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE images SET active = 0 WHERE position IN (0, 4)")
        raw.execute("UPDATE images SET label = 77 WHERE position = 5")
        raw.execute("UPDATE sources SET count = 8, label_stamp = 'changed'")
    raw.close()
    opened = open_source("IMAGEDB", "a")
    assert opened.labels.tolist() == [1, 2, 3, 77, 6, 7, 8, 9]
    np.testing.assert_array_equal(opened.images[:], source.images[[1, 2, 3, 5, 6, 7, 8, 9]])
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE images SET active = 0")
        raw.execute("UPDATE sources SET count = 0, label_stamp = 'none left'")
    raw.close()
    with pytest.raises(DataError, match='all images of source "a" are disabled'):
        open_source("IMAGEDB", "a")


def test_groups_are_read_back_and_belong_to_the_images_in_use() -> None:
    images, labels, groups = array_source(6).images[:], [0, 0, 0, 1, 1, 1], np.array([7, 8, 9, 7, 8, -9])
    with ImageDatabase() as database:
        with database.write() as writer:
            writer.add("grouped", [images], labels, groups=groups)
            writer.add("other", [images], labels, groups=groups[::-1])
            writer.add("plain", [images], labels)
        opened = {name: database.open(name) for name in ("grouped", "other", "plain")}
        with pytest.raises(DataError, match="6 images and 5 groups"), database.write() as writer:
            writer.add("short", [images], labels, groups=groups[:5])
    assert opened["plain"].groups is None
    assert opened["grouped"].groups.tolist() == groups.tolist()
    assert opened["other"].groups.tolist() == groups[::-1].tolist(), "the same pixels and labels, but other groups"
    with sqlite3.connect(database_path()) as raw:
        raw.execute("UPDATE images SET active = 0 WHERE position = 1")
        raw.execute("UPDATE sources SET label_stamp = 'changed' WHERE name = 'grouped'")
    raw.close()
    assert open_source("IMAGEDB", "grouped").groups.tolist() == [7, 9, 7, 8, -9]
    with pytest.raises(DataError, match="have groups of shape"):
        ArraySource("a", images, labels, groups=groups[:5])


def test_labels_of_equal_digests_are_told_apart() -> None:
    pixels = array_source(3).images[:]
    with ImageDatabase() as database:
        with database.write() as writer:
            writer.add("plain", [pixels], [5, 6, 7])
            writer.add("grouped", [pixels[:2]], [2, 5], groups=[6, 7])
        plain, grouped = database.sources()[1], database.sources()[0]
        assert plain.label_stamp == grouped.label_stamp
        assert database.open("plain").labels.tolist() == [5, 6, 7]
        found = database.open("grouped")
    assert found.groups is not None and (found.labels.tolist(), found.groups.tolist()) == ([2, 5], [6, 7])


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    source, path = array_source(), tmp_path / "old.db"
    fill_database("a", source, path)
    with sqlite3.connect(path) as raw:
        for column in ("group_number", "origin"):
            raw.execute(f"ALTER TABLE images DROP COLUMN {column}")
        for table in ("boxes", "class_edits", "image_edits", "edits"):
            raw.execute(f"DROP TABLE {table}")
        raw.execute("PRAGMA user_version = 1")
    raw.close()
    with ImageDatabase(path) as database:
        opened = database.open("a")
        np.testing.assert_array_equal(opened.images[:], source.images[:])
        assert opened.labels.tolist() == source.labels.tolist() and opened.groups is None
        with database.write() as writer:
            writer.add("b", [source.images[:]], source.labels, groups=source.labels)
        assert database.open("b").groups.tolist() == source.labels.tolist()


def test_an_unknown_source_names_the_closest_and_the_import_command() -> None:
    fill_database("tiny.training")
    with pytest.raises(UnknownNameError) as caught:
        open_source("IMAGEDB", "tiny.trainin")
    text = str(caught.value)
    assert 'has no source "tiny.trainin". Did you mean "tiny.training"' in text
    assert '? Otherwise import "tiny.trainin" first: netforge data import mnist FOLDER --name tiny (or' in text
    with pytest.raises(UnknownNameError) as caught:
        open_source("IMAGEDB", "quite.different")
    assert '"tiny.training"; or import "quite.different" first: ' in str(caught.value)


def test_asking_makes_no_database(netforge_home: Path) -> None:
    with ImageDatabase() as database:
        assert database.sources() == [] and "a" not in database
    with pytest.raises(UnknownNameError):
        open_source("IMAGEDB", "a")
    assert list(netforge_home.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database, but it is longer than the header of one" * 20, "file is not a database"),
        (b"", None),
    ],
    ids=["text", "empty"],
)
def test_files_that_are_no_database(tmp_path: Path, content: bytes, message: str | None) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with ImageDatabase(path) as database:
        if message is None:
            assert database.sources() == []
            return
        with pytest.raises(DataError, match=message) as caught:
            database.sources()
    assert str(path) in str(caught.value)


def test_other_databases_are_refused(tmp_path: Path) -> None:
    foreign, newer = tmp_path / "foreign.db", tmp_path / "newer.db"
    with sqlite3.connect(foreign) as raw:
        raw.execute("CREATE TABLE t (x)")
    raw.close()
    fill_database("a", path=newer)
    with sqlite3.connect(newer) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    for path, message in ((foreign, "is no image database"), (newer, "has format 99")):
        with ImageDatabase(path) as database, pytest.raises(DataError, match=message):
            database.sources()


def test_a_folder_in_the_place_of_the_database(tmp_path: Path) -> None:
    with ImageDatabase(tmp_path) as database, pytest.raises(DataError, match="unable to open database file"):
        database.sources()


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 201, "a\x00b", "--replace"])
def test_names_that_cannot_be(name: str) -> None:
    with (
        ImageDatabase() as database,
        pytest.raises(DataError, match="cannot name a source"),
        database.write() as writer,
    ):
        writer.add(name, [array_source().images[:]], array_source().labels)


def test_blocks_that_do_not_fit_together() -> None:
    images = array_source().images[:]
    for blocks, labels, message in (
        ([images, images[:, :, :2]], np.zeros(80), "differ in shape or type"),
        ([images, images.astype(np.float32)], np.zeros(80), "differ in shape or type"),
        ([images], np.zeros(39), "40 images and 39 labels"),
        ([], np.zeros(0), "0 images and 0 labels"),
        ([images.astype(np.int32)], np.zeros(40), "type int32"),
        ([images[0]], np.zeros(1), "shape"),
    ):
        with ImageDatabase() as database:
            with pytest.raises(DataError, match=message), database.write() as writer:
                writer.add("a", blocks, labels)
            assert database.sources() == []
    with pytest.raises(DataError, match="have labels of shape"):
        ArraySource("a", images, np.zeros(3))


def test_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NETFORGE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home_folder() == tmp_path / "netforge"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path / ".local" / "share" / "netforge"


IMPORT = """
import sys
import numpy as np
from netforge.data import ImageDatabase
pixels = np.zeros((4000, 1, 16, 16), np.uint8) + np.uint8(int(sys.argv[2]))
with ImageDatabase() as database:
    with database.write() as writer:
        print("begun", flush=True)
        for part in ("training", "testing"):
            writer.add(f"{sys.argv[1]}.{part}", [pixels], np.arange(4000) % 10, replace=True)
        print("written", flush=True)
    print("done", flush=True)
"""


def start_import(name: str, value: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", IMPORT, name, str(value)], stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform has no SIGKILL")
@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.04, "written", "done"])
def test_a_killed_import_leaves_the_state_before_or_after(delay: float | str) -> None:
    fill_database("big.training", ArraySource("old", np.full((9, 1, 2, 2), 7, np.uint8), np.arange(9)))
    process = start_import("big", 200)
    assert process.stdout is not None
    seen = process.stdout.readline().strip()
    if isinstance(delay, str):
        while seen != delay:
            seen = process.stdout.readline().strip()
    else:
        time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with ImageDatabase() as database:
        names = [info.name for info in database.sources()]
        assert names in (["big.training"], ["big.testing", "big.training"])
        source = database.open("big.training")
        after = len(names) == 2
        assert (source.count, source.images[0].max()) == ((4000, 200) if after else (9, 7))
        assert after or delay != "done"
        with database.write() as writer:
            assert writer.has("big.training")
    with sqlite3.connect(database_path()) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    raw.close()


def test_two_importers_at_once_on_a_new_database() -> None:
    processes = [start_import("big", 100), start_import("big", 101), start_import("other", 102)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [output.split() for output in outputs] == [["begun", "written", "done"]] * 3
    with ImageDatabase() as database:
        assert [info.name for info in database.sources()] == [
            "big.testing",
            "big.training",
            "other.testing",
            "other.training",
        ]
        values = {database.open(f"big.{part}").images[0].max() for part in ("training", "testing")}
    assert len(values) == 1 and values <= {100, 101}


def test_readers_see_the_old_state_until_a_writer_is_done() -> None:
    fill_database("a", array_source(20))
    with ImageDatabase() as writing, ImageDatabase() as reading, writing.write() as writer:
        writer.add("a", [array_source(30).images[:]], array_source(30).labels, replace=True)
        assert reading.find("a").count == 20
    with ImageDatabase() as reading:
        assert reading.find("a").count == 30
