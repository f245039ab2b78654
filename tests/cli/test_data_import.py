"""`netforge data import` of CIFAR, LMDBs and scikit-learn's digits, as people type them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from netforge.cli.screen import shape_text
from netforge.data import ImageDatabase
from netforge.schema import messages
from tests.data.helpers import datum, write_lmdb

COLOUR = shape_text((3, 32, 32))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", "import", *map(str, arguments)])


def test_cifar10(tmp_path: Path, netforge_home: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073 * 5))
    (tmp_path / "few.bin.gz").write_bytes(gzip.compress(bytes(3073 * 2)))
    lines = [
        f"CIFAR-10.training: 5 images, {COLOUR}, 1 class of 5",
        f"CIFAR-10.testing: 2 images, {COLOUR}, 1 class of 2",
    ]
    dry = run("cifar10", tmp_path, "--testing-file", "few*", "--dry-run")
    assert dry.output.splitlines() == [*lines, "Dry run: nothing was changed."]
    assert list(netforge_home.iterdir()) == []
    assert run("cifar10", tmp_path, "--testing-file", "few.bin.gz").output.splitlines() == lines
    again = run("cifar10", tmp_path)
    assert again.exit_code == 1 and 'a source "CIFAR-10.training" already. Write --replace' in again.output
    assert run("cifar10", tmp_path, "--replace").output.splitlines() == lines[:1]


def test_cifar100(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes((bytes([3, 42]) + bytes(3072)) * 4)
    for labels, label, group in (("fine", 42, 3), ("coarse", 3, 42)):
        done = run("cifar100", tmp_path, "--name", labels, "--label-kind", labels)
        assert done.output == f"{labels}.training: 4 images, {COLOUR}, 1 class of 4\n"
        with ImageDatabase() as database:
            source = database.open(f"{labels}.training")
            assert set(source.labels) == {label} and set(source.groups) == {group}


def test_lmdb(tmp_path: Path) -> None:
    records = {f"{i}".encode(): datum(np.full((3, 4, 4), i, np.uint8), i % 2) for i in range(6)}
    folder = write_lmdb(tmp_path / "db", records | {b"bad": b"\xff"})
    refused = run("lmdb", folder, "--name", "a")
    assert refused.exit_code == 1 and "db, record 'bad': the record is no Datum" in refused.output
    mean = tmp_path / "mean.binaryproto"
    mean.write_bytes(messages.BlobProto(num=1, channels=1, height=2, width=2, data=[1, 2, 3, 4]).SerializeToString())
    arguments = ("--skip-unreadable", "--channels", "1", "--size", "2x2", "--mean-file", mean, "--color-order", "RGB")
    done = run("lmdb", folder, "--name", "a", *arguments)
    assert done.output.splitlines() == [
        f"left out: {folder}, record 'bad': the record is no Datum",
        f"a: 6 images, {shape_text((1, 2, 2))}, 2 classes of 3",
    ]
    with ImageDatabase() as database:
        source = database.open("a")
    assert source.color_order == "RGB" and source.mean.ravel().tolist() == [1, 2, 3, 4]
    assert source.images[:][:, 0, 0, 0].tolist() == list(range(6))


def test_digits_of_scikit_learn() -> None:
    done = run("sklearn", "digits", "--name", "d", "--testing", "0.25", "--seed", "4")
    shape = shape_text((1, 8, 8))
    assert done.output.splitlines() == [
        f"d.training: 1,347 images, {shape}, 10 classes of 130 to 137",
        f"d.testing: 450 images, {shape}, 10 classes of 44 to 46",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cifar10", "{}"), "Fetch cifar-10-binary.tar.gz from https://www.cs.toronto.edu"),
        (("cifar10", "{}", "--training-file", "a.bin"), "there is no file 'a.bin' here"),
        (("cifar100", "{}/none"), "there is no such file"),
        (("lmdb", "{}", "--name", "a"), "there is no LMDB here"),
        (("lmdb", "{}", "--name", "a", "--mean-file", "a", "--mean-of", "b"), "there is no LMDB here"),
        (("sklearn", "olivetti_faces", "--name", "a"), "nothing is unpickled here"),
        (("sklearn", "digits", "--name", "digits", "--testing", "0.5"), "the same for everyone"),
    ],
)
def test_errors_are_one_message_and_status_1(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*(argument.format(tmp_path) for argument in arguments))
    assert done.exit_code == 1 and message in done.output and len(done.output.splitlines()) == 1
