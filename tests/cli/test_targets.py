"""Files that commands write: refused before the work where they cannot be made, and there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from netforge.cli import COMMANDS, cli
from netforge.cli.targets import TargetFile, write_json, write_png
from netforge.errors import DataError
from tests.cli.files import leaves


def test_options_that_name_files_to_write_are_named_alike() -> None:
    """`-o` is short for --out everywhere, and no other file is written by options that do not look first."""
    found = set()
    for words, command in leaves(cli):
        for option in (one for one in command.params if isinstance(one, click.Option)):
            if isinstance(option.type, TargetFile):
                found.add(option.opts[-1])
                assert option.metavar == "FILE" and ("-o" in option.opts) == ("--out" in option.opts), words
            else:
                assert not {"-o", "--out", "--output", "--html", "--png", "--csv", "--json"} & set(option.opts), words
    assert found == {"--out", "--html", "--png", "--csv", "--json", "--binaryproto"}
    assert {words[0] for words, _ in leaves(cli)} == set(COMMANDS)


@pytest.mark.parametrize("name", ["none/net.svg", "locked.svg", "locked/net.svg", "net.prototxt/net.svg"])
def test_a_file_that_cannot_be_made_is_named_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder / "locked").mkdir()
    (folder / "locked.svg").write_text("mine")
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in Path(path).name)
    result = CliRunner().invoke(cli, ["draw", "missing.prototxt", "-o", name])
    assert result.exit_code == 1 and f"error: {name}: " in result.stderr
    assert ("you may not write here" in result.stderr) == ("locked" in name)
    assert (folder / "locked.svg").read_text() == "mine"


def test_a_folder_in_the_place_of_a_file_is_a_slip_of_the_command_line(folder: Path) -> None:
    assert CliRunner().invoke(cli, ["draw", "net.prototxt", "-o", "."]).exit_code == 2


def test_what_was_there_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(Image.Image):
        def save(self, file: object, *_: object, **__: object) -> None:
            Path(str(file)).write_bytes(b"half")
            raise OSError(28, "No space left on device")

    picture, numbers = tmp_path / "a.png", tmp_path / "a.json"
    for path in (picture, numbers):
        path.write_text("old")
    with pytest.raises(DataError, match=r"a\.png: the picture cannot be written: No space left on device"):
        write_png(picture, Torn)
    with pytest.raises(TypeError):
        write_json(numbers, lambda: {"set": {1}}, "numbers")
    assert [path.read_text() for path in (picture, numbers)] == ["old", "old"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_stays_one(folder: Path) -> None:
    (folder / "out.svg").symlink_to(folder / "net.svg")
    assert CliRunner().invoke(cli, ["draw", "net.prototxt", "-o", "out.svg"]).exit_code == 0
    assert (folder / "out.svg").is_symlink() and (folder / "net.svg").read_text().startswith("<svg")
