"""Which images of a source: a small language, `label = 3 and auto`, that becomes one SQL condition.

    query       = all { "or" all }
    all         = one { "and" one }
    one         = "not" one | "(" query ")" | FLAG | NUMBER op whole | NUMBER ["not"] "in" ranges
                | TEXT ("=" | "!=") text | TEXT ["not"] "in" texts | TEXT ["not"] "like" text
    NUMBER      = id | index | label | original | boost | group      FLAG = auto | active | disabled | changed
    TEXT        = class | origin                                     ranges: 1-5,9   texts: cat, "a dog"

`id` is the image's position, which never changes; `index` its number among the images in use, as training and
test-many see them, which disabled images do not have. `original` is the label at import, `changed` says that the one in
use is another. In `like`, % stands for any characters and _ for one. What an image does not have, such as a group, is
unequal to everything and neither less nor more. Values never become part of the SQL text.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from netforge.data.labels.query_scanner import RESERVED, WORD, Scanner, place
from netforge.data.labels.ranges import RANGE
from netforge.errors import UnknownNameError, did_you_mean

NUMBERS = {
    "id": "position",
    "index": "number_in_use",
    "label": "label",
    "original": "original_label",
    "boost": "boost",
    "group": "group_number",
}
FLAGS = {
    "auto": "auto != 0",
    "active": "active != 0",
    "disabled": "active = 0",
    "changed": "label != original_label",
}
TEXTS = ("class", "origin")
WORDS = (*NUMBERS, *FLAGS, *TEXTS, "and", "or", "not")

T = TypeVar("T")

DEEPEST = 50
LISTED_RANGE = 64  # ranges of so many values are listed, which SQLite looks up; longer ones are compared

EQUALITY = re.compile(r"==|!=|=")
OPERATOR = re.compile(r"==|!=|<=|>=|=|<|>")
SWITCH = re.compile(r"(?:([01])|(true)|(false))(?!\w)", re.IGNORECASE)
WHOLE = re.compile(r"-?\d{1,18}(?![\w.])")

NUMBER_IN_USE = "number_in_use"
NUMBERED = (
    f"(SELECT *, CASE WHEN active THEN sum(active != 0) OVER (ORDER BY position) - 1 END AS {NUMBER_IN_USE}"
    " FROM images WHERE source = :source)"
)


@dataclass(frozen=True)
class Query:
    """A condition on the images of a source; `parse` and `among` make it.

    text: as it was written. condition: SQL over the columns of `images`, with named parameters. values: theirs.
    class_names: the names of classes it asks for, each with its column in the text. listed: how many images it names
    one by one; None where it tells them by what they are.
    """

    text: str
    condition: str
    values: dict[str, int | str]
    class_names: tuple[tuple[str, int], ...] = ()
    listed: int | None = None

    @property
    def rows(self) -> str:
        """FROM and WHERE of the images that are meant, to be executed with `parameters`."""
        table = NUMBERED if NUMBER_IN_USE in self.condition else "images"
        return f"FROM {table} WHERE source = :source AND ({self.condition})"

    def parameters(self, source: int) -> dict[str, int | str]:
        """The values of the parameters in `rows`, for the source with this number in the table `sources`."""
        return {**self.values, "source": source}

    def restricted(self, condition: str, text: str) -> Query:
        """Those of the images that meet a further condition, given as SQL and in words."""
        words = text if self is ALL_IMAGES else f"({self.text}) and {text}"
        return replace(self, text=words, condition=f"({self.condition}) AND {condition}", listed=None)

    def check(self, connection: sqlite3.Connection, source: int) -> None:
        """Raise UnknownNameError where the source has no class of a name that the query asks for."""
        if not self.class_names:
            return
        known = [name for (name,) in connection.execute("SELECT name FROM classes WHERE source = ?", (source,))]
        for name, column in self.class_names:
            if name not in known:
                raise UnknownNameError(
                    f'no class is named "{name}"',
                    where=place(self.text, column),
                    mend=did_you_mean(name, known) or "ask by number: label = 3",
                )

    def positions(self, connection: sqlite3.Connection, source: int) -> npt.NDArray[np.int64]:
        """The positions (k,) of the images that are meant, disabled ones among them, in ascending order.

        source: number of the source in the table `sources`. Raises UnknownNameError for the name of a class that the
        source does not have.
        """
        return self._column(connection, source, f"SELECT position {self.rows}")

    def indices(self, connection: sqlite3.Connection, source: int) -> npt.NDArray[np.int64]:
        """The indices (k,), numbers among the images in use, of those that are meant; otherwise as `positions`."""
        chosen = self._column(connection, source, f"SELECT position {self.rows} AND active")
        in_use = ALL_IMAGES._column(connection, source, f"SELECT position {ALL_IMAGES.rows} AND active")
        return np.searchsorted(in_use, chosen)

    def _column(self, connection: sqlite3.Connection, source: int, select: str) -> npt.NDArray[np.int64]:
        self.check(connection, source)
        rows = connection.execute(f"{select} ORDER BY position", self.parameters(source))
        return np.fromiter((value for (value,) in rows), np.int64)


ALL_IMAGES = Query("all images", "1", {})


def parse(text: str | Query) -> Query:
    """The query that `text` writes, in the language described at the top of this module; a query is given back.

    Raises DataError or UnknownNameError with the column at fault, and what was expected there.
    """
    return text if isinstance(text, Query) else _Parser(text).query()


def among(word: str, text: str) -> Query:
    """The images whose `word`, such as "id" or "index", lies in ranges such as "1,5,9-20"; raises DataError."""
    parser = _Parser(text)
    ranges = sorted(parser.ranges())
    parser.expect_end("a comma")
    listed, end = 0, ranges[0][0] - 1
    for first, last in ranges:
        listed += max(0, last - max(first - 1, end))
        end = max(end, last)
    return Query(f"{word} in {text}", parser.within(NUMBERS[word], ranges), parser.values, listed=listed)


def _joined(conditions: list[str], word: str) -> str:
    """Conditions joined as a balanced tree: SQLite limits the depth of an expression."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_joined(conditions[:half], word)} {word} {_joined(conditions[half:], word)})"


