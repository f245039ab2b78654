"""What the documents show is true: commands, nets and Python of README.md run, and the paths they name are there."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import pytest

import netforge
from netforge.cli import COMMANDS
from netforge.layers import LAYERS
from netforge.net import Net
from netforge.schema import parse_net

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("models/*/README.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(document.read_text(encoding="utf-8")) if found == language]


def commands(document: Path) -> list[str]:
    lines = [line for text in blocks(document, "sh") for line in text.replace("\\\n", " ").splitlines()]
    return [part.strip() for line in lines for part in line.split("#")[0].split("&&") if part.strip()]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models and solvers of this checkout, as the current folder."""
    for folder in ("models", "solvers"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ci_runs_the_first_two_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    first, second = blocks(ROOT / "README.md", "sh")[0].splitlines()
    assert first in script
    assert second in script


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist_and_name_files_that_are_there(document: Path) -> None:
    for command in commands(document):
        words = shlex.split(command)
        if words[0] == "netforge" and not words[1].startswith("-"):
            assert words[1] in COMMANDS, command
        for word in words:
            path = word.partition("=")[2] if word.startswith("--") else word
            if path.startswith(("models/", "solvers/")):
                assert (ROOT / path).exists(), command


def test_the_readme_s_net_builds() -> None:
    (text,) = blocks(ROOT / "README.md", "protobuf")
    assert Net(parse_net(text), "TRAIN", plan_only=True).outputs == ["loss"]


def test_the_readme_s_python_runs(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        for text in blocks(ROOT / "README.md", "python"):
            module = types.ModuleType("readme")
            monkeypatch.setitem(sys.modules, "readme", module)
            exec(compile(text, "README.md", "exec"), module.__dict__)
    finally:
        if "Wave" in LAYERS:
            LAYERS.remove("Wave")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_are_python_and_use_what_is_public(document: Path) -> None:
    for text in blocks(document, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "netforge":
                assert node.attr in netforge.__all__


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_number_is_left_open(document: Path) -> None:
    assert not re.search(r"@[A-Z_]+@|TODO|TBD", document.read_text(encoding="utf-8"))


def test_every_model_has_a_readme() -> None:
    for folder in (ROOT / "models").iterdir():
        assert (folder / "README.md").is_file(), folder.name
        assert folder.name in (ROOT / "README.md").read_text()


def test_every_public_name_is_there_and_documented() -> None:
    for name in netforge.__all__:
        thing = getattr(netforge, name)
        assert name == "__version__" or thing.__doc__, name
