"""CIFAR's binary records: from folders, gzipped files and archives, and files that are not what they claim."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase, import_cifar10, import_cifar100
from netforge.errors import DataError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
META = "\n".join(NAMES).encode() + b"\n\n"


def records(count: int, seed: int = 0, classes: tuple[int, ...] = (10,)) -> np.ndarray:
    """Records (count, labels + 3072) of random pixels; record i has label i modulo the number of classes."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, len(classes) + 3072), np.uint8)
    for place, number in enumerate(classes):
        rows[:, place] = np.arange(count) % number
    return rows


TRAINING = {f"data_batch_{k}.bin": records(20 + k, k) for k in (1, 2)}
TESTING = {"test_batch.bin": records(12, 9)}
CONTENT = {name: rows.tobytes() for name, rows in (TRAINING | TESTING).items()} | {"batches.meta.txt": META}


def write(folder: Path, content: dict[str, bytes], *, zipped: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        if zipped and name.endswith(".bin"):
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def write_archive(path: Path, content: dict[str, bytes], folder: str = "cifar-10-batches-bin") -> Path:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as file:
        for name, data in content.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    path.write_bytes(made.getvalue())
    return path


FORMS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda path: write(path, CONTENT),
    "gzipped": lambda path: write(path, CONTENT, zipped=True),
    "both": lambda path: write(write(path, CONTENT), CONTENT, zipped=True),
    "folder above": lambda path: write(path / "cifar-10-batches-bin", CONTENT).parent,
    "archive": lambda path: write_archive(path, CONTENT),
}


