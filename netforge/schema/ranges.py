"""Meanings and ranges of fields: data in the comments of the .proto, shared by reader, help and tests."""

from __future__ import annotations

import functools
import json
import math
import re
from dataclasses import dataclass
from importlib.resources import files

from netforge.errors import PluginError

_NUMBER = r"[-+]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_INTERVAL = re.compile(rf"([\[(])\s*({_NUMBER})\s*,\s*({_NUMBER})\s*([\])])\s*$")


@dataclass(frozen=True)
class Interval:
    """A range of numbers; NaN lies in none."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def __str__(self) -> str:
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    @property
    def words(self) -> str:
        """The range as a sentence part: "at least 1", "between 0 (included) and 1 (excluded)"."""
        if self.high == math.inf and self.low > -math.inf:
            return f"{'greater than' if self.low_open else 'at least'} {self.low:g}"
        if self.low == -math.inf and self.high < math.inf:
            return f"{'less than' if self.high_open else 'at most'} {self.high:g}"
        if self.low == -math.inf:
            return "a finite number"
        ends = ["excluded" if is_open else "included" for is_open in (self.low_open, self.high_open)]
        return f"between {self.low:g} ({ends[0]}) and {self.high:g} ({ends[1]})"


def parse_interval(text: str) -> Interval:
    """Read "[1, inf)"; raises PluginError where the text is no interval."""
    match = _INTERVAL.fullmatch(text.strip())
    if match is None or float(match[2]) > float(match[3]):
        raise PluginError(f'"{text}" is no range', mend='write it as "[0, 1)" or "(0, inf)"')
    return Interval(float(match[2]), float(match[3]), match[1] == "(", match[4] == ")")


@dataclass(frozen=True)
class FieldNote:
    """What is said about a field: its meaning, and the range of its numbers."""

    help: str
    range: Interval | None = None


@functools.cache
def _comments() -> dict[str, str]:
    text = (files("netforge.schema") / "field_notes.json").read_text(encoding="utf-8")
    comments: dict[str, str] = json.loads(text)
    return comments


_declared: dict[str, FieldNote] = {}


def declare_note(full_name: str, note: FieldNote) -> None:
    """Keep the note of a field that was declared at run time, under the field's full protobuf name."""
    _declared[full_name] = note


@functools.cache
def _built_in(name: str) -> FieldNote:
    comment = _comments().get(name, "")
    match = _INTERVAL.search(comment)
    if match is None:
        return FieldNote(comment)
    return FieldNote(comment[: match.start()].rstrip(), parse_interval(match[0]))


def note_of(full_name: str) -> FieldNote:
    """The note of a field, given its full protobuf name such as "netforge.PoolingParameter.stride"."""
    return _declared.get(full_name) or _built_in(full_name.removeprefix("netforge."))
