"""The reference pages say what the code does, alike on every machine, and read well."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import netforge.layers
from netforge.cli import COMMANDS
from netforge.cli.layer_pages import FAMILIES, FOREIGN, by_family, layers_page
from netforge.cli.markdown import anchor, quoted
from netforge.layers import LAYERS
from netforge.reference import COMMAND, FOLDER, pages, write_pages
from netforge.schema import describe_message

NAMES = ("layers.md", "solvers.md", "commands.md")
BUILT_IN = [LAYERS[name] for name in LAYERS if LAYERS[name].__module__.startswith("netforge.")]


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", NAMES)
def test_pages_say_what_the_code_does(written: dict[str, str], name: str) -> None:
    stored = (FOLDER / name).read_text(encoding="utf-8")
    assert stored == written[name], f"{name} is out of date: run `{COMMAND}` and commit what it writes"


def test_pages_are_alike_on_every_terminal(
    written: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pages() == written
    for text in written.values():
        assert str(Path.home()) not in text and str(FOLDER.parent.parent) not in text


def test_the_command_writes_every_page(tmp_path: Path, written: dict[str, str]) -> None:
    write_pages(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_markdown_holds_no_accidents(written: dict[str, str], name: str) -> None:
    """Stars, brackets and angles of formulas must not turn into emphasis, links or HTML."""
    for token in MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(written[name]):
        assert token.type not in ("html_block", "code_block"), token.content
        for part in token.children or ():
            assert part.type not in ("em_open", "html_inline", "s_open"), token.content
            if part.type == "link_open":
                assert str(part.attrs["href"]).startswith("#"), token.content
            if part.type == "strong_open":
                assert token.content.startswith("**["), token.content


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_fits_its_table(written: dict[str, str], name: str) -> None:
    rows = [line for line in written[name].splitlines() if line.startswith("| ")]
    assert rows
    for before, row in pairwise(rows):
        if set(row) <= set("|- "):
            width = len(re.split(r"(?<!\\)\|", before))
        elif not set(before) <= set("|- "):
            continue
        assert len(re.split(r"(?<!\\)\|", row)) == width, row


def test_every_layer_belongs_to_a_family() -> None:
    assert FOREIGN not in by_family(BUILT_IN), "name the new type in FAMILIES of netforge/cli/layer_pages.py"
    assert {name for names in FAMILIES.values() for name in names.split()} == {cls.type for cls in BUILT_IN}


def test_layers_of_plugins_stand_apart() -> None:
    class Doubled(netforge.layers.Layer):
        """y = 2 x."""

        type = "Doubled"

    text = layers_page([LAYERS["ReLU"], Doubled])
    assert f"## {FOREIGN}\n\n### Doubled\n" in text
    assert "## Normalisation" not in text


def test_every_setting_of_every_layer_and_solver_is_there(written: dict[str, str]) -> None:
    for cls in BUILT_IN:
        if cls.settings_field:
            assert f"`{cls.settings_field} {{ ... }}`" in written["layers.md"]
    for field in describe_message("SolverParameter"):
        assert f"| `{field.name}` |" in written["solvers.md"]


def test_every_command_is_there(written: dict[str, str]) -> None:
    for name in COMMANDS:
        assert f"\n## netforge {name}\n" in written["commands.md"]
    assert "\n## netforge data import voc0712\n" in written["commands.md"]


def test_anchors_are_those_of_github() -> None:
    assert anchor("Looking inside, and Python") == "looking-inside-and-python"
    assert anchor("max_bottom_count") == "max_bottom_count"


def test_names_of_settings_become_code_once() -> None:
    assert quoted("top_k and `top_k`, not top_k_more.", ["top_k"]) == "`top_k` and `top_k`, not top_k_more."
