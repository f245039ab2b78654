"""Every command in the documents goes through the real command line parser, and the files it names are there."""

from __future__ import annotations

import re
import tomllib
from itertools import dropwhile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from netforge.cli import cli
from tests.docs.documents import (
    DOCUMENTS,
    README,
    ROOT,
    WRITTEN,
    blocks,
    commands_in,
    commands_in_prose,
    name,
    shell_commands,
)

OTHER_PROGRAMS = {"pip", "pytest", "python", "sed"}
LANGUAGES = {"sh", "console", "python", "protobuf", "toml", "text"}


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner that parses a command line to its end and runs nothing."""
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)  # these files are the reader's
    return CliRunner()


def test_ci_runs_the_first_two_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    first, second = blocks(README, "sh")[0].text.splitlines()
    assert first in script
    assert second in script


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_blocks_are_in_languages_that_are_tested(document: Path) -> None:
    for block in blocks(document):
        assert block.language in LANGUAGES, f"{block.place}: say which language this is: {sorted(LANGUAGES)}"


@pytest.mark.parametrize("document", WRITTEN, ids=name)
def test_code_is_read_without_scrolling(document: Path) -> None:
    for block in blocks(document, "sh", "python", "protobuf", "toml"):
        for line in block.text.splitlines():
            assert len(line) <= 100, f"{block.place}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_are_understood(document: Path, parse: CliRunner) -> None:
    for words in commands_in(document):
        program, *arguments = dropwhile(lambda word: re.fullmatch(r"[A-Z_]+=\S*", word), words)
        if program == "netforge":
            result = parse.invoke(cli, arguments)
            assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"
        else:
            assert program in OTHER_PROGRAMS, " ".join(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_in_sentences_are_understood(document: Path, parse: CliRunner) -> None:
    """A sentence may name a command without what it needs, but no command and no option that is not there."""
    for words in commands_in_prose(document):
        result = parse.invoke(cli, words[1:])
        complaint = re.search(r"^Error: (?!Missing ).*", result.output, re.M)
        assert complaint is None, f"{' '.join(words)}\n{result.output}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_models_and_solvers_that_commands_name_are_there(document: Path) -> None:
    for words in [*commands_in(document), *commands_in_prose(document)]:
        for word in words:
            path = word.rpartition("=")[2]
            if path.startswith(("models/", "solvers/")):
                assert (ROOT / path).exists(), " ".join(words)


def test_extras_that_pip_is_asked_for_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [re.fullmatch(r"\.\[(\w+)\]", word) for words in commands_in(README) for word in words]
    extras = {found[1] for found in wanted if found}
    assert "test" in extras and extras <= set(project["optional-dependencies"])


def test_shell_lines_are_read_as_a_shell_reads_them() -> None:
    text = 'NET="--model a b"  # a net\nnetforge test $NET \\\n  --phase TEST && netforge x "y && z"\n'
    assert list(shell_commands(text)) == [
        ["netforge", "test", "--model", "a", "b", "--phase", "TEST"],
        ["netforge", "x", "y && z"],
    ]
