"""Reading a query from left to right: words, texts, and errors that name the column."""

from __future__ import annotations

import re

from netforge.errors import DataError

RESERVED = ("and", "or", "not", "in", "like")
LONGEST_TEXT = 20_000

WORD = re.compile(r"[A-Za-z_]\w*")
QUOTED = re.compile(r'"((?:[^"]|"")*)"|\'((?:[^\']|\'\')*)\'')
BARE = re.compile(r"[^\s(),\"'=<>!]+")
SPACE = re.compile(r"\s*")


def place(text: str, column: int) -> str:
    """Where in a query something stands, for messages; columns count from 1."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return f"query '{shown}', column {column}"


class Scanner:
    """A text and how far it has been read; spaces are skipped after whatever is read.

    text: at most 20,000 characters. at: number of characters that were read.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_TEXT:
            raise DataError(f"a query has {len(text):,} characters, at most {LONGEST_TEXT:,} are read")
        self.text = text
        self.at = 0
        self._skip()

    def value(self) -> tuple[str, int]:
        """A text, quoted or a bare word, and its column."""
        start = self.at
        if quoted := self.match(QUOTED):
            mark = quoted[0][0]
            return (quoted[1] if mark == '"' else quoted[2]).replace(mark * 2, mark), start + 1
        bare = self.match(BARE)
        if bare is None or bare[0].lower() in RESERVED:
            self.at = start
            raise self.unexpected("a text in quotation marks")
        return bare[0], start + 1

    def negated(self, word: str) -> str | None:
        """Read `word` or "not" and `word`: what negates the condition to come; None where neither stands here."""
        start = self.at
        negative = self.take_word("not")
        if self.take_word(word):
            return "NOT " if negative else ""
        self.at = start
        return None

    def take_word(self, word: str) -> bool:
        """Whether `word` stands here, in small or large letters; it is read if so."""
        found = WORD.match(self.text, self.at)
        return found is not None and found[0].lower() == word and self.match(WORD) is not None

    def take(self, sign: str) -> bool:
        """Whether `sign` stands here; it is read if so."""
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        self._skip()
        return True

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What `pattern` finds here, and read it; None where it does not fit."""
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            self._skip()
        return found

    def _skip(self) -> None:
        space = SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at

    def unexpected(self, expected: str) -> DataError:
        """The error for what stands here in the place of what was expected."""
        rest = self.text[self.at :]
        found = (WORD.match(rest) or BARE.match(rest) or re.match(r"[=<>!]+|.", rest, re.DOTALL)) if rest else None
        seen = f'"{found[0][:40]}"' if found else "the end"
        return self.error(f"expected {expected}, found {seen}", self.at)

    def error(self, found: str, at: int) -> DataError:
        """An error that names the column after `at` characters."""
        return DataError(found, where=place(self.text, at + 1))
