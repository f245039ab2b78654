"""What verify says: nothing of sound data, one line of each kind of damage, and never a traceback."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import lmdb
import numpy as np
import pytest

from netforge.data import ImageDatabase, open_source, verify_images
from netforge.data.care.finding import Finding
from netforge.data.formats.lmdb_pages import records
from netforge.data.store.home import database_path
from netforge.errors import DataError, UnknownNameError
from tests.data.helpers import array_source, damage, datum, fill_database, write_lmdb

FLIPS = 50


def findings(*names: str, path: Path | None = None) -> list[Finding]:
    with ImageDatabase(path) as database:
        return list(verify_images(database, names))


@pytest.fixture(scope="module")
def sound_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two sources, one of them in the cache, with boxes, groups and a history."""
    home = tmp_path_factory.mktemp("sound")
    images, labels = array_source().images[:], array_source().labels
    names = {label: str(label) for label in range(4)}
    with ImageDatabase(home / "images.db") as database:
        with database.write() as writer:
            mean = writer.add("a", [images], labels, class_names=names, groups=labels + 1, origins=["x.png"] * 40)
            writer.set_mean("a", mean)
            writer.add("b", [images.astype(np.float32)], labels, class_names=names)
        database.open("a")
    damage(
        "INSERT INTO boxes VALUES (1, 39, 0, 2, 0, 0.25, 0.5, 1, 1)",
        "INSERT INTO edits (id, source, time, action, count) VALUES (1, 1, 'now', 'relabelled', 1)",
        "INSERT INTO image_edits VALUES (1, 39, 3, 0, 0, 1)",
        path=home / "images.db",
    )
    return home


@pytest.fixture
def sound(sound_home: Path, netforge_home: Path) -> None:
    """That database as the user's own."""
    shutil.copytree(sound_home, netforge_home, dirs_exist_ok=True)


@pytest.mark.usefixtures("sound")
def test_sound_data_has_no_findings(tmp_path: Path) -> None:
    seen: list[int] = []
    with ImageDatabase() as database:
        assert list(verify_images(database, progress=seen.append)) == []
        assert list(verify_images(database, ["b"])) == []
    assert sum(seen) == 80
    assert findings(path=tmp_path / "none.db") == []
    with pytest.raises(UnknownNameError):
        findings("a", "c")


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE pixels SET data = zeroblob(length(data))", "the pixels are damaged: their digest"),
        ("UPDATE pixels SET data = zeroblob(length(data) - 1)", "the pixels of image 0 and of those after"),
        ("UPDATE pixels SET data = 'text'", "the pixels of image 0 and of those after"),
        ("UPDATE pixels SET first = 1", "the pixels of image 0 and of those after"),
        ("DELETE FROM pixels", "it has 40 images, and pixels of 0"),
        ("DELETE FROM images WHERE position = 7", "stand at positions 0 to 39: some are missing"),
        ("DELETE FROM images", "it has no images"),
        ("UPDATE images SET active = 0 WHERE position = 7", "40 images in use are noted, 39 are there"),
        ("UPDATE images SET active = 7 WHERE position = 7", "1 image with a mark of use"),
        ("UPDATE images SET auto = 2 WHERE position < 2", "2 images with a mark of an auto label"),
        ("UPDATE images SET label = 9 WHERE position = 7", "the labels are damaged: their digest"),
        ("UPDATE images SET group_number = 9 WHERE position = 7", "the labels are damaged: their digest"),
        ("UPDATE images SET label = 'x' WHERE position > 6", "33 images with a label that is no whole number, the fir"),
        ("UPDATE images SET original_label = 0.5 WHERE position > 6", "33 images with an original label"),
        ("UPDATE images SET group_number = 'x' WHERE position = 7", "a group that is no whole number"),
        ("UPDATE images SET boost = 'x' WHERE position = 7", "a boost that is no whole number"),
        ("UPDATE images SET origin = x'00' WHERE position = 7", "an origin that is no text"),
        ("UPDATE means SET data = x'00'", "the mean image has 1 bytes, expected 120 for the shape (1, 5, 6)"),
        ("UPDATE means SET data = 'text'", "the mean image has 0 bytes"),
        ("UPDATE means SET data = (SELECT CAST(x'0000c07f' || zeroblob(116) AS BLOB))", "no finite numbers"),
        ("UPDATE sources SET height = -5", "impossible shape (1, -5, 6)"),
        ("UPDATE sources SET width = 1 << 62", "impossible shape"),
        ("UPDATE sources SET width = 'x'", "impossible shape"),
        ("UPDATE sources SET stamp = x'00'", "its name, its count or its digests are damaged"),
        ("UPDATE sources SET label_stamp = 'other'", "the labels are damaged: their digest"),
        ("UPDATE sources SET stamp = 'other'", "the pixels are damaged: their digest"),
        ("UPDATE boxes SET xmax = 1.5", "1 box with sides that do not lie within it"),
        ("UPDATE boxes SET ymin = -1e-9", "1 box with sides that do not lie within it"),
        ("UPDATE boxes SET xmin = 0.75", "1 box with sides that do not lie within it"),
        ("UPDATE boxes SET xmin = 'x'", "1 box with sides that do not lie within it"),
        ("UPDATE boxes SET label = 'x'", "1 box with a label that is no whole number"),
        ("UPDATE boxes SET difficult = 7", "1 box with a mark of difficulty"),
        ("UPDATE boxes SET position = 40", "1 box with no image there, the first at image 40"),
        ("UPDATE image_edits SET position = 40", "the history has 1 change of images that are not there"),
        ("UPDATE boxes SET source = 9", "1 row of boxes without their row of sources. See what goes"),
        ("UPDATE image_edits SET edit = 9", "1 row of image_edits without their row of edits"),
        ("DELETE FROM sources WHERE name = 'a'", "40 rows of images without their row of sources"),
        ("DROP TABLE means", "no such table: means"),
        ("PRAGMA user_version = -7", "tables of format -7"),
        ("UPDATE classes SET name = CAST(x'fffe' AS TEXT), label = label + 100", "Could not decode to UTF-8"),
    ],
)
def test_each_kind_of_damage_is_found(statement: str, words: str) -> None:
    damage(statement)
    found = findings()
    assert [finding for finding in found if words in str(finding) and not finding.harmless], found
    assert all("\n" not in str(finding) for finding in found)


