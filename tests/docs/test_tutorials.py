"""What a reader does who follows a document from top to bottom runs: its commands and its Python, in one folder.

All lines run as they are written, but for three kinds. SHORTER: those that would take long get some more options.
Trainings among them run on small stand-ins for data that netforge does not bring, and their weights get the name that
the document goes on with. PARSED_ONLY: those that cannot run here.
"""

from __future__ import annotations

import re
import shutil
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from netforge.cli import cli
from netforge.layers import LAYERS
from netforge.schema import read_solver
from tests.docs.documents import README, ROOT, TUTORIALS, WRITTEN, Block, blocks, name, shell_commands
from tests.docs.stand_ins import STAND_INS

SHORTER = {
    "netforge train --solver solvers/siamese_digits.prototxt --set net=mine": "--set max_iter=2 --set test_iter=1",
    "netforge train --solver solvers/siamese_digits": "--set max_iter=20 --set test_iter=1",
    "netforge train --solver my_solver": "--set max_iter=2",
    "netforge train": "--set max_iter=2 --set test_iter=1",
    "netforge report": "--quick",
    "netforge time": "--iterations 2",
    "netforge inspect embeddings": "--iterations 250 --limit 200",
}
"""Beginnings of lines, and options that make them take a moment; the first that fits counts."""

PARSED_ONLY = {
    "pip ": "the environment of the tests is not theirs to change; .ci/run installs the package",
    "pytest": "these are the tests",
    "netforge train --solver solvers/siamese_digits.prototxt --device cuda:0": "needs a GPU",
    "netforge monitor": "serves its page until Ctrl-C",
    "netforge train --solver solvers/alexnet.prototxt": "needs ImageNet",
    "netforge train --solver solvers/resnet50.prototxt": "needs ImageNet",
    "netforge time --model models/alexnet": "takes seconds a pass; README.md's line runs",
    "netforge time --model models/resnet50": "takes seconds a pass; README.md's line runs",
}
"""Beginnings of lines that are not run, and why; test_commands parses them all the same."""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the documents, models and solvers of this checkout, as the current folder."""
    for folder in ("models", "solvers"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(README, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", WRITTEN, ids=name)
def test_a_reader_who_follows_the_document_succeeds(
    document: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name(document) in STAND_INS:
        STAND_INS[name(document)](scratch)
    variables: dict[str, str] = {}
    known = set(LAYERS)
    try:
        for block in blocks(document, "sh", "console", "python"):
            if block.language == "python":
                run_python(block, monkeypatch)
            elif block.language == "console":
                run_session(block)
            else:
                for words in shell_commands(block.text, variables):
                    run_command(words)
    finally:
        for layer in set(LAYERS) - known:
            LAYERS.remove(layer)


def run_python(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a block as a module of its own, under the name of the file that the sentence below it puts it into."""
    lines = block.document.read_text(encoding="utf-8").splitlines()
    below = " ".join(lines[block.line + len(block.text.splitlines()) :][:2])
    named = re.match(r"\s*In a file `(\w+)\.py`", below)
    module = types.ModuleType(named[1] if named else "document")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile("\n" * (block.line - 1) + block.text, name(block.document), "exec"), module.__dict__)


def run_session(block: Block) -> None:
    """Run the lines of a session that begin with "$ ", and compare what they print with what stands below them."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", block.text, re.M):
        (words,) = shell_commands(command)
        assert words[0] == "netforge"
        assert CliRunner().invoke(cli, words[1:]).output.splitlines() == shown.splitlines(), block.place


def run_command(words: list[str]) -> None:
    """Run one command; a training is shortened."""
    line = " ".join(words)
    if line.startswith(tuple(PARSED_ONLY)):
        return
    if words[0] == "sed":
        run_sed(words)
        return
    assert words[0] == "netforge", f"say in PARSED_ONLY why this does not run: {line}"
    more = next((options.split() for beginning, options in SHORTER.items() if line.startswith(beginning)), [])
    result = CliRunner().invoke(cli, [*words[1:], *more])
    assert result.exit_code == 0, f"{line}\n{result.output}"
    if words[1] == "train":
        name_as_if_finished([*words, *more])


def name_as_if_finished(words: list[str]) -> None:
    """Copy the last snapshot of a shortened training to the names that the whole one would have given it."""
    message = read_solver(words[words.index("--solver") + 1]).message
    given = dict(word.split("=", 1) for word in words if "=" in word)
    prefix = given.get("snapshot_prefix", message.snapshot_prefix)
    for ending in ("caffemodel", "solverstate"):
        shutil.copy(f"{prefix}_iter_{given['max_iter']}.{ending}", f"{prefix}_iter_{message.max_iter}.{ending}")


def run_sed(words: list[str]) -> None:
    """`sed 's/OLD/NEW/' FILE > FILE`, which stands for an editor."""
    _, script, source, arrow, target = words
    old, new = re.fullmatch(r"s/(.*)/(.*)/", script).groups()  # type: ignore[union-attr]
    assert arrow == ">"
    text = Path(source).read_text(encoding="utf-8")
    assert re.search(old, text), script
    Path(target).write_text(re.sub(old, new, text), encoding="utf-8")


def test_lines_with_a_rule_are_in_the_documents() -> None:
    lines = [
        " ".join(words)
        for document in WRITTEN
        for block in blocks(document, "sh")
        for words in shell_commands(block.text)
    ]
    for beginning in (*PARSED_ONLY, *SHORTER):
        assert any(line.startswith(beginning) for line in lines), f"{beginning!r} is in no document any more"


def test_every_stand_in_has_its_document() -> None:
    assert set(STAND_INS) <= {name(document) for document in [README, *TUTORIALS]}
