"""`netforge data`: import, list and show, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netforge.cli import cli
from netforge.cli.screen import shape_text
from tests.data.helpers import datum, write_lmdb, write_mnist


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_import_list_and_show(tmp_path: Path) -> None:
    write_mnist(tmp_path / "files")
    done = run("import", "mnist", tmp_path / "files", "--name", "tiny")
    shape = shape_text((1, 6, 5))
    assert done.exit_code == 0
    assert done.output == f"tiny.training: 30 images, {shape}\ntiny.testing: 20 images, {shape}\n"
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


def test_show_takes_the_folder_of_an_lmdb(tmp_path: Path) -> None:
    import numpy as np

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