@pytest.mark.usefixtures("sound")
def test_what_does_no_harm_is_a_note(netforge_home: Path) -> None:
    cache = netforge_home / "cache"
    (cache / "old.pixels.npy").touch()
    part = cache / "old.labels.1-2.part"
    part.touch()
    damage("INSERT INTO classes VALUES (1, 77, 'none')")
    assert [(f.harmless, f.found) for f in findings()] == [
        (True, "classes without images: 77 (none)"),
        (True, "1 file that no source needs"),
    ]
    hour_ago = part.stat().st_mtime - 3600
    os.utime(part, (hour_ago, hour_ago))
    assert findings()[-1].found == "1 file left by a process that was killed"


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize("kind", ["pixels", "labels"])
@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[:-1],
        lambda array: array.astype(np.float64),
        lambda array: array + array.dtype.type(1),
        lambda array: array.ravel(),
        None,
    ],
)
def test_a_wrong_file_in_the_cache_is_found(netforge_home: Path, kind: str, change: object) -> None:
    (path,) = (netforge_home / "cache").glob(f"*.{kind}.npy")
    if callable(change):
        np.save(path, change(np.load(path)))
    else:
        path.write_bytes(path.read_bytes()[:-1])
    (finding,) = findings()
    assert finding.where == str(path) and "remove it; it is made again" in finding.mend
    path.unlink()
    open_source("IMAGEDB", "a")
    assert findings() == []


@pytest.mark.usefixtures("sound")
def test_a_verified_source_is_that_of_one_moment() -> None:
    with ImageDatabase() as database, ImageDatabase() as other:
        found = verify_images(database, progress=lambda count: fill_database("b"))
        assert list(found) == []
        assert other.find("b").dtype == "uint8"


