"""The program itself: help that imports nothing heavy, version, usage errors, exit statuses."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from netforge.cli import COMMANDS, cli
from tests.cli.files import leaves

HEAVY = ("numpy", "google", "rich", "PIL", "h5py", "lmdb", "sklearn", "scipy", "netforge.schema", "netforge.layers")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []], ids=["help", "version", "nothing"])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('MODULES', *sorted(sys.modules)))\n"
        f"sys.argv = ['netforge', *{arguments!r}]\n"
        "from netforge.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    (modules,) = (line.split()[1:] for line in done.stdout.splitlines() if line.startswith("MODULES"))
    assert "netforge.cli" in modules
    assert not [name for name in modules if name.startswith(HEAVY)], done.stderr


def test_help_lists_every_command_with_one_line() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    for name in COMMANDS:
        assert f"\n  {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_options(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_unknown_command_names_the_closest() -> None:
    result = CliRunner().invoke(cli, ["trian"])
    assert result.exit_code == 2
    assert "train" in result.stderr


def test_unknown_option_names_the_closest() -> None:
    result = CliRunner().invoke(cli, ["train", "--slover", "x"])
    assert result.exit_code == 2
    assert "--solver" in result.stderr


def test_commands_may_be_written_with_an_underscore() -> None:
    result = CliRunner().invoke(cli, ["device_query"])
    assert result.exit_code == 0
    assert "cpu" in result.output


def test_a_bug_shows_its_traceback_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(type(cli), "get_command", lambda self, ctx, name: broken)
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 70
    assert "nobody foresaw this" in result.stderr and "Traceback" in result.stderr
    assert "report" in result.stderr


@pytest.mark.parametrize("wrapped", [False, True])
def test_ctrl_c_outside_training_ends_with_130(monkeypatch: pytest.MonkeyPatch, wrapped: bool) -> None:
    @click.command()
    def interrupted() -> None:
        if wrapped:  # as Python 3.11 does while it makes a class
            raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()
        raise KeyboardInterrupt

    monkeypatch.setattr(type(cli), "get_command", lambda self, ctx, name: interrupted)
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m netforge layers | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert done.stderr == ""


def test_python_warnings_do_not_reach_the_user() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, warnings\n"
            "import netforge.cli as program\n"
            "program.cli = lambda **_: warnings.warn('old habit')\n"
            "program.main()\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_help_of_data_fits_a_terminal() -> None:
    commands = [words for words, _ in leaves(cli) if words[0] == "data"]
    assert ("data", "import", "voc0712") in commands
    for words in (("data",), *commands):
        text = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80).output
        assert not [line for line in text.splitlines() if len(line) > 80], words