class _Parser(Scanner):
    """Reads a text once, from left to right, and writes SQL.

    values: of the parameters written so far. class_names: asked for so far, each with its column.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self.values: dict[str, int | str] = {}
        self.class_names: list[tuple[str, int]] = []

    def query(self) -> Query:
        """The whole text."""
        condition = self._any()
        self.expect_end('"and", "or"')
        return Query(self.text, condition, self.values, tuple(self.class_names))

    def expect_end(self, other: str) -> None:
        """Raise DataError unless all was read; other: what could have followed as well."""
        if self.at < len(self.text):
            raise self.unexpected(f"{other} or the end")

    def _any(self) -> str:
        parts = [self._all()]
        while self.take_word("or"):
            parts.append(self._all())
        return _joined(parts, "OR")

    def _all(self) -> str:
        parts = [self._one()]
        while self.take_word("and"):
            parts.append(self._one())
        return _joined(parts, "AND")

    def _one(self) -> str:
        negative = False
        while self.take_word("not"):
            negative = not negative
        start = self.at
        condition = self._nested(start) if self.take("(") else self._condition()
        return f"NOT {condition}" if negative else condition

    def _nested(self, start: int) -> str:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.error(f"parentheses are nested more than {DEEPEST} deep", start)
        condition = self._any()
        if not self.take(")"):
            raise self.unexpected('"and", "or" or ")"')
        self._depth -= 1
        return f"({condition})"

    def _condition(self) -> str:
        start, word = self.at, self.match(WORD)
        if word is None or word[0].lower() in RESERVED:
            self.at = start
            raise self.unexpected("a word such as label, auto or class")
        name = word[0].lower()
        if name in FLAGS:
            return self._flag(FLAGS[name])
        if name in NUMBERS:
            return self._number(NUMBERS[name])
        if name in TEXTS:
            return self._text_condition(name)
        known = did_you_mean(name, WORDS) or "the words are " + ", ".join(WORDS)
        raise UnknownNameError(f'"{word[0]}" is no word of a query', where=place(self.text, start + 1), mend=known)

    def _flag(self, column: str) -> str:
        operator = self.match(EQUALITY)
        if operator is None:
            return f"({column})"
        value = self.match(SWITCH)
        if value is None:
            raise self.unexpected("0 or 1")
        wanted = (value[1] == "1" or bool(value[2])) == (operator[0] != "!=")
        return f"({column})" if wanted else f"NOT ({column})"

    def _number(self, column: str) -> str:
        if (negative := self.negated("in")) is not None:
            return negative + self.within(column, self.ranges())
        operator = self.match(OPERATOR)
        if operator is None:
            raise self.unexpected('=, !=, <, <=, >, >= or "in"')
        value = self.match(WHOLE)
        if value is None:
            raise self.unexpected("a whole number")
        parameter = self._parameter(int(value[0]))
        if operator[0] in ("=", "==", "!="):
            return f"({column} IS {'NOT ' if operator[0] == '!=' else ''}{parameter})"
        return f"coalesce({column} {operator[0]} {parameter}, 0)"

    def ranges(self) -> list[tuple[int, int]]:
        """A list such as 1-5,9, in parentheses or not: first and last of each range."""
        return self._list(self._range)

    def _range(self) -> tuple[int, int]:
        start, found = self.at, self.match(RANGE)
        if found is None:
            raise self.unexpected("a whole number or a range such as 0-9")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise self.error(f'the range "{found[0].strip()}" ends before it begins', start)
        return first, last

    def _list(self, read: Callable[[], T]) -> list[T]:
        """What `read` reads, once or several times with commas between, in parentheses or not."""
        closed = self.take("(")
        items = [read()]
        while self.take(","):
            items.append(read())
        if closed and not self.take(")"):
            raise self.unexpected('a comma or ")"')
        return items

    def within(self, column: str, ranges: list[tuple[int, int]]) -> str:
        """The condition that a column lies in one of the ranges."""
        listed: list[int] = []
        conditions = []
        for first, last in ranges:
            if last - first < LISTED_RANGE:
                listed += range(first, last + 1)
            else:
                conditions.append(f"{column} BETWEEN {self._parameter(first)} AND {self._parameter(last)}")
        if listed:
            conditions.append(f"{column} {self._in_json(listed)}")
        return f"coalesce({_joined(conditions, 'OR')}, 0)"

    def _text_condition(self, name: str) -> str:
        if (negative := self.negated("like")) is not None:
            parameter = self._parameter(self.value()[0])
            return negative + self._on_text(name, f"LIKE {parameter}")
        if (negative := self.negated("in")) is not None:
            texts = self._list(lambda: self._asked(name))
            return negative + self._on_text(name, self._in_json(texts))
        operator = self.match(EQUALITY)
        if operator is None:
            raise self.unexpected('=, !=, "like" or "in"')
        wanted = self._on_text(name, f"= {self._parameter(self._asked(name))}")
        return f"NOT {wanted}" if operator[0] == "!=" else wanted

    def _in_json(self, values: Sequence[int | str]) -> str:
        """The condition to be one of these values, of which there may be many more than parameters of SQLite."""
        return f"IN (SELECT value FROM json_each({self._parameter(json.dumps(values))}))"

    @staticmethod
    def _on_text(name: str, condition: str) -> str:
        if name == "class":
            return f"(label IN (SELECT label FROM classes WHERE source = :source AND name {condition}))"
        return f"coalesce(origin {condition}, 0)"

    def _asked(self, name: str) -> str:
        """A text that is compared as it is; that of a class must be there when the query is used."""
        text, column = self.value()
        if name == "class":
            self.class_names.append((text, column))
        return text

    def _parameter(self, value: int | str) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"
