"""IDX files and the sets made of them; the digits that need no import."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase, import_mnist, open_source
from netforge.data.formats.idx import IMAGES_MAGIC, LABELS_MAGIC, read_idx
from netforge.data.store import builtin
from netforge.errors import DataError
from tests.data.helpers import idx_bytes, write_mnist

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_read(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)) if zipped else idx_bytes(IMAGES))
    np.testing.assert_array_equal(read_idx(path, IMAGES_MAGIC), IMAGES)


GOOD = idx_bytes(IMAGES)
GOOD_GZ = gzip.compress(GOOD)
HUGE = (2051).to_bytes(4, "big") + b"\xff" * 12
BROKEN = {
    "empty": (b"", "begins with 0, expected 2051"),
    "labels": (idx_bytes(np.arange(4)), "no IDX file of images: it begins with 2049"),
    "cut short": (GOOD[:-1], "the header asks for 4 x 3 x 2 bytes, more than the file holds"),
    "too long": (GOOD + b"x", "asks for 24 bytes of images, the file holds more"),
    "4 GiB claim": (HUGE, "more than the file holds"),
    "4 GiB claim in gzip": (gzip.compress(HUGE), "more than the file holds"),
    "no images": (idx_bytes(IMAGES[:0]), "asks for 0 x 3 x 2"),
    "gzip cut short": (GOOD_GZ[:-9], "the file is damaged or cut short"),
    "gzip damaged": (GOOD_GZ[:20] + b"\x00\xff\x00" + GOOD_GZ[23:], "the file is damaged"),
    "gzip of part": (gzip.compress(GOOD[:-5]), "the file holds only 19"),
    "gzip of more": (gzip.compress(GOOD + b"xy"), "the file holds more"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_idx_files(tmp_path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    path = tmp_path / "some file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, IMAGES_MAGIC)
    assert str(path) in str(caught.value)


def test_missing_idx_files(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="there is no such file"):
            read_idx(path, LABELS_MAGIC)


@pytest.mark.parametrize("zipped", [True, False])
def test_import_makes_both_sources_with_the_training_mean(tmp_path: Path, zipped: bool) -> None:
    write_mnist(tmp_path, zipped=zipped)
    with ImageDatabase() as database:
        infos = import_mnist(database, tmp_path, name="tiny")
        training, testing = (database.open(info.name) for info in infos)
    assert [info.name for info in infos] == ["tiny.training", "tiny.testing"]
    assert (training.count, testing.count, training.shape) == (30, 20, (1, 6, 5))
    np.testing.assert_allclose(training.mean, training.images[:].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(testing.mean, training.mean)
    assert training.class_name(3) == "3"


def test_three_channels_repeat_the_grey_one(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with ImageDatabase() as database:
        import_mnist(database, tmp_path, name="grey")
        import_mnist(database, tmp_path, name="colour", channels=3)
        grey, colour = database.open("grey.testing"), database.open("colour.testing")
    assert colour.shape == (3, 6, 5)
    np.testing.assert_array_equal(colour.images[:], grey.images[:].repeat(3, axis=1))


def test_an_import_that_fails_changes_nothing(tmp_path: Path) -> None:
    write_mnist(tmp_path / "good")
    write_mnist(tmp_path / "bad")
    labels = tmp_path / "bad" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_bytes(np.arange(19))))
    with ImageDatabase() as database:
        import_mnist(database, tmp_path / "good")
        before = database.sources()
        for folder, options, message in (
            ("good", {}, 'a source "MNIST.training" already'),
            ("bad", {"replace": True}, "20 images, but t10k-labels-idx1-ubyte.gz has 19 labels"),
            ("none", {"replace": True}, "there is no train-images-idx3-ubyte here"),
            ("good", {"name": "new\nline"}, "cannot name a source"),
        ):
            with pytest.raises(DataError, match=message):
                import_mnist(database, tmp_path / folder, **options)
            assert database.sources() == before


@pytest.mark.parametrize(
    ("folder", "shape", "counts", "mean"),
    [("mnist", (1, 28, 28), (60_000, 10_000), 33.3184), ("usps", (1, 16, 16), (7291, 2007), None)],
)
def test_real_sets(image_data: Path, folder: str, shape: tuple, counts: tuple, mean: float | None) -> None:
    with ImageDatabase() as database:
        infos = import_mnist(database, image_data / folder, name="real")
        assert tuple(info.count for info in infos) == counts
        source = database.open("real.training")
    assert source.shape == shape
    assert np.unique(source.labels).tolist() == list(range(10))
    if mean is not None:
        assert float(source.mean.mean()) == pytest.approx(mean, abs=1e-3)


def test_digits_are_made_when_first_asked_for() -> None:
    from sklearn.datasets import load_digits

    training, testing = open_source("IMAGEDB", "digits.training"), open_source("IMAGEDB", "digits.testing")
    assert (training.shape, training.count, testing.count) == ((1, 8, 8), 1297, 500)
    digits = load_digits()
    chosen = builtin.testing_rows(digits.target)
    np.testing.assert_array_equal(testing.labels, digits.target[chosen])
    np.testing.assert_array_equal(training.images[:][:, 0], np.floor(digits.images[~chosen] * 255 / 16 + 0.5))
    np.testing.assert_array_equal(testing.mean, training.mean)
    assert np.bincount(testing.labels).tolist() == [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]
    assert np.flatnonzero(chosen)[:8].tolist() == FIRST_TESTING_ROWS, "the split is fixed for ever"


def test_digits_are_the_same_where_the_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = builtin.read_digits()
    monkeypatch.setattr(builtin, "find_spec", lambda name: None)
    np.testing.assert_array_equal(builtin.read_digits(), wanted)


FIRST_TESTING_ROWS = [3, 6, 10, 16, 19, 26, 29, 32]


def test_digits_are_made_once() -> None:
    with ImageDatabase() as database:
        builtin.make_digits(database)
        before = database.sources()
        builtin.make_digits(database)
        assert database.sources() == before


def test_the_header_of_digits_is_known_without_making_them(netforge_home: Path) -> None:
    header = open_source("IMAGEDB", "digits.testing", header_only=True)
    assert (header.shape, header.count, header.class_name(7)) == ((1, 8, 8), 500, "7")
    assert list(netforge_home.iterdir()) == []
    for read in (lambda: header.labels, lambda: header.images[0]):
        with pytest.raises(DataError, match="only the header"):
            read()
    made = open_source("IMAGEDB", "digits.testing")
    again = open_source("IMAGEDB", "digits.testing", header_only=True)
    assert (again.shape, again.count, again.class_names) == (made.shape, made.count, header.class_names)


def test_two_processes_ask_for_digits_at_once() -> None:
    code = "from netforge.data import open_source; print(open_source('IMAGEDB', 'digits.training').images[:].sum())"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert outputs[0][0] == outputs[1][0] != b"", outputs
