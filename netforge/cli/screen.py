"""What commands share when they write to the screen: consoles, tables and the wording of numbers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netforge.cli.options import is_quiet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def on_terminal() -> bool:
    """Whether standard output is a terminal, where people look; elsewhere output is plain lines.

    One that cannot move its cursor or show colours (TERM=dumb: editors, serial lines) gets plain lines too.
    """
    plain = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return sys.stdout is not None and sys.stdout.isatty() and not plain


def console() -> Console:
    """A rich console on standard output; it obeys NO_COLOR and the width of the window."""
    from rich.console import Console

    return Console(highlight=False)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table without frame; columns named in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return made


@contextmanager
def image_bar(total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar over images on a terminal, or a count where their number is not known; nothing with --quiet.

    Call what it yields with the number of further images.
    """
    if not on_terminal() or is_quiet():
        yield lambda count: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[ProgressColumn, ...]
    if total is None:
        columns = SpinnerColumn("line"), TextColumn("{task.completed:,.0f} images"), TimeElapsedColumn()
    else:
        columns = TextColumn("images"), MofNCompleteColumn(), BarColumn(None), TimeRemainingColumn()
    with Progress(*columns, console=console(), transient=True, expand=total is not None) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Text made of parts, each plain or with a style; no part is read as markup."""
    from rich.text import Text

    return Text.assemble(*parts)


def one_line(text: str) -> str:
    """Text such as a file's name on one line: characters that cannot be printed are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_columns(rows: Sequence[tuple[str, ...]], right: tuple[int, ...] = ()) -> None:
    """Print rows of text in aligned columns, for output that is not a terminal; `right` are column numbers."""
    import click

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        click.echo("  ".join(cells).rstrip())


def show_rows(
    headings: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    right: tuple[int, ...] = (),
    style: Callable[[int, tuple[str, ...]], str] = lambda column, row: "",
) -> None:
    """Print rows under headings: a table on a terminal, aligned columns elsewhere; `right` are column numbers.

    style: how a cell looks on a terminal, by its column and its row.
    """
    if not on_terminal():
        print_columns([headings, *rows], right)
        return
    shown = table(*headings, right=tuple(headings[number] for number in right))
    for row in rows:
        shown.add_row(*(styled((cell, style(column, row))) for column, cell in enumerate(row)))
    console().print(shown)


def show_facts(
    facts: Sequence[tuple[str, str]], *, bold: Collection[str] = (), copied: Collection[str] | None = None
) -> None:
    """Print words and texts in two columns; the texts of the words in `bold` stand out on a terminal.

    copied: words whose texts somebody may want to copy, paths and commands, None for all; on a terminal these are left
    to be broken where it has to, and others are folded below their own beginning.
    """
    import click

    width = max((len(word) for word, _ in facts), default=0)
    if not on_terminal():
        for word, text in facts:
            click.echo(f"{word}: {text}")
        return
    screen = console()
    screen.print()
    for word, text in facts:
        head, body = styled((f"  {word:{width}}  ", "dim")), styled((text, "bold green" if word in bold else ""))
        screen.print(hanging(screen, head, body, fold=copied is not None and word not in copied), soft_wrap=True)
    screen.print()


def hanging(screen: Console, head: Text, body: Text, *, fold: bool = True) -> Text:
    """A text behind a head; where it does not fit and is to `fold`, its next lines begin below its first one."""
    lines = list(body.wrap(screen, max(screen.width - len(head) - 1, 16))) if fold else [body]
    return head + styled("\n" + " " * len(head)).join(lines)


def number(value: float) -> str:
    """A number as Caffe's log prints it: six significant digits."""
    return f"{value:g}"


def seconds_text(seconds: float) -> str:
    """A time span: "0.42 s", "12.3 s", "4:05", "2:03:09"."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return clock_text(seconds)


def clock_text(seconds: float) -> str:
    """A time span in whole seconds: "0:07", "4:05", "2:03:09"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def bytes_text(size: float) -> str:
    """A size in memory: "812 B", "5.4 KiB", "1.2 GiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def count_text(count: float) -> str:
    """A large count in short: "812", "5.4 k", "12.0 M", "3.1 G"."""
    if count < 1000:
        return f"{count:.0f}"
    for unit in ("k", "M", "G"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} T"


def shape_text(shape: Any) -> str:
    """A shape in short: "64x1x28x28"; "scalar" for no axes."""
    return "x".join(str(d) for d in shape) or "scalar"
