"""Writes messages as prototxt."""

from __future__ import annotations

import re

from google.protobuf.message import Message

# Settings of users' layers are written by their short name; only a line's beginning can hold such a bracket.
_EXTENSION = re.compile(r"^( *)\[netforge\.plugin\.(\w+)\]", re.MULTILINE)


def write_text(message: Message) -> str:
    """Prototxt of a message; it reads back as an equal message."""
    from google.protobuf import text_format  # only those who write need it

    return _EXTENSION.sub(r"\1\2", text_format.MessageToString(message, as_utf8=True))
