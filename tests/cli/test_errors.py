"""How errors are worded and drawn."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.text import Text

from netforge.cli import cli
from netforge.cli.errors import as_netforge_error, show_block, source_lines
from netforge.errors import NetforgeError, Place, SchemaError


def drawn(place: Place) -> list[str]:
    return [line.plain for line in source_lines(place) if isinstance(line, Text)]


def test_the_caret_stands_under_the_word(tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text('name: "x"\n\tlayer { tpye: "ReLU" }\n', encoding="utf-8")
    assert drawn(Place(str(file), 2, 10)) == ["   |", ' 2 |     layer { tpye: "ReLU" }', "   |             ^^^^"]


def test_without_a_column_the_caret_stands_under_the_first_word(tmp_path: Path) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text("  layers {}\n")
    assert drawn(Place(str(file), 1))[-1] == "   |   ^^^^^^"


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"name: 1\n", 0), (b"name: 1\n", 9), (b"\x1b[2J\x00\n", 1)],
    ids=["no_line", "beyond_the_end", "control_characters"],
)
def test_no_line_is_drawn_where_there_is_none_to_show(tmp_path: Path, content: bytes, line: int) -> None:
    file = tmp_path / "net.prototxt"
    file.write_bytes(content)
    assert drawn(Place(str(file), line, 1)) == []


def test_no_line_is_drawn_of_a_file_that_is_gone(tmp_path: Path) -> None:
    assert drawn(Place(str(tmp_path / "gone"), 1, 1)) == []


def test_a_mend_that_is_a_command_keeps_its_spelling(capsys: pytest.CaptureFixture[str]) -> None:
    error = SchemaError("found x", mend="netforge data list shows all")
    show_block(error)
    assert str(error) == "found x. netforge data list shows all."
    assert "mend:  netforge data list shows all." in capsys.readouterr().err


def test_brackets_in_messages_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_block(SchemaError("found [bold]loud[/bold]", where="a[0]", layer='"x" (ReLU)', mend="write [red]"))
    assert capsys.readouterr().err == ('error: a[0]: layer "x" (ReLU): found [bold]loud[/bold].\nmend:  Write [red].\n')


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a.txt"), "a.txt: there is no such file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "runs"), "runs: this is a folder"),
        (PermissionError(errno.EACCES, "Permission denied", "secret"), "secret: this may not be opened"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EIO, "Input/output error", "disk"), "disk: Input/output error"),
        (MemoryError(), "batch_size"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_system_refuses_is_worded_for_people(error: Exception, words: str) -> None:
    assert words in str(as_netforge_error(error))


@pytest.mark.parametrize("error", [ValueError("x"), OSError("no file named"), KeyError("k")])
def test_other_exceptions_are_bugs(error: Exception) -> None:
    assert as_netforge_error(error) is None


def test_an_error_of_netforge_stays_as_it_is() -> None:
    error = NetforgeError("x")
    assert as_netforge_error(error) is error


def test_verbose_shows_where_a_plugin_failed(folder: Path) -> None:
    (folder / "faulty_layer.py").write_text(
        "from netforge.layers import LAYERS, Layer, register_layer\n"
        '@register_layer("FaultyForTest")\n'
        "class Faulty(Layer):\n"
        '    """Fails."""\n'
        "    def reshape(self, bottom, top):\n"
        "        return self.no_such_thing\n"
    )
    net = folder / "net.prototxt"
    net.write_text(net.read_text() + 'layer { name: "f" type: "FaultyForTest" bottom: "score" top: "f" }\n')
    quiet = CliRunner().invoke(cli, ["check", "net.prototxt", "--plugin", "faulty_layer"])
    loud = CliRunner().invoke(cli, ["check", "net.prototxt", "--plugin", "faulty_layer", "--verbose"])
    from netforge.layers import LAYERS

    LAYERS.remove("FaultyForTest")
    assert quiet.exit_code == loud.exit_code == 1
    assert "Traceback" not in quiet.stderr and "--verbose" in quiet.stderr
    assert "faulty_layer.py" in loud.stderr and "no_such_thing" in loud.stderr
