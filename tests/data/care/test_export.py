"""What is exported can be read back: equal pixels, equal labels; and nothing half written looks whole."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netforge.data import (
    ArraySource,
    ImageDatabase,
    PictureForm,
    export_images,
    import_images,
    import_mnist,
    open_source,
    verify_images,
)
from netforge.data.care import export_forms
from netforge.data.care.export_forms import folder_names
from netforge.errors import DataError, UnknownNameError
from netforge.schema import messages
from tests.data.helpers import array_source, damage, datum, fill_database, write_lmdb


def exported(name: str, form: str, out: Path, **options: object) -> list:
    with ImageDatabase() as database:
        return export_images(database, name, form, out, **options)


def add(name: str, pixels: np.ndarray, labels: np.ndarray, **options: object) -> None:
    with ImageDatabase() as database, database.write() as writer:
        writer.add(name, [pixels], labels, replace=True, **options)


IMAGES = st.tuples(
    st.integers(1, 12), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9)
)
few = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drawn(count: int, channels: int, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, channels, height, width), np.uint8), rng.integers(0, 4, count)


@few
@given(shape=IMAGES, order=st.sampled_from(["RGB", "BGR"]), floats=st.booleans())
def test_an_lmdb_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], order: str, floats: bool
) -> None:
    pixels, labels = drawn(*shape)
    pixels = (pixels / 7).astype(np.float32) if floats else pixels
    labels = labels * 1000 - 5
    add("a", pixels, labels, color_order=order)
    out = tmp_path_factory.mktemp("out") / "lmdb"
    exported("a", "lmdb", out)
    read, read_labels = open_source("LMDB", str(out)).read(np.arange(len(pixels)))
    np.testing.assert_array_equal(read, pixels[:, ::-1] if order == "RGB" and shape[1] == 3 else pixels)
    assert read.dtype == pixels.dtype and read_labels.tolist() == labels.tolist()


@few
@given(shape=IMAGES, order=st.sampled_from(["RGB", "BGR"]))
def test_pictures_are_read_back_by_their_index(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], order: str
) -> None:
    pixels, labels = drawn(*shape)
    names = {0: "a/b", 1: "A_B", 2: "con", 3: "..."}
    add(
        "a",
        pixels,
        labels * 7,
        class_names={7 * k: name for k, name in names.items()},
        groups=labels,
        color_order=order,
    )
    out = tmp_path_factory.mktemp("out") / "pictures"
    exported("a", "images", out)
    with ImageDatabase() as database:
        import_images(database, out / "index.csv", name="b", form=PictureForm(shape[1]), replace=True)
        read = database.open("b")
    np.testing.assert_array_equal(read.images[:], pixels[:, ::-1] if order == "BGR" else pixels)
    assert read.labels.tolist() == (labels * 7).tolist() and read.groups.tolist() == labels.tolist()
    assert {read.class_name(7 * k) for k in set(labels.tolist())} == {names[k] for k in set(labels.tolist())}


@few
@given(shape=IMAGES.map(lambda s: (s[0], 1, *s[2:])), zipped=st.booleans())
def test_idx_files_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], zipped: bool
) -> None:
    pixels, labels = drawn(*shape)
    add("a.training", pixels, labels)
    add("a.testing", pixels[::-1], labels[::-1] + 200)
    out = tmp_path_factory.mktemp("out") / "idx"
    done = exported("a", "idx", out, zipped=zipped)
    assert [(d.source, d.count, d.folder) for d in done] == [(f"a.{p}", shape[0], out) for p in ("training", "testing")]
    assert len(list(out.glob("*.gz"))) == (4 if zipped else 0)
    with ImageDatabase() as database:
        import_mnist(database, out, name="b", replace=True)
        for part in ("training", "testing"):
            np.testing.assert_array_equal(database.open(f"b.{part}").images[:], database.open(f"a.{part}").images[:])
            assert database.open(f"b.{part}").labels.tolist() == database.open(f"a.{part}").labels.tolist()


def test_an_lmdb_is_as_caffe_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_forms, "COMMIT_BYTES", 5000)
    pixels = np.arange(2 * 3 * 40 * 40, dtype=np.uint8).reshape(2, 3, 40, 40)
    add("a", pixels, np.array([3, -1]))
    exported("a", "lmdb", tmp_path / "db")
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["data.mdb"]
    with lmdb.open(str(tmp_path / "db"), readonly=True, lock=False) as environment, environment.begin() as transaction:
        records = list(transaction.cursor())
    assert [key for key, _ in records] == [b"00000000", b"00000001"]
    record = messages.Datum.FromString(records[1][1])
    assert (record.channels, record.height, record.width, record.label, record.encoded) == (3, 40, 40, -1, False)
    assert record.data == pixels[1, ::-1].tobytes()
    with ImageDatabase() as database:
        assert list(verify_images(database, [str(tmp_path / "db")])) == []


def test_the_map_of_an_lmdb_is_large_enough(tmp_path: Path) -> None:
    for number, side in enumerate((1, 2, 30, 44, 45, 63, 64, 65)):  # values just below and above a page
        add("a", np.zeros((60, 1, side, side), np.float32), np.arange(60))
        exported("a", "lmdb", tmp_path / str(number))
        assert open_source(None, str(tmp_path / str(number))).count == 60


def test_an_index_says_what_is_known_of_each_image(tmp_path: Path) -> None:
    source = array_source(6, classes=3)
    origins = ['x "1".png', None, "ä,b", "d", "e", "f"]
    add(
        "a",
        source.images[:],
        source.labels,
        class_names={0: "zero", 1: "one"},
        origins=origins,
        auto=[0, 1, 0, 0, 1, 0],
    )
    damage("UPDATE images SET active = 0 WHERE position = 0", "UPDATE images SET label = 2 WHERE position = 4")
    damage("UPDATE sources SET count = 5, label_stamp = 'changed'")
    exported("a", "images", tmp_path / "all")
    exported("a", "images", tmp_path / "some", where="auto or id = 2")
    rows = list(csv.reader((tmp_path / "all" / "index.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [
        ["file", "id", "label", "original", "auto", "origin", "class"],
        ["one/00000001.png", "1", "1", "1", "1", "", "one"],
        ["2/00000002.png", "2", "2", "2", "0", "ä,b", "2"],
        ["zero/00000003.png", "3", "0", "0", "0", "d", "zero"],
        ["2/00000004.png", "4", "2", "1", "1", "e", "2"],
        ["2/00000005.png", "5", "2", "2", "0", "f", "2"],
    ]
    some = list(csv.reader((tmp_path / "some" / "index.csv").read_text(encoding="utf-8").splitlines()))
    assert some == [rows[0], rows[1], rows[2], rows[4]]
    assert (tmp_path / "some" / "one" / "00000001.png").read_bytes() == (
        tmp_path / "all" / "one" / "00000001.png"
    ).read_bytes()


def test_an_index_brings_back_what_is_known_of_each_image(tmp_path: Path) -> None:
    source = array_source(6, classes=3)
    known = {"original_labels": [0, 1, 2, 0, 1, 7], "auto": [0, 1, 0, 0, 1, 0]}
    add("a", source.images[:], source.labels, groups=range(6), origins=["b.png", None, "ä,b", "d", "e", "f"], **known)
    exported("a", "images", tmp_path / "out")
    index = tmp_path / "out" / "index.csv"
    with ImageDatabase() as database:
        for name, part in (("b", ""), ("c", "d")):
            if part:  # a picture that is left out takes its line with it
                (tmp_path / "out" / "0" / "00000003.png").write_bytes(b"no picture")
            import_images(database, index, name=name, form=PictureForm(1), skip_unreadable=bool(part))
    for name in ("b", "c"):
        exported(name, "images", tmp_path / name)
    lines = index.read_text(encoding="utf-8").splitlines()
    assert (tmp_path / "b" / "index.csv").read_text(encoding="utf-8").splitlines() == lines
    fewer = [line.split(",")[2:] for line in (lines[:4] + lines[5:])]
    read = (tmp_path / "c" / "index.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[2:] for line in read] == fewer


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1,1,1,,1", ",1,x,1,,1", "index.csv:3: the original label 'x' is no whole number"),
        (",1,1,1,,1", ",1,1,2,,1", "index.csv:3: the auto mark '2' is neither 0 nor 1"),
        (",1,1,1,,1", ",1,99999999,1,,1", "index.csv:3: the original label 99999999 is out of range"),
    ],
)
def test_an_index_that_was_spoilt(tmp_path: Path, old: str, new: str, message: str) -> None:
    add("a", array_source(3).images[:], np.arange(3), auto=[0, 1, 0])
    exported("a", "images", tmp_path / "out")
    index = tmp_path / "out" / "index.csv"
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace(old, new), encoding="utf-8")
    assert text.count(old) == 1
    with ImageDatabase() as database, pytest.raises(DataError, match=message):
        import_images(database, index, name="b", form=PictureForm(1))


def test_parts_and_lmdbs_are_sources_too(tmp_path: Path) -> None:
    for form in ("images", "lmdb"):
        done = exported("digits", form, tmp_path / form, where="label = 3")
        assert [d.folder.name for d in done] == ["training", "testing"]
    assert open_source(None, str(tmp_path / "lmdb" / "testing")).count == done[1].count
    (again,) = exported(str(tmp_path / "lmdb" / "testing"), "idx", tmp_path / "idx", zipped=True)
    assert again.count == done[1].count
    labels = gzip.decompress((tmp_path / "idx" / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert set(labels) == {3} and len(labels) == again.count
    (again,) = exported(str(tmp_path / "lmdb" / "testing"), "images", tmp_path / "pictures")
    assert again.count == len(list((tmp_path / "pictures" / "3").iterdir()))
    (again,) = exported("digits.testing", "idx", tmp_path / "one")
    assert sorted(path.name for path in again.folder.iterdir()) == ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


@pytest.mark.parametrize(
    ("pixels", "labels", "form", "message"),
    [
        (np.zeros((2, 1, 3, 3), np.float32), [0, 1], "images", "are float32, and this form holds bytes"),
        (np.zeros((2, 1, 3, 3), np.float32), [0, 1], "idx", "are float32, and this form holds bytes"),
        (np.zeros((2, 2, 3, 3), np.uint8), [0, 1], "images", "have 1 or 3 channels, these images 2"),
        (np.zeros((2, 3, 3, 3), np.uint8), [0, 1], "idx", "not images of 3 channels. Export to lmdb"),
        (np.zeros((2, 1, 3, 3), np.uint8), [0, 256], "idx", "not label 256"),
        (np.zeros((2, 1, 3, 3), np.uint8), [-1, 0], "idx", "not label -1"),
        (np.zeros((2, 1, 3, 3), np.uint8), [0, 1 << 31], "lmdb", "labels of 32 bits"),
    ],
)
def test_what_a_form_cannot_hold(tmp_path: Path, pixels: np.ndarray, labels: list, form: str, message: str) -> None:
    add("a", pixels, np.array(labels))
    with pytest.raises(DataError, match=message):
        exported("a", form, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def test_errors_leave_nothing(tmp_path: Path) -> None:
    fill_database("a")
    for name, options, error in (
        ("b", {}, UnknownNameError),
        ("a", {"where": "label = 99"}, DataError),
        ("a", {"where": "nonsense = 99"}, UnknownNameError),
    ):
        with pytest.raises(error):
            exported(name, "images", tmp_path / "out", **options)
    write_lmdb(tmp_path / "in" / "db", {b"a": datum(np.zeros((1, 2, 2), np.uint8))})
    with pytest.raises(DataError, match="can be asked by a query"):
        exported(str(tmp_path / "in" / "db"), "images", tmp_path / "out", where="auto")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the export cannot be written"):
        exported("a", "images", tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in"]


def test_only_a_former_export_is_replaced(tmp_path: Path) -> None:
    fill_database("a")
    fill_database("b", ArraySource("b", np.full((4, 1, 2, 2), 7, np.uint8), np.arange(4)))
    out = tmp_path / "out"
    out.mkdir()
    exported("a", "images", out)
    with pytest.raises(DataError, match=r"this exists already\. Name another folder, or write --replace"):
        exported("b", "images", out)
    for form in ("idx", "lmdb", "images", "lmdb"):
        exported("b", form, out, replace=True)
    assert [path.name for path in out.iterdir()] == ["data.mdb"]
    exported("a", "images", out, replace=True)
    for foreign in (out / "zero" / "mine.png", out / "note.txt", out / "new" / "index.csv", out / "new" / "data.mdb"):
        foreign.parent.mkdir(exist_ok=True)
        foreign.touch()
        with pytest.raises(DataError, match=f"cannot be replaced: {foreign.relative_to(out)} is not of an export"):
            exported("b", "images", out, replace=True)
        foreign.unlink()
    (out / "index.csv").write_text("file,label\n")
    with pytest.raises(DataError, match="is not of an export"):
        exported("b", "images", out, replace=True)
    (tmp_path / "link").symlink_to(out)
    (tmp_path / "file").touch()
    for path in (tmp_path / "link", tmp_path / "file"):
        with pytest.raises(DataError, match="it is not of an export"):
            exported("b", "images", path, replace=True)
    assert len(list(out.rglob("*.png"))) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "out"]


def test_a_folder_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    fill_database("a")
    out = tmp_path / "out"
    seen: list[bool] = []
    exported("a", "images", out, progress=lambda count: seen.append(out.exists()))
    fill_database("a", array_source(20))
    exported("a", "images", out, replace=True, progress=lambda count: seen.append(len(list(out.rglob("*.png"))) == 40))
    assert seen == [False, True] and len(list(out.rglob("*.png"))) == 20
    with pytest.raises(KeyboardInterrupt):
        exported("a", "lmdb", out, replace=True, progress=interrupted)
    assert len(list(out.rglob("*.png"))) == 20 and [path.name for path in tmp_path.iterdir()] == ["out"]


def interrupted(count: int) -> None:
    raise KeyboardInterrupt


def test_names_of_folders() -> None:
    names = ["cat", "Cat", "a/b", "a_b", "..", ".hidden", "nul", "COM1.txt", "x" * 200, "end. ", "漢字", "?", " "]
    made = folder_names(dict(enumerate(names)))
    assert made[0] == "cat" and made[1] == "Cat-1" and made[2] == "a_b" and made[3] == "a_b-3"
    assert made[4] == "_" and made[5] == "_.hidden" and made[6] == "_nul" and made[7] == "_COM1.txt"
    assert made[8] == "x" * 80 and made[9] == "end" and made[10] == "漢字"
    assert len({name.casefold() for name in made.values()}) == len(names)
