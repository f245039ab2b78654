"""Markdown as GitHub reads it: tables, code, and links to headings of the same page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a bar within a cell is escaped, an empty line follows."""
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


def fence(text: str, language: str) -> list[str]:
    """The lines of a block of code; an empty line follows."""
    return [f"```{language}", *text.strip("\n").splitlines(), "```", ""]


def code(text: str) -> str:
    """Text as code within a line; "" stays empty."""
    return f"`{text}`" if text else ""


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading: lower case, hyphens for spaces, no punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def link(heading: str, text: str | None = None) -> str:
    """A link to a heading of the same page."""
    return f"[{text or heading}](#{anchor(heading)})"


def quoted(text: str, names: Iterable[str]) -> str:
    """Prose in which `names` stand as code wherever they are whole words; what is code already stays as it is."""
    words = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    if not words:
        return text
    pattern = re.compile(rf"`[^`]*`|(?<![\w.`])(?:{words})(?![\w`])")
    return pattern.sub(lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", text)
