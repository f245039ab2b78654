"""The characters of a prototxt: text with places, and the regular expressions that cut it into words.

All patterns run in linear time whatever the text (possessive quantifiers), so that garbage is refused at once.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re

from netforge.errors import Place, SchemaError

LONGEST_QUOTE = 60
DEEPEST_NESTING = 100

SPACE = re.compile(r"(?:\s++|#[^\n]*+)*+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
EXTENSION_NAME = re.compile(r"\[\s*+([A-Za-z_][\w.]*+)\s*+\]")
COLON = re.compile(r"(?:\s++|#[^\n]*+)*+(:?)(?:\s++|#[^\n]*+)*+")
WORD = re.compile(r"""[^\s#{}\[\]<>,;:"']++""")
# Text without quotes ends at white space, at a closing brace, and at a comma or semicolon that ends the field.
BARE_TEXT = re.compile(r"(?:[^\s#{}\[\]<>,;]|[,;](?!\s|$|[A-Za-z_]\w*+\s*+[:{]))++")
BARE_ITEM = re.compile(r"[^\s#{}\[\]<>,;]++")
QUOTED = {
    '"': re.compile(r'"((?:[^"\\\n]|\\[^\n])*+)"'),
    "'": re.compile(r"'((?:[^'\\\n]|\\[^\n])*+)'"),
}
CLOSERS = {"{": "}", "<": ">"}


def skip_space(text: str, position: int) -> int:
    """The offset of the first character from `position` on that is neither white space nor comment."""
    match = SPACE.match(text, position)
    assert match is not None  # the pattern matches everywhere
    return match.end()


class SourceText:
    """The text of a file, which turns offsets into places. Lines and columns count from 1, columns in characters."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    @functools.cached_property
    def _line_starts(self) -> list[int]:
        lengths = (len(line) + 1 for line in self.text.split("\n"))
        return list(itertools.accumulate(lengths, initial=0))[:-1]

    def place(self, offset: int) -> Place:
        """The place of the character at `offset`."""
        line = bisect.bisect_right(self._line_starts, offset)
        return Place(self.file, line, offset - self._line_starts[line - 1] + 1)

    def line(self, offset: int) -> int:
        """The number of the line that holds `offset`."""
        return self.place(offset).line

    def found(self, offset: int) -> str:
        """What stands at `offset`, for messages: one word in quotes, or "the end of the file"."""
        if offset >= len(self.text):
            return "the end of the file"
        match = WORD.match(self.text, offset)
        return quote(match[0] if match else self.text[offset])

    def error(self, offset: int, found: str, mend: str | None = None) -> SchemaError:
        """A SchemaError with the place of `offset`."""
        return SchemaError(found, where=self.place(offset), mend=mend)


def quote(text: str) -> str:
    """Text in quotes for messages, shortened where it is long, control characters made visible."""
    short = text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
    visible = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in short)
    return f"'{visible}'" if '"' in visible else f'"{visible}"'
