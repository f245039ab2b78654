"""How errors look: one block that says where, what was found and how to mend it; for bugs the traceback.

On a terminal the offending line of the file is shown with a caret under the column. Where standard error is a file or
a pipe, an error is one line, "error: file:line:column: what. Mend.", which editors and log parsers understand.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

import click

from netforge.cli.options import is_verbose
from netforge.errors import NetforgeError, Place, as_sentence

USER_ERROR, BUG = 1, 70

_OS_MENDS = {
    errno.ENOENT: ("there is no such file or folder", "correct its path"),
    errno.EISDIR: ("this is a folder, and a file is expected", "name a file in it"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "correct the path"),
    errno.EACCES: ("this may not be opened by you", "change its permissions or run as its owner"),
    errno.EEXIST: ("this exists already", "choose another name or remove it"),
    errno.ENOSPC: ("the disk is full", "make room, or write to another disk"),
    errno.EROFS: ("this disk is read-only", "write to another place"),
    errno.ENAMETOOLONG: ("this name is too long", "choose a shorter one"),
}


def show_error(error: Exception) -> int:
    """Print an error to standard error and return the exit status: 1 for what a user can mend, 70 for a bug."""
    mendable = as_netforge_error(error)
    if mendable is None:
        show_bug(error)
        return BUG
    if error.__cause__ is not None and is_verbose():
        traceback.print_exception(error.__cause__)
    if sys.stderr is not None and sys.stderr.isatty():
        show_block(mendable)
    else:
        click.echo(f"error: {mendable}", err=True)
    return USER_ERROR


def as_netforge_error(error: Exception) -> NetforgeError | None:
    """The error itself, or one that says the same of a file or of memory; None for anything that is a bug."""
    if isinstance(error, NetforgeError):
        return error
    if isinstance(error, OSError) and error.filename is not None:
        found, mend = _OS_MENDS.get(error.errno or 0, (error.strerror or str(error), None))
        return NetforgeError(found, where=str(error.filename), mend=mend)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        found, mend = _OS_MENDS[errno.ENOSPC]
        return NetforgeError(found, mend=mend)
    if isinstance(error, MemoryError):
        return NetforgeError(
            "there is not enough memory" + (f": {error}" if str(error) else ""),
            mend="lower batch_size and raise iter_size by the same factor",
        )
    return None


def show_block(error: NetforgeError) -> None:
    """Print an error for the eye: place, what was found, the source line with a caret, and the mend."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    where = f"{error.where}: " if error.where else ""
    subject = f"layer {error.layer}: " if error.layer else ""
    stop = "" if error.found.endswith(("?", ".")) else "."
    console.print(Text.assemble(("error: ", "bold red"), (where, "bold"), f"{subject}{error.found}{stop}"))
    if isinstance(error.where, Place):
        for line in source_lines(error.where):
            console.print(line, no_wrap=True, overflow="ellipsis")
    if error.mend:
        mend = as_sentence(error.mend)
        console.print(Text.assemble(("mend:  ", "bold green"), mend, "" if mend.endswith(("?", ".")) else "."))


def source_lines(place: Place) -> list[object]:
    """The line of the file at `place`, and a caret under its column; nothing where the file cannot be read again."""
    from rich.text import Text

    if not os.path.isfile(place.file):
        return []
    try:
        line = Path(place.file).read_text(encoding="utf-8", errors="replace").splitlines()[place.line - 1]
    except (OSError, IndexError):
        return []
    if not place.line or not line.replace("\t", " ").isprintable():
        return []
    number = str(place.line)
    shown = line.expandtabs(4)
    start = len(line[: max(place.column - 1, 0)].expandtabs(4)) if place.column else len(shown) - len(shown.lstrip())
    width = max(word_length(shown[start:]), 1)
    return [
        Text(" " * (len(number) + 2) + "|", style="blue"),
        Text.assemble((f" {number} | ", "blue"), shown),
        Text.assemble((" " * (len(number) + 2) + "| ", "blue"), " " * start, ("^" * width, "bold red")),
    ]


def word_length(text: str) -> int:
    """Length of the word or number at the start of `text`."""
    length = 0
    while length < len(text) and (text[length].isalnum() or text[length] in "_.-"):
        length += 1
    return length


def show_bug(error: Exception) -> None:
    """Print the traceback of an error nobody foresaw, and ask for a report."""
    traceback.print_exception(error)
    click.echo(
        "\nThis is a bug in netforge, or in a plugin where its files are named above. Please report it with the text "
        "above, the command, and the prototxt files.",
        err=True,
    )
