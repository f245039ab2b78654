"""The documents, and what stands in them: blocks of code, commands, headings and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
TUTORIALS = sorted(ROOT.glob("models/*/README.md"))
REFERENCE = sorted((ROOT / "netforge" / "reference").glob("*.md"))
WRITTEN = [README, *TUTORIALS]
DOCUMENTS = [*WRITTEN, *REFERENCE]

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text without indentation, and the line of its first line in the document."""

    document: Path
    language: str
    text: str
    line: int

    @property
    def place(self) -> str:
        return f"{name(self.document)}:{self.line}"


def name(document: Path) -> str:
    """A document's path below the root, for the names of tests."""
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a document in order, those of `languages` or all."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document,
            found[2],
            re.sub(rf"^{found[1]}", "", found[3], flags=re.M),
            text.count("\n", 0, found.start()) + 2,
        )
        for found in FENCED.finditer(text)
        if found[2] in languages or not languages
    ]


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def shell_commands(text: str, variables: dict[str, str] | None = None) -> Iterator[list[str]]:
    """The commands of a shell block as words: continued lines joined, `&&` taken apart, NAME="..." put in for $NAME.

    variables: what earlier blocks of the document have set; what this one sets is added.
    """
    known = {} if variables is None else variables
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(Template(line).safe_substitute(known), comments=True)
        while "&&" in words:
            yield words[: words.index("&&")]
            words = words[words.index("&&") + 1 :]
        assignment = re.fullmatch(r"([A-Z]+)=(.*)", words[0]) if len(words) == 1 else None
        if assignment:
            known[assignment[1]] = assignment[2]
        elif words:
            yield words


def commands_in(document: Path) -> list[list[str]]:
    """Every command of a document's shell blocks and console sessions, in order."""
    variables: dict[str, str] = {}
    found: list[list[str]] = []
    for block in blocks(document, "sh", "console"):
        lines = block.text
        if block.language == "console":
            lines = "\n".join(line[2:] for line in lines.splitlines() if line.startswith("$ "))
        found += shell_commands(lines, variables)
    return found


def commands_in_prose(document: Path) -> list[list[str]]:
    """Commands within sentences: `netforge ...`, but for those with dots or COMMAND in the place of words."""
    spans = [span for span in INLINE.findall(prose(document)) if span.startswith("netforge ")]
    return [shlex.split(span) for span in spans if "..." not in span and "COMMAND" not in span]
