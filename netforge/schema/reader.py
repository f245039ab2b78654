"""Reads the text form of messages: protobuf's own, and MyCaffe's way of writing it (text without quotes, any case).

protobuf's parser tells no places, refuses MyCaffe's files and stops at "no field named": this one walks the same
descriptors, keeps the place of every field, and says how to mend what it refuses.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from netforge.errors import SettingsError, did_you_mean
from netforge.schema.blocks import Block, OpenBlock, Parsed
from netforge.schema.dialect import is_ignored
from netforge.schema.fields import FieldSpec, field_names, find_extension, find_field, required_fields
from netforge.schema.hints import unknown_field
from netforge.schema.tokens import (
    BARE_ITEM,
    BARE_TEXT,
    CLOSERS,
    COLON,
    DEEPEST_NESTING,
    EXTENSION_NAME,
    NAME,
    QUOTED,
    WORD,
    SourceText,
    quote,
    skip_space,
)
from netforge.schema.values import BadValue, decode_text, unescape

M = TypeVar("M", bound=Message)


def parse_message(cls: type[M], source: SourceText) -> Parsed:
    """Read a message of class `cls` from the whole of `source`.

    Raises SchemaError (form, names, types) or SettingsError (ranges, contradictions) with file, line and column.
    """
    return _Reader(source).run(cls())


class _Reader:
    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.text = source.text
        self.notes: dict[tuple[str, str], str] = {}
        self.open: list[OpenBlock] = []

    def run(self, message: Any) -> Parsed:
        block = Block(self.source, 0)
        self.read_fields(OpenBlock(message, block, "", ""), 0)
        return Parsed(message, block, list(self.notes.values()))

    # ---- fields

    def read_fields(self, frame: OpenBlock, position: int) -> int:
        """Read fields up to the brace that closes `frame` (or the end of the file); return the offset behind it."""
        text, end = self.text, len(self.text)
        self.open.append(frame)
        descriptor = frame.message.DESCRIPTOR
        while True:
            position = skip_space(text, position)
            if position >= end or text[position] in "}>":
                break
            name = NAME.match(text, position)
            if name is not None:
                spec = find_field(descriptor, name[0])
                after = name.end()
            else:
                spec, after = self.read_extension_name(descriptor, position)
            if spec is None:
                position = self.pass_over(frame, name[0] if name else "", position, after)
            else:
                position = self.read_field(frame, spec, position, after)
            position = skip_space(text, position)
            if position < end and text[position] in ",;":
                position += 1
        position = self.close(frame, position)
        self.check_required(frame)
        self.open.pop()
        return position

    def close(self, frame: OpenBlock, position: int) -> int:
        if position >= len(self.text):
            if frame.closer:
                raise self.source.error(
                    frame.block.offset,
                    f'the block "{frame.name}" that is opened here is never closed',
                    f'add a "{frame.closer}" where it ends',
                )
            return position
        found = self.text[position]
        if not frame.closer:
            raise self.source.error(
                position, f'"{found}" closes nothing', "remove it, or look for a brace too many above"
            )
        if found != frame.closer:
            line = self.source.line(frame.block.offset)
            raise self.source.error(
                position,
                f'expected "{frame.closer}" for the block "{frame.name}" opened at line {line}, found "{found}"',
            )
        return position + 1

    def check_required(self, frame: OpenBlock) -> None:
        for name in required_fields(frame.message.DESCRIPTOR.full_name):
            if not frame.message.HasField(name):
                raise SettingsError(f'{frame.name} needs "{name}"', where=frame.block.place, mend=f'add "{name}: ..."')

    def read_extension_name(self, descriptor: Descriptor, position: int) -> tuple[FieldSpec, int]:
        match = EXTENSION_NAME.match(self.text, position)
        if match is None:
            raise self.source.error(position, f"expected the name of a field, found {self.source.found(position)}")
        spec = find_extension(descriptor, match[1])
        if spec is None:
            known = [s.descriptor.full_name for n in field_names(descriptor) if (s := find_field(descriptor, n))]
            mend = did_you_mean(match[1][:100], [n for n in known if n.count(".") > 2])
            raise self.source.error(position, f"no extension {quote(match[1])} of {descriptor.name} is known", mend)
        return spec, match.end()

    def read_field(self, frame: OpenBlock, spec: FieldSpec, start: int, position: int) -> int:
        """Read one field whose name stands at `start`; return the offset behind its value."""
        text, positions = self.text, frame.block.fields.setdefault(spec.name, [])
        if positions and not spec.repeated:
            first = positions[0].offset if isinstance(positions[0], Block) else positions[0]
            raise self.source.error(
                start,
                f'"{spec.name}" is given twice, first at line {self.source.line(first)}',
                "it takes one value: remove one of them",
            )
        colon = COLON.match(text, position)
        assert colon is not None  # the pattern matches everywhere
        position = colon.end()
        if position < len(text) and text[position] == "[":
            return self.read_list(frame, spec, start, position + 1)
        if spec.is_message:
            return self.read_block(frame, spec, start, position)
        if not colon[1]:
            raise self.source.error(
                position,
                f'expected ":" and a value after "{spec.name}", found {self.source.found(position)}',
                f'write "{spec.name}: ..."',
            )
        return self.read_scalar(frame, spec, start, position)

    def read_list(self, frame: OpenBlock, spec: FieldSpec, start: int, position: int) -> int:
        if not spec.repeated:
            raise self.source.error(start, f'"{spec.name}" takes one value, not a list', "remove the brackets")
        opened = position - 1
        while True:
            position = skip_space(self.text, position)
            found = self.text[position : position + 1]
            if found == "]":
                return position + 1
            if not found:
                raise self.source.error(opened, "the list that is opened here is never closed", 'add a "]"')
            read = self.read_block if spec.is_message else self.read_item
            position = skip_space(self.text, read(frame, spec, position, position))
            found = self.text[position : position + 1]
            if found == ",":
                position += 1
            elif found and found != "]":
                raise self.source.error(position, f'expected "," or "]", found {self.source.found(position)}')

    def read_block(self, frame: OpenBlock, spec: FieldSpec, start: int, position: int) -> int:
        opener = self.text[position : position + 1]
        if opener not in CLOSERS:
            raise self.source.error(
                position,
                f'expected a block after "{spec.name}", found {self.source.found(position)}',
                f'write "{spec.name} {{ ... }}"',
            )
        block = Block(self.source, start)
        frame.block.fields[spec.name].append(block)
        child = OpenBlock(spec.add_message(frame.message), block, CLOSERS[opener], spec.name)
        return self.read_fields(child, position + 1)

    # ---- values

    def read_item(self, frame: OpenBlock, spec: FieldSpec, start: int, position: int) -> int:
        return self.read_scalar(frame, spec, start, position, BARE_ITEM)

    def read_scalar(
        self, frame: OpenBlock, spec: FieldSpec, start: int, position: int, bare: re.Pattern[str] = BARE_TEXT
    ) -> int:
        begin = position
        try:
            if spec.parse is None:
                value, position = self.read_text(spec, position, bare)
            else:
                word, position = self.read_word(position)
                value = spec.parse(word)
        except BadValue as error:
            found = self.source.found(begin)
            raise self.source.error(begin, f'"{spec.name}" takes {error.expected}, found {found}', error.mend) from None
        self.check_value(spec, value, begin)
        spec.put(frame.message, value)
        frame.block.fields[spec.name].append(start)
        return position

    def read_word(self, position: int) -> tuple[str, int]:
        match = WORD.match(self.text, position)
        if match is None:
            if self.text[position : position + 1] in ('"', "'"):
                raise BadValue("a value without quotes", self.mend_quoted(position))
            raise BadValue("a value")
        if match[0] == "-":  # protobuf lets white space stand between sign and digits
            digits = WORD.match(self.text, skip_space(self.text, match.end()))
            if digits is not None:
                return "-" + digits[0], digits.end()
        return match[0], match.end()

    def mend_quoted(self, position: int) -> str:
        if any(frame.name == "layers" for frame in self.open[-1:]):
            return 'remove the quotes, or write the newer "layer" in place of "layers"'
        return "remove the quotes"

    def read_text(self, spec: FieldSpec, position: int, bare: re.Pattern[str]) -> tuple[str | bytes, int]:
        if self.text[position : position + 1] in QUOTED:
            data, position = self.read_quoted(position)
            return (data if spec.is_bytes else decode_text(data)), position
        match = bare.match(self.text, position)
        if match is None:
            raise BadValue("text in quotes")
        word = match[0]
        if word[0].isdigit() or (word[0] in "-." and word[1:2].isdigit()):
            raise BadValue("text", f'write it in quotes: "{word[:40]}"')
        if word.endswith(":") or '"' in word:
            raise BadValue("text in quotes")
        return (word.encode() if spec.is_bytes else word), match.end()

    def read_quoted(self, position: int) -> tuple[bytes, int]:
        """Read one string, or several that stand side by side."""
        parts: list[bytes] = []
        while self.text[position : position + 1] in QUOTED:
            match = QUOTED[self.text[position]].match(self.text, position)
            if match is None:
                raise self.source.error(position, "this text has no closing quote on its line", "add the quote")
            parts.append(unescape(match[1]))
            end = match.end()
            position = skip_space(self.text, end)
        return b"".join(parts), end

    def check_value(self, spec: FieldSpec, value: Any, position: int) -> None:
        if spec.range is not None and value not in spec.range:
            raise SettingsError(
                f'"{spec.name}" is {self.source.found(position)}, but must be {spec.range.words}',
                where=self.source.place(position),
                mend=f"choose a value in {spec.range}",
            )
        if spec.choices is not None and value not in spec.choices:
            shown = quote(str(value))
            raise SettingsError(
                f'"{spec.name}" is {shown}, but must be one of {", ".join(map(str, spec.choices))}',
                where=self.source.place(position),
                mend=did_you_mean(str(value)[:100], map(str, spec.choices)),
            )

    # ---- names that the message does not have

    def pass_over(self, frame: OpenBlock, name: str, start: int, position: int) -> int:
        """Note a field of MyCaffe's and return the offset behind its value; raise where the name is unknown."""
        descriptor = frame.message.DESCRIPTOR
        if not is_ignored(descriptor, name):
            raise unknown_field(self.source, self.open, name, start)
        key = (descriptor.name, name)
        place = self.source.place(start)
        self.notes.setdefault(key, f'{place}: "{name}" is written by MyCaffe and changes nothing in netforge')
        return self.skip_value(start, position)

    def skip_value(self, start: int, position: int) -> int:
        colon = COLON.match(self.text, position)
        assert colon is not None  # the pattern matches everywhere
        position, depth = colon.end(), 0
        while position < len(self.text):
            found = self.text[position]
            if found in QUOTED:
                _, position = self.read_quoted(position)
            elif found in "{<[":
                depth, position = depth + 1, position + 1
                if depth > DEEPEST_NESTING:
                    raise self.source.error(position - 1, f"blocks are nested more than {DEEPEST_NESTING} deep")
            elif found in "}>]":
                if depth == 0:
                    break
                depth, position = depth - 1, position + 1
            else:
                match = (BARE_ITEM if depth else BARE_TEXT).match(self.text, position)
                position = match.end() if match else position + 1
            if depth == 0:
                return position
            position = skip_space(self.text, position)
        if depth:
            raise self.source.error(start, "the block that is opened here is never closed", 'add a "}" where it ends')
        raise self.source.error(position, f"expected a value, found {self.source.found(position)}")
