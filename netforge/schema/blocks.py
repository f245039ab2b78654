"""Where the fields of a message stand in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from netforge.errors import Place
from netforge.schema.tokens import SourceText


class Block:
    """Where a message stands in its file, and each of its fields: name -> offsets, or blocks for sub-messages."""

    __slots__ = ("fields", "offset", "source")

    def __init__(self, source: SourceText, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.fields: dict[str, list[Position]] = {}

    @property
    def place(self) -> Place:
        """The place of the block."""
        return self.source.place(self.offset)

    def locate(self, path: str) -> Place | None:
        """The place of a field such as "param[1].lr_mult"; None where it is not written."""
        position: Position = self
        for step in path.split("."):
            name, _, index = step.rstrip("]").partition("[")
            if not isinstance(position, Block) or name not in position.fields:
                return None
            found = position.fields[name]
            number = int(index or 0)
            if number >= len(found):
                return None
            position = found[number]
        return position.place if isinstance(position, Block) else self.source.place(position)


Position: TypeAlias = "int | Block"


@dataclass
class Parsed:
    """A message, where its fields stand, and notes on fields that were passed over."""

    message: Any
    block: Block
    notes: list[str] = field(default_factory=list)


@dataclass
class OpenBlock:
    """A block that is being read: its message, where it stands, the brace that ends it, its name in the parent."""

    message: Any
    block: Block
    closer: str
    name: str
