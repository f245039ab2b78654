"""Links lead somewhere: to files of this project, and to headings that are there once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netforge.cli.markdown import anchor
from tests.docs.documents import DOCUMENTS, README, ROOT, name, prose

LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


def headings(document: Path) -> list[str]:
    return [anchor(title) for title in re.findall(r"^#+ (.*)$", prose(document), re.M)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for found in LINK.finditer(prose(document)):
        target = found[1] or found[2]
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists() and file.is_relative_to(ROOT), target
        assert not heading or headings(file).count(heading) == 1, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_headings_are_there_once(document: Path) -> None:
    found = headings(document)
    assert len(found) == len(set(found)), sorted(h for h in found if found.count(h) > 1)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_no_number_is_left_open(document: Path) -> None:
    assert not re.search(r"@[A-Z_]+@|TODO|TBD", document.read_text(encoding="utf-8"))


def test_every_model_has_a_readme() -> None:
    for folder in (ROOT / "models").iterdir():
        assert (folder / "README.md").is_file(), folder.name
        assert folder.name in README.read_text(encoding="utf-8")