def test_flipped_bits_never_raise(tmp_path: Path) -> None:
    fill_database("a", array_source(600))
    clean = database_path().read_bytes()
    noticed = 0
    for seed in range(FLIPS):
        chosen = random.Random(seed)
        data = bytearray(clean)
        page = chosen.randrange(len(data) // 4096) * 4096
        place = chosen.choice([chosen.randrange(len(data)), page + chosen.randrange(32), chosen.randrange(100)])
        data[place] ^= 1 << chosen.randrange(8)
        path = tmp_path / "damaged.db"
        path.write_bytes(data)
        found = findings(path=path)
        noticed += bool(found)
        assert all(str(finding).count("\n") == 0 for finding in found)
        for leftover in tmp_path.iterdir():
            leftover.unlink()
    assert noticed > FLIPS // 4


@pytest.mark.usefixtures("sound")
def test_a_damaged_header_in_the_cache_never_raises(netforge_home: Path) -> None:
    (path,) = (netforge_home / "cache").glob("*.labels.npy")
    clean = path.read_bytes()
    for place in range(0, 90, 2):
        for value in b"'(\x00":
            path.write_bytes(clean[:place] + bytes([value]) + clean[place + 1 :])
            assert {finding.where for finding in findings("a")} <= {str(path)}


def images_lmdb(folder: Path, count: int = 30) -> Path:
    """Some values stand within leaves, others in pages of their own."""
    rng = np.random.default_rng(3)
    sizes = [4, 4, 60]
    shapes = [(1, sizes[i % 3], sizes[i % 3]) for i in range(count)]
    return write_lmdb(
        folder, {b"%08d" % i: datum(rng.integers(0, 256, shapes[i], np.uint8), i % 5) for i in range(count)}
    )


@pytest.mark.parametrize("count", [1, 30, 200])
def test_records_are_those_that_the_library_reads(tmp_path: Path, count: int) -> None:
    folder = images_lmdb(tmp_path / "db", count)
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        wanted = [(bytes(key), bytes(value)) for key, value in transaction.cursor()]
    assert list(records(folder)) == wanted and len(wanted) == count
    assert list(records(folder / "data.mdb")) == wanted


def test_records_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    image = datum(np.zeros((1, 2, 2), np.uint8))
    folder = write_lmdb(tmp_path / "db", {b"a": image, b"b": b"\xff", b"c": datum(np.zeros((1, 2, 3), np.uint8))})
    first, second = findings(str(folder))
    assert "record 'b'" in first.where and "is no Datum" in first.found
    assert "record 'c'" in second.where and "has shape (1, 2, 3), the first one (1, 2, 2)" in second.found
    many = write_lmdb(tmp_path / "many", {b"%02d" % i: b"\xff" for i in range(30)})
    found = findings(str(many))
    assert len(found) == 21 and found[-1].found.startswith("30 of 30 records are damaged")
    assert "holds no records" in findings(str(write_lmdb(tmp_path / "none", {})))[0].found


def test_flipped_bits_of_an_lmdb_never_raise(tmp_path: Path) -> None:
    folder = write_lmdb(tmp_path / "db", {b"%08d" % i: datum(np.zeros((1, 9, 9), np.uint8), i % 5) for i in range(100)})
    clean = (folder / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(clean)
    assert findings(str(tmp_path)) == []
    noticed = 0
    for seed in range(3 * FLIPS):
        chosen = random.Random(seed)
        data = bytearray(clean)
        page = chosen.randrange(len(data) // 4096) * 4096
        data[page + chosen.randrange(150)] ^= 1 << chosen.randrange(8)
        (tmp_path / "data.mdb").write_bytes(data)
        noticed += bool(findings(str(tmp_path)))
    assert noticed > FLIPS // 3
    for cut in (0, 1, 5000, len(clean) - 1):
        (tmp_path / "data.mdb").write_bytes(clean[:cut])
        with pytest.raises(DataError, match="LMDB"):
            list(records(tmp_path))


def test_branches_that_go_round_in_a_circle_end(tmp_path: Path) -> None:
    folder = write_lmdb(tmp_path / "db", {b"%08d" % i: b"x" * 900 for i in range(100)})
    data = bytearray((folder / "data.mdb").read_bytes())
    for meta in (0, 4096):  # a table that claims 30 levels, whose root has itself as first child
        data[meta + 16 + 78 : meta + 16 + 80] = (30).to_bytes(2, "little")
        root = int.from_bytes(data[meta + 16 + 112 : meta + 16 + 120], "little")
        if root < 1 << 32:
            pointer = int.from_bytes(data[root * 4096 + 16 : root * 4096 + 18], "little")
            data[root * 4096 + pointer : root * 4096 + pointer + 6] = root.to_bytes(6, "little")
    (folder / "data.mdb").write_bytes(data)
    (finding,) = findings(str(folder))
    assert "the LMDB is damaged" in finding.found
