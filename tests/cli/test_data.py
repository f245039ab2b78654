"""`netforge data`: import, list and show, as people type them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netforge.cli import cli
from netforge.cli.screen import shape_text
from netforge.data import ImageDatabase
from tests.data.devkit import write_devkit
from tests.data.helpers import datum, write_lmdb, write_mnist


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_import_list_and_show(tmp_path: Path) -> None:
    write_mnist(tmp_path / "files")
    done = run("import", "mnist", tmp_path / "files", "--name", "tiny")
    shape = shape_text((1, 6, 5))
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"tiny.training: 30 images, {shape}, 10 classes of 3",
        f"tiny.testing: 20 images, {shape}, 10 classes of 2",
    ]
    lines = run("list").output.splitlines()
    assert lines[0].split() == ["source", "images", "shape", "classes", "imported"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["tiny.testing", "20"],
        ["tiny.training", "30"],
        ["digits.training", "-"],
        ["digits.testing", "-"],
    ]
    sheet = tmp_path / "sheet.png"
    done = run("show", "tiny.training", "--out", sheet, "--per-class", "2", "--seed", "3")
    assert done.exit_code == 0 and str(sheet) in done.output
    with Image.open(sheet) as picture:
        assert picture.format == "PNG" and picture.height > 10 * 56


def test_replace_channels_and_database(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    database = tmp_path / "deep" / "images.db"
    arguments = ("import", "mnist", tmp_path, "--database", database)
    assert run(*arguments).exit_code == 0
    again = run(*arguments, "--channels", "3")
    assert again.exit_code == 1
    assert 'there is a source "MNIST.training" already. Write --replace' in again.output
    replaced = run(*arguments, "--channels", "3", "--replace")
    assert replaced.exit_code == 0 and shape_text((3, 6, 5)) in replaced.output
    assert "MNIST.training" not in run("list").output
    assert shape_text((3, 6, 5)) in run("list", "--database", database).output


def test_a_dry_run_reads_everything_and_makes_nothing(tmp_path: Path, netforge_home: Path) -> None:
    write_mnist(tmp_path)
    done = run("import", "mnist", tmp_path, "--dry-run")
    assert done.exit_code == 0 and "MNIST.testing: 20 images" in done.output
    assert done.output.splitlines()[-1] == "Dry run: nothing was changed."
    assert not list(netforge_home.iterdir())


def test_a_subset_its_rest_and_two_sources_as_one(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    run("import", "mnist", tmp_path, "--name", "all")
    shape = shape_text((1, 6, 5))
    done = run("copy", "all.training", "few", "--max-per-label", "2", "--seed", "1", "--rest", "others")
    assert done.output.splitlines() == [
        f"few: 20 images, {shape}, 10 classes of 2",
        f"others: 10 images, {shape}, 10 classes of 1",
    ]
    done = run("copy", "others", "all.testing", "unseen", "--labels", "0-6,9", "--mean-of", "few")
    assert done.output == f"unseen: 24 images, {shape}, 8 classes of 3\n"
    again = run("copy", "others", "unseen")
    assert again.exit_code == 1 and 'there is a source "unseen" already. Write --replace' in again.output


def test_arrays_are_imported(tmp_path: Path) -> None:
    images = np.zeros((12, 8, 6), np.uint8)
    path = tmp_path / "faces.npz"
    np.savez(path, x=images, y=np.arange(12) // 3, who=np.arange(12))
    arguments = (
        "import",
        "npz",
        path,
        "--name",
        "faces",
        "--image-array",
        "x",
        "--label-array",
        "y",
        "--group-array",
        "who",
    )
    assert run(*arguments, "--size", "4x3", "--dry-run").output.startswith("faces: 12 images")
    done = run(*arguments, "--size", "4x3", "--labels", "1-2")
    assert done.output == f"faces: 6 images, {shape_text((1, 4, 3))}, 2 classes of 3\n"
    with ImageDatabase() as database:
        assert database.open("faces").groups.tolist() == list(range(3, 9))
    for size in ("4", "0x3", "4x99999", "x", "4X3"):
        refused = run(*arguments, "--size", size)
        assert refused.exit_code == 2 and "write HEIGHTxWIDTH" in refused.output


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (9 + i, 9)).save(tmp_path / name / f"{i}.png")
    arguments = ("import", "images", tmp_path, "--name", "pets", "--size", "6x8", "--testing", "0.4")
    shape = shape_text((3, 6, 8))
    lines = [f"pets.training: 6 images, {shape}, 2 classes of 3", f"pets.testing: 4 images, {shape}, 2 classes of 2"]
    assert run(*arguments, "--dry-run").output.splitlines() == [*lines, "Dry run: nothing was changed."]
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"x")
    refused = run(*arguments)
    assert refused.exit_code == 1 and "broken.jpg: the picture cannot be read" in refused.output
    done = run(*arguments, "--skip-unreadable", "--seed", "2")
    assert done.exit_code == 0 and done.output.startswith(f"left out: {tmp_path / 'cat' / 'broken.jpg'}: the picture")


def test_pictures_of_a_list_and_of_a_table(tmp_path: Path) -> None:
    for i in range(4):
        Image.new("L", (6, 5)).save(tmp_path / f"{i}.png")
    (tmp_path / "list.txt").write_text("0.png 3\n1.png 7\n")
    arguments = ("--name", "few", "--channels", "1")
    assert run("import", "images", tmp_path / "list.txt", *arguments).output == (
        f"few: 2 images, {shape_text((1, 5, 6))}, 2 classes of 1\n"
    )
    (tmp_path / "sub").mkdir()
    table = tmp_path / "sub" / "table.csv"
    table.write_text("name;kind;who\n2.png;cat;a\n3.png;ant;b\n")
    options = ("--root", tmp_path, "--file-column", "name", "--class-column", "kind", "--group-column", "who")
    assert run("import", "images", table, *arguments, "--replace", *options).exit_code == 0
    with ImageDatabase() as database:
        assert database.open("few").groups.tolist() == [0, 1] and database.open("few").labels.tolist() == [1, 0]
    refused = run("import", "images", table, *arguments, "--replace", *options[:3], "names", *options[4:])
    assert refused.exit_code == 1 and "table.csv:1: there is no column 'names'" in refused.output
    refused = run("import", "images", tmp_path, *arguments, "--replace", "--root", tmp_path)
    assert refused.exit_code == 1 and "a root and columns go with a list" in refused.output


def test_voc_is_imported(tmp_path: Path) -> None:
    devkit = write_devkit(tmp_path)
    shape = shape_text((3, 300, 300))
    lines = [f"VOC0712.training: 3 images, {shape}, 3 classes of 1", f"VOC0712.testing: 1 image, {shape}, 1 class of 1"]
    done = run("import", "voc0712", devkit, "--dry-run")
    assert done.output.splitlines() == [*lines, "Dry run: nothing was changed."]
    assert (
        run("import", "voc0712", devkit / "VOCdevkit" / "VOC2007", "--year", "2007", "--size", "20x40").exit_code == 0
    )
    (devkit / "VOCdevkit" / "VOC2007" / "Annotations" / "000001.xml").write_text("<!DOCTYPE a>")
    refused = run("import", "voc0712", devkit, "--replace")
    assert refused.exit_code == 1 and "000001.xml:1: the file declares a document type" in refused.output
    done = run("import", "voc0712", devkit, "--replace", "--skip-unreadable")
    assert done.exit_code == 0 and done.output.startswith("left out: ") and "training: 2 images" in done.output


def test_show_takes_the_folder_of_an_lmdb(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", {b"0": datum(np.zeros((1, 4, 4), np.uint8))})
    assert run("show", tmp_path / "db", "--out", tmp_path / "sheet.png").exit_code == 0
    assert (tmp_path / "sheet.png").exists()


def test_digits_can_be_shown_at_once(tmp_path: Path) -> None:
    assert run("show", "digits.testing", "--out", tmp_path / "sheet.png").exit_code == 0
    assert "500" in run("list").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nothing", "--out", "{}/a.png"), 'has no source "nothing"'),
        (("show", "digits.testin", "--out", "{}/a.png"), 'Did you mean "digits.testing"'),
        (("show", "digits.testing", "--out", "{}/none/a.png"), "none"),
        (("copy", "digits.testin", "b"), 'Did you mean "digits.testing"'),
        (("copy", "digits.testing", "b", "--labels", "7-1"), "'7-1' is no label and no range"),
        (
            ("import", "npz", "{}/none", "--name", "a", "--image-array", "x", "--label-array", "y"),
            "there is no such file",
        ),
        (
            ("import", "npz", "{}/text", "--name", "a", "--image-array", "x", "--label-array", "y"),
            "this is no .npz file",
        ),
        (("import", "mnist", "{}"), "there is no train-images-idx3-ubyte here"),
        (("import", "mnist", "{}/none"), "there is no train-images-idx3-ubyte here"),
        (("list", "--database", "{}/text"), "file is not a database"),
    ],
)
def test_errors_are_one_message_and_status_1(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "text").write_text("this is no database at all, and long enough to have a header" * 9)
    done = run(*(argument.format(tmp_path) for argument in arguments))
    assert done.exit_code == 1
    assert message in done.output and "Traceback" not in done.output
    assert not list(tmp_path.glob("*.png"))
