"""Cleaning takes what nothing needs, shows it first, and touches no image of a source."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from netforge.data import ArraySource, ImageDatabase, clean_database, open_source, remove_sources, verify_images
from netforge.data.store.home import database_path
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, damage, fill_database


def cleaned(*, dry_run: bool = False) -> list[str]:
    with ImageDatabase() as database:
        return [waste.what for waste in clean_database(database, dry_run=dry_run)]


@pytest.fixture
def orphaned(netforge_home: Path) -> None:
    """A source, what another tool has left of a second one, and files of both in the cache."""
    large = ArraySource("x", np.full((300, 1, 40, 40), 9, np.uint8), np.arange(300) % 3, mean=np.zeros((1, 40, 40)))
    fill_database("a")
    fill_database("b", large)
    for name in ("a", "b"):
        open_source("IMAGEDB", name)
    damage(
        "INSERT INTO edits (id, source, time, action, count) VALUES (1, 2, 'now', 'relabelled', 1)",
        "INSERT INTO image_edits VALUES (1, 39, 3, 0, 0, 1)",
        "INSERT INTO queries VALUES (2, 'run', 0, 0, 5)",
        "INSERT INTO boxes VALUES (2, 39, 0, 2, 0, 0.25, 0.5, 1, 1)",
        "DELETE FROM sources WHERE name = 'b'",
    )
    for name, age in (("new", 0), ("old", 3600)):
        part = netforge_home / "cache" / f"{name}.pixels.1-2.part"
        part.write_bytes(b"123")
        os.utime(part, (part.stat().st_mtime - age,) * 2)


EXPECTED = [
    "1 row of boxes without their row of sources",
    "2 rows of classes without their row of sources",
    "1 row of edits without their row of sources",
    "300 rows of images without their row of sources",
    "1 row of means without their row of sources",
    "1 row of pixels without their row of sources",
    "1 row of queries without their row of sources",
    "2 files of the cache that no source needs",
    "1 file that a killed process was writing",
]


@pytest.mark.usefixtures("orphaned")
def test_a_dry_run_shows_what_goes_and_changes_nothing(netforge_home: Path) -> None:
    before = {path: path.read_bytes() for path in netforge_home.rglob("*") if path.is_file()}
    assert cleaned(dry_run=True) == EXPECTED
    assert before == {path: path.read_bytes() for path in netforge_home.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("orphaned")
def test_what_nothing_needs_is_removed_and_its_space_given_back(netforge_home: Path) -> None:
    wanted = open_source("IMAGEDB", "a").images[:]
    size = database_path().stat().st_size
    with ImageDatabase() as database:
        waste = {w.what: w.size for w in clean_database(database)}
        assert list(waste) == [*EXPECTED, "free pages of the file"]
        assert waste["1 row of pixels without their row of sources"] == 300 * 40 * 40
        assert waste["free pages of the file"] >= 300 * 40 * 40
        assert waste["1 file that a killed process was writing"] == 3
        assert size - database_path().stat().st_size == waste["free pages of the file"]
        assert list(verify_images(database)) == []
        assert list(clean_database(database)) == []
    assert sorted(path.suffix for path in (netforge_home / "cache").iterdir()) == [".npy", ".npy", ".part"]
    np.testing.assert_array_equal(open_source("IMAGEDB", "a").images[:], wanted)


@pytest.mark.usefixtures("orphaned")
def test_a_reader_sees_its_images_to_the_end_and_holds_nobody_up() -> None:
    with ImageDatabase() as reading, reading.snapshot():
        reading.find("a")  # a snapshot begins with the first look
        names = cleaned()
        assert names[-1] == "free pages of the file, once all who read it have ended and it is written to again"
        np.testing.assert_array_equal(reading.open("a").images[:], array_source().images[:])
    fill_database("c")
    assert database_path().stat().st_size < 300 * 40 * 40
    with ImageDatabase() as database:
        assert list(verify_images(database)) == []


@pytest.mark.usefixtures("orphaned")
def test_free_pages_stay_where_the_disk_has_no_room_to_give_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=9))
    with ImageDatabase() as database:
        with pytest.raises(DataError, match="for a while, and it has 9"):
            list(clean_database(database))
        assert list(verify_images(database)) == []


def test_there_may_be_nothing_to_clean(netforge_home: Path) -> None:
    assert cleaned() == [] and list(netforge_home.iterdir()) == []
    fill_database("a")
    assert cleaned() == []


def test_sources_are_removed_all_at_once_or_not_at_all(netforge_home: Path) -> None:
    for name in ("a", "b", "c"):
        fill_database(name, array_source(50 if name == "a" else 30))
        open_source("IMAGEDB", name)
    with ImageDatabase() as database:
        with pytest.raises(UnknownNameError, match='has no source "none"'):
            remove_sources(database, ["a", "none"])
        planned = remove_sources(database, ["a", "b", "a"], dry_run=True)
        assert [(w.what, w.size) for w in planned] == [("a: 50 images", 1500), ("b: 30 images", 900)]
        assert len(database.sources()) == 3
        assert remove_sources(database, ["a", "b", "a"]) == planned
        assert [info.name for info in database.sources()] == ["c"]
        assert list(verify_images(database)) == []
        assert database.open("c").count == 30
    assert len(list((netforge_home / "cache").iterdir())) == 2, "b had the same content as c"