@pytest.mark.parametrize("form", FORMS)
def test_both_sources_are_made_of_every_form(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.importers.cifar.BLOCK_IMAGES", 8)
    with ImageDatabase() as database:
        done = import_cifar10(database, FORMS[form](tmp_path / "set"))
        training, testing = (database.open(made.name) for made in done)
    assert [(made.name, made.count, made.shape) for made in done] == [
        ("CIFAR-10.training", 43, (3, 32, 32)),
        ("CIFAR-10.testing", 12, (3, 32, 32)),
    ]
    rows = np.concatenate(list(TRAINING.values()))
    np.testing.assert_array_equal(training.images[:].reshape(43, -1), rows[:, 1:])
    assert training.labels.tolist() == rows[:, 0].tolist() and training.groups is None
    assert training.class_names == dict(enumerate(NAMES))
    np.testing.assert_allclose(testing.mean.ravel(), rows[:, 1:].mean(0), rtol=1e-6)


def test_images_know_the_record_they_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.data.importers.cifar.BLOCK_IMAGES", 8)
    with ImageDatabase() as database:
        import_cifar10(database, write_archive(tmp_path / "a.tar.gz", CONTENT))
        found = database.origins("CIFAR-10.training")
    assert found == [f"cifar-10-batches-bin/data_batch_{k}.bin, record {i}" for k in (1, 2) for i in range(20 + k)]


def test_a_part_of_the_files_suffices(tmp_path: Path) -> None:
    folder = write(tmp_path, {name: CONTENT[name] for name in ("data_batch_2.bin",)})
    with ImageDatabase() as database:
        (done,) = import_cifar10(database, folder, name="part")
        assert (done.name, done.count) == ("part.training", 22)
        assert database.open("part.training").class_name(3) == "3", "there is no file with names"
        (folder / "first.bin.gz").write_bytes(gzip.compress(CONTENT["test_batch.bin"]))
        (folder / "last.bin").write_bytes(CONTENT["data_batch_1.bin"])
        made = import_cifar10(database, folder, name="named", training=["last.bin"], testing=["first*"])
        assert [each.count for each in made] == [21, 12]
        for options, message in (
            ({"testing": ["none.bin"]}, "there is no file 'none.bin' here"),
            ({"testing": ["data_batch_2.bin"]}, "named for training and for testing"),
        ):
            with pytest.raises(DataError, match=message):
                import_cifar10(database, folder, name="bad", **options)
        with pytest.raises(DataError, match="none") as caught:
            import_cifar10(database, folder, name="bad", testing=["none.bin"])
        assert "there are data_batch_2.bin, first.bin.gz, last.bin" in str(caught.value)


@pytest.mark.parametrize(("labels", "place", "count"), [("fine", 1, 100), ("coarse", 0, 20)])
def test_the_hundred_classes(tmp_path: Path, labels: str, place: int, count: int) -> None:
    rows = records(150, 4, (20, 100))
    content = {"train.bin": rows.tobytes(), "test.bin": rows[:7].tobytes()}
    content["fine_label_names.txt"] = "\n".join(f"fine {k}" for k in range(100)).encode()
    folder = write(tmp_path, content)
    with ImageDatabase() as database:
        done = import_cifar100(database, folder, labels=labels)
        training = database.open("CIFAR-100.training")
    assert [made.count for made in done] == [150, 7]
    np.testing.assert_array_equal(training.images[:].reshape(150, -1), rows[:, 2:])
    assert training.labels.tolist() == rows[:, place].tolist()
    assert training.groups is not None and training.groups.tolist() == rows[:, 1 - place].tolist()
    assert len(training.class_names) == count
    assert training.class_name(7) == ("fine 7" if labels == "fine" else "7")


def changed(place: int, value: int) -> dict[str, bytes]:
    rows = TRAINING["data_batch_1.bin"].copy()
    rows[place, 0] = value
    return {"data_batch_1.bin": rows.tobytes()}


BROKEN: dict[str, tuple[dict[str, bytes], str]] = {
    "label out of range": (changed(17, 200), r"data_batch_1\.bin: record 17 has label 200, expected 0 to 9"),
    "cut short": ({"data_batch_1.bin": CONTENT["data_batch_1.bin"][:-1]}, "ends in the middle of record 20"),
    "too long": ({"data_batch_1.bin": CONTENT["data_batch_1.bin"] + b"\1"}, "ends in the middle of record 21"),
    "empty": ({"data_batch_1.bin": b""}, "holds 0 records"),
    "gz cut short": ({"data_batch_1.bin.gz": gzip.compress(CONTENT["data_batch_1.bin"])[:-9]}, "cut short"),
    "gz that is none": ({"data_batch_1.bin.gz": CONTENT["data_batch_1.bin"]}, "damaged or cut short"),
    "wrong names": (CONTENT | {"batches.meta.txt": b"a\nb\n"}, "there are 2 names for 10 classes"),
    "names of no text": (CONTENT | {"batches.meta.txt": b"\xff" * 9}, "no UTF-8"),
    "names of control characters": (CONTENT | {"batches.meta.txt": b"a\x1b\n" * 10}, "cannot name a class"),
    "endless names": (CONTENT | {"batches.meta.txt": bytes(1 << 17)}, "131,072 bytes, more than 65,536"),
    "pickled": (
        {"data_batch_1": b"\x80\x02}", "batches.meta": b"\x80"},
        r"nothing is unpickled here\. Take the binary",
    ),
    "other files": ({"batch.bin": b"x"}, r"there is no data_batch\*\.bin or test_batch\*\.bin"),
    "nothing": ({}, r"Fetch cifar-10-binary\.tar\.gz from https"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_broken_sets_change_nothing(tmp_path: Path, netforge_home: Path, kind: str, form: str) -> None:
    content, message = BROKEN[kind]
    path = tmp_path / "set"
    path = write(path, content) if form == "folder" else write_archive(path, content or {"x": b""})
    with ImageDatabase() as database, pytest.raises(DataError, match=message) as caught:
        import_cifar10(database, path, dry_run=kind in ("pickled", "nothing"))
    assert str(path) in str(caught.value)
    with ImageDatabase() as database:
        assert database.sources() == []


def test_files_of_two_sets_are_not_mixed(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder, CONTENT)
    with ImageDatabase() as database, pytest.raises(DataError, match="in 2 folders: 'one', 'two'"):
        import_cifar10(database, tmp_path)


def test_the_real_set(image_data: Path) -> None:
    with ImageDatabase() as database:
        done = import_cifar10(database, image_data / "cifar10")
        testing = database.open("CIFAR-10.testing")
        assert float(testing.mean.mean()) == pytest.approx(121.041, abs=1e-3)
    assert [made.count for made in done] == [10_000, 1000]
    assert [testing.class_name(label) for label in testing.labels[:4]] == ["cat", "ship", "ship", "airplane"]
