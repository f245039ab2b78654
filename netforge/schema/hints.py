"""What to say about a field name that a message does not have: the closest name, or where it belongs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from netforge.errors import SchemaError, did_you_mean
from netforge.registry import fold
from netforge.schema import netforge_pb2 as messages
from netforge.schema.blocks import OpenBlock
from netforge.schema.fields import blocks_with, field_names, find_field
from netforge.schema.tokens import SourceText, quote

_LONGEST_NAME = 60  # longer names are never compared with known ones
_SUFFIX = "_param"
_ROOTS = {"NetParameter": "a net", "SolverParameter": "a solver"}


def unknown_field(source: SourceText, opened: Sequence[OpenBlock], name: str, offset: int) -> SchemaError:
    """The error for `name` at `offset`, found in the innermost of the `opened` blocks."""
    frame = opened[-1]
    descriptor = frame.message.DESCRIPTOR
    root = _ROOTS.get(descriptor.name)
    if len(opened) == 1 and root:
        for other in (messages.NetParameter.DESCRIPTOR, messages.SolverParameter.DESCRIPTOR):
            if other.name != descriptor.name and find_field(other, name):
                return source.error(
                    offset,
                    f'"{name}" belongs to {_ROOTS[other.name]}, where {root} is expected',
                    f"give the file of {root}",
                )
    owner = f'"{frame.name}"' if frame.name else root or descriptor.name
    return source.error(offset, f"unknown field {quote(name)} in {owner}", _mend(source, opened, name))


def _mend(source: SourceText, opened: Sequence[OpenBlock], name: str) -> str | None:
    if len(name) > _LONGEST_NAME:
        return None
    frame = opened[-1]
    known = field_names(frame.message.DESCRIPTOR)
    close = _close_block(name, known) if name.endswith(_SUFFIX) else _close_field(name, known)
    if close:
        return close
    for outer in reversed(opened[:-1]):
        if find_field(outer.message.DESCRIPTOR, name):
            line = source.line(frame.block.offset)
            where = f'in "{outer.name}"' if outer.name else "outside of all blocks"
            return f'it belongs {where}: is a "{frame.closer}" missing for "{frame.name}", opened at line {line}?'
    blocks = _blocks_of(opened, name)
    if blocks:
        return f'"{name}" belongs in {" or ".join(blocks)}'
    if name.endswith(_SUFFIX):
        return 'where a plugin declares it, name its module: plugin: "..."'
    return did_you_mean(name, known)


def _close_field(name: str, known: Sequence[str]) -> str | None:
    return did_you_mean(name, known) if difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8) else None


def _close_block(name: str, known: Sequence[str]) -> str | None:
    """Blocks are compared by what stands before "_param", which alone would make them all look alike."""
    stem = name.removesuffix(_SUFFIX).lower()
    stems = [other.removesuffix(_SUFFIX) for other in known if other.endswith(_SUFFIX)]
    close = [other for other in stems if other.startswith(stem)] or difflib.get_close_matches(stem, stems)
    return did_you_mean(name, [other + _SUFFIX for other in close[:3]]) if close else None


def _blocks_of(opened: Sequence[OpenBlock], name: str) -> list[str]:
    """The blocks near by in which a field belongs: that of the layer's type alone where it is among them."""
    for outer in reversed(opened):
        blocks = [spec.name for spec in blocks_with(outer.message.DESCRIPTOR, name)]
        own = [block for block in blocks if fold(block) == f"{_type_of(outer.message)}param"]
        if blocks:
            return own or blocks[:4]
    return []


def _type_of(layer: Any) -> str:
    found = getattr(layer, "type", "")
    if isinstance(found, int):  # an enum of the old `layers`
        found = messages.V1LayerParameter.LayerType.Name(found)
    return fold(found)
