"""Scalars of a prototxt: numbers, truth values, enums and strings, as protobuf's text form and MyCaffe write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from netforge.errors import did_you_mean

_INTEGER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_FLOAT = re.compile(r"-?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?|inf(?:inity)?f?|nanf?)", re.IGNORECASE)
_LIMITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_LONGEST_NUMBER = 100
_LARGEST_FLOAT = 3.4028235677973366e38  # from here on a double rounds to infinity in single precision
_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}

_ESCAPES = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SIMPLE_ESCAPES = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v",
    "\\": b"\\", "'": b"'", '"': b'"', "?": b"?",
}  # fmt: skip


class BadValue(Exception):
    """A value that does not fit its field: what was expected, and how to mend it. The reader adds the place."""

    def __init__(self, expected: str, mend: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.mend = mend


def _integer(word: str) -> int:
    if not _INTEGER.fullmatch(word) or len(word) > _LONGEST_NUMBER:
        raise BadValue("a whole number")
    digits = word.lstrip("-")
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    try:
        return int(word, base)
    except ValueError:
        raise BadValue("a whole number", "a leading 0 means octal digits: leave it out") from None


def parse_integer(cpp_type: int) -> Callable[[str], int]:
    """A reader of integers of one protobuf type, decimal, hexadecimal or octal; raises BadValue."""
    low, high = _LIMITS[cpp_type]

    def parse(word: str) -> int:
        value = _integer(word)
        if not low <= value <= high:
            raise BadValue(f"a whole number from {low} to {high}")
        return value

    return parse


def parse_double(word: str) -> float:
    """A number such as 1, 1.5e-3, .5f, -inf or nan; raises BadValue."""
    if len(word) <= _LONGEST_NUMBER and _FLOAT.fullmatch(word):
        text = word.lower()
        return float(text if text.endswith("inf") else text.removesuffix("f"))
    try:
        return float(_integer(word))
    except BadValue:
        raise BadValue("a number") from None


def parse_float(word: str) -> float:
    """Like `parse_double`, and finite numbers must fit into single precision."""
    value = parse_double(word)
    if _LARGEST_FLOAT <= abs(value) < float("inf"):
        raise BadValue("a number of single precision, at most 3.4e38")
    return value


def parse_bool(word: str) -> bool:
    """true, false, t, f, 1 or 0 in any case; raises BadValue."""
    try:
        return _TRUTH[word.lower()]
    except KeyError:
        raise BadValue("true or false") from None


def parse_enum(enum: EnumDescriptor) -> Callable[[str], int]:
    """A reader of one enum, by name or number; the case of names matters only where it tells two apart."""
    by_name = {value.name: value.number for value in enum.values}
    folded: dict[str, set[int]] = {}
    for name, number in by_name.items():
        folded.setdefault(name.lower(), set()).add(number)
    numbers = set(by_name.values())

    def parse(word: str) -> int:
        if word in by_name:
            return by_name[word]
        close = folded.get(word.lower(), set())
        if len(close) == 1:
            return next(iter(close))
        if _INTEGER.fullmatch(word) and _integer(word) in numbers:
            return _integer(word)
        names = list(by_name)
        if len(names) <= 8:
            raise BadValue(f"one of {', '.join(names)}", did_you_mean(word[:100], names))
        raise BadValue(f"a name of {enum.name}", did_you_mean(word[:100], names))

    return parse


def unescape(body: str) -> bytes:
    """The bytes of a quoted string, given what stands between its quotes; raises BadValue at an unknown escape."""
    if "\\" not in body:
        return body.encode("utf-8", "surrogatepass")
    out, done = bytearray(), 0
    for match in _ESCAPES.finditer(body):
        out += body[done : match.start()].encode("utf-8", "surrogatepass")
        out += _escaped(match)
        done = match.end()
    return bytes(out + body[done:].encode("utf-8", "surrogatepass"))


def _escaped(match: re.Match[str]) -> bytes:
    octal, hexadecimal, short, long, simple = match.groups()
    if octal or hexadecimal:
        value = int(octal, 8) if octal else int(hexadecimal, 16)
        if value < 256:
            return bytes([value])
    elif short or long:
        code = int(short or long, 16)
        if code < 0x110000 and not 0xD800 <= code < 0xE000:
            return chr(code).encode()
    elif simple in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[simple]
    raise BadValue("text with known escapes", f'"{match[0]}" means nothing; write a backslash as "\\\\"')


def decode_text(data: bytes) -> str:
    """The text of a string field; raises BadValue where escapes do not make UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadValue("text in UTF-8") from None


def scalar_parser(field: FieldDescriptor) -> Callable[[str], Any]:
    """The reader of unquoted words of a scalar field that is neither string nor bytes."""
    kind = field.cpp_type
    if kind in _LIMITS:
        return parse_integer(kind)
    if field.enum_type is not None:
        return parse_enum(field.enum_type)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return parse_bool
    return parse_float if kind == FieldDescriptor.CPPTYPE_FLOAT else parse_double
