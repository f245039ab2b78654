"""`netforge data relabel`, `disable`, `boost`, `rename`, `reset`, `undo` and the like: correcting labels."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netforge.cli.data_options import database_option, where_option

if TYPE_CHECKING:
    from netforge.data import Labels
    from netforge.data.labels.changes import LabelChange
    from netforge.data.labels.query import Query

MOST_MOVES = 20
PAIR = re.compile(r"\s*(.+?)\s*(?:->|:)\s*(.+?)\s*")


def choosing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--where, --id, --index and --all: the command gets one query as `which`, or None where none is given."""

    @functools.wraps(command)
    def run(*args: Any, where: str | None, ids: str | None, indices: str | None, every: bool, **options: Any) -> None:
        if sum((where is not None, ids is not None, indices is not None, every)) > 1:
            raise click.UsageError("--where, --id, --index and --all exclude each other.")
        command(*args, which=_query(where, ids, indices, every), **options)

    run = click.option("--all", "every", is_flag=True, help="All images of the source.")(run)
    run = click.option(
        "--index", "indices", metavar="LIST", help="Images by number among those in use, as test-many has it."
    )(run)
    run = click.option(
        "--id", "ids", metavar="LIST", help='Images by number, "1,5,9-20"; it stays when others are disabled.'
    )(run)
    return where_option(run)


def _query(where: str | None, ids: str | None, indices: str | None, every: bool) -> Query | None:
    from netforge.data.labels.query import ALL_IMAGES, among, parse

    if where is not None:
        return parse(where)
    if ids is not None:
        return among("id", ids)
    if indices is not None:
        return among("index", indices)
    return ALL_IMAGES if every else None


def editing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """SOURCE, --dry-run and --database: the command gets the source's labels as `labels`, and gives back a change."""

    @functools.wraps(command)
    def run(source: str, *, dry_run: bool, database: Path | None, **options: Any) -> None:
        from netforge.data import ImageDatabase, Labels

        with ImageDatabase(database) as images:
            labels = Labels(images, source, dry_run=dry_run)
            change = command(labels=labels, **options)
            names = images.class_names(images.find(source))
        back = "redo" if command.__name__ == "undo" else "undo"
        show_change(source, change, names, back, dry_run=dry_run)

    run = database_option(run)
    run = click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")(run)
    return click.argument("source")(run)


def required(which: Query | None) -> Query:
    """The images that an edit is for; a usage error where none are named."""
    if which is None:
        raise click.UsageError('Say which images: --where "label = 3", --id 5, --index 5 or --all.')
    return which


@click.command("relabel", short_help="Give images another label.")
@click.option("--to", metavar="LABEL", help="The label to give them.")
@click.option("--map", "mapping", metavar="PAIRS", help='New label for each old one: "3->1,4->1", or "3:1,4:1".')
@choosing_options
@editing_options
def relabel(labels: Labels, which: Query | None, to: str | None, mapping: str | None) -> LabelChange:
    """Give images of SOURCE another label: those that are named one, or by --map one for each old label.

    A label is a number or the name of a class. The labels at import are kept: see "data reset". Labels that a net gave
    count as a person's afterwards, also where they stay: --where "auto and label = 3" --to 3 confirms them.

    Queries speak of label, original (label), class (its name), id, index, group, origin, boost, and of what is auto,
    changed, active or disabled; they compare by = != < <= > >=, "in 1-5,9" and "like '%/left/%'", and join by and, or,
    not and parentheses.

    Examples:

    \b
      netforge data relabel MNIST.training --id 59,1201-1203 --to 8
      netforge data relabel MNIST.training --where "label = 3 and auto" --to 8 \\
          --dry-run
      netforge data relabel pets \\
          --where "class = cat and origin like '%/dogs/%'" --to dog
      netforge data relabel MNIST.training --map "3->1,4->1"
    """
    if (to is None) == (mapping is None):
        raise click.UsageError('Say the new label: --to 8, or --map "3->1".')
    if to is not None:
        return labels.relabel(required(which), to)
    pairs = parse_pairs(mapping or "")
    return labels.map(pairs) if which is None else labels.map(pairs, which)


def parse_pairs(text: str) -> dict[int | str, int | str]:
    """Old and new label of "3->1,cat:dog"; a usage error for other texts."""
    pairs: dict[int | str, int | str] = {}
    for part in text.split(","):
        match = PAIR.fullmatch(part)
        if match is None or match[1] in pairs:
            fault = "names a label twice" if match else f'has "{part.strip()}", which is no pair'
            raise click.BadParameter(f'"{text}" {fault}; write "3->1,4->1".', param_hint="--map")
        pairs[match[1]] = match[2]
    return pairs


@click.command("disable", short_help="Take images out of use.")
@choosing_options
@editing_options
def disable(labels: Labels, which: Query | None) -> LabelChange:
    """Take images of SOURCE out of use: no net sees them, until "data enable" brings them back.

    Examples:

    \b
      netforge data disable faces --id 17,204
      netforge data disable faces --where "class = unclear"
    """
    return labels.disable(required(which))


@click.command("enable", short_help="Bring disabled images back into use.")
@choosing_options
@editing_options
def enable(labels: Labels, which: Query | None) -> LabelChange:
    """Bring disabled images of SOURCE back into use.

    Example:

    \b
      netforge data enable faces --where "disabled and label in 0-4"
    """
    return labels.enable(required(which))


@click.command("boost", short_help="Mark images that boosted selection prefers.")
@click.option("--to", type=click.IntRange(0), metavar="N", required=True, help="The boost to give them; 0 is none.")
@choosing_options
@editing_options
def boost(labels: Labels, which: Query | None, to: int) -> LabelChange:
    """Give images of SOURCE a boost, which superboost_probability of a Data layer goes by.

    Example:

    \b
      netforge data boost MNIST.training --where "label in 4,9" --to 1
    """
    return labels.boost(required(which), to)


@click.command("rename", short_help="Name classes.")
@editing_options
@click.argument("names", nargs=-1, required=True, metavar="LABEL NAME [LABEL NAME]...")
def rename(labels: Labels, names: tuple[str, ...]) -> LabelChange:
    """Name classes of SOURCE: each LABEL, a number or the present name, gets the name after it.

    Example:

    \b
      netforge data rename pets 0 cat 1 "big dog"
    """
    if len(names) % 2:
        raise click.UsageError(f'"{names[-1]}" has no name after it; write LABEL NAME, one after the other.')
    pairs: dict[int | str, str] = dict(zip(names[::2], names[1::2], strict=True))
    if len(pairs) < len(names) // 2:
        raise click.UsageError("A label is named twice.")
    return labels.rename(pairs)


@click.command("reset", short_help="Bring labels back to those at import.")
@click.option(
    "--only",
    type=click.Choice(["labels", "boosts", "disabled"]),
    multiple=True,
    help="Reset only the labels, or boosts, or enable what is disabled; may be repeated.",
)
@choosing_options
@editing_options
def reset(labels: Labels, which: Query | None, only: tuple[str, ...]) -> LabelChange:
    """Bring images of SOURCE back to what they were: labels as imported, no boosts, all enabled.

    All images, unless some are named. The names of classes stay. "data undo" takes back this, too.

    Examples:

    \b
      netforge data reset MNIST.training
      netforge data reset MNIST.training --where "label = 8 and changed" \\
          --only labels
    """
    from netforge.data.labels.edits import RESETS
    from netforge.data.labels.query import ALL_IMAGES

    return labels.reset(which or ALL_IMAGES, only or tuple(RESETS))


@click.command("undo", short_help="Take back edits of labels.")
@click.option("--steps", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="So many edits.")
@editing_options
def undo(labels: Labels, steps: int) -> LabelChange:
    """Take back the newest edits of SOURCE: relabel, disable, enable, boost, rename, reset.

    Another undo goes further back. "data history" shows the edits, and "data redo" makes an undo undone.
    """
    return labels.undo(steps)


@click.command("redo", short_help="Take back an undo.")
@editing_options
def redo(labels: Labels) -> LabelChange:
    """Take back the newest "data undo" of SOURCE, if no other edit came after it."""
    return labels.redo()


@click.command("history", short_help="List the edits of labels.")
@click.argument("source")
@database_option
def history(source: str, database: Path | None) -> None:
    """List what was done to the labels of SOURCE, the oldest first.

    "undone" are the edits that are not in force; the time is UTC.
    """
    from netforge.cli.screen import one_line, show_rows
    from netforge.data import ImageDatabase, Labels
    from netforge.data.labels.history import in_force

    with ImageDatabase(database) as images:
        edits = Labels(images, source).history()
    if not edits:
        click.echo(f"{source}: no label was edited")
        return
    done = {edit.id for edit in in_force(edits)[0]}
    headings = ("edit", "time", "changed", "what", "")
    rows = []
    for edit in edits:
        state = "undone" if edit.undoes is None and edit.id not in done else ""
        when = edit.time[:19].replace("T", " ")
        rows.append((str(edit.number), when, f"{edit.count:,}", one_line(edit.action), state))
    show_rows(headings, rows, right=(0, 2), style=lambda column, row: "dim" if row[-1] else "")


def show_change(source: str, change: LabelChange, names: dict[int, str], back: str, *, dry_run: bool) -> None:
    """What an edit changed, or would change: a line for each pair of labels, and one that says how to take it back.

    back: the command that does so.
    """
    from netforge.errors import counted

    def label(number: int) -> str:
        return f"{number} ({names[number]})" if names.get(number, str(number)) != str(number) else str(number)

    for old, new, count in change.moves[:MOST_MOVES]:
        click.echo(f"{label(old)} -> {label(new)}: {counted(count, 'image')}")
    if len(change.moves) > MOST_MOVES:
        rest = sum(count for _, _, count in change.moves[MOST_MOVES:])
        click.echo(f"... {counted(len(change.moves) - MOST_MOVES, 'further pair')} of labels: {counted(rest, 'image')}")
    for kind in ("confirmed", "unconfirmed", "disabled", "enabled", "boosted"):
        if count := getattr(change, kind):
            click.echo(f"{WORDS[kind]}: {counted(count, 'image')}")
    for number, old_name, new_name in change.renamed:
        click.echo(f"label {number}: {_quoted(old_name)} -> {_quoted(new_name)}")
    if not (change.images or change.renamed):
        click.echo(f"{source}: nothing had to be changed")
        return
    parts = [counted(change.images, "image")] if change.images else []
    parts += [counted(len(change.renamed), "class", "classes")] if change.renamed else []
    what = " and ".join(parts)
    if dry_run:
        click.echo(f"{source}: {what} would change\nDry run: nothing was changed.")
    else:
        click.echo(f"{source}: {what} changed. To take it back: netforge data {back} {shlex.quote(source)}")


WORDS = {
    "confirmed": "labels of nets that are confirmed",
    "unconfirmed": "labels that are of nets again",
    "disabled": "disabled",
    "enabled": "enabled",
    "boosted": "other boost",
}
COMMANDS = (relabel, disable, enable, boost, rename, reset, undo, redo, history)


def _quoted(name: str | None) -> str:
    return "no name" if name is None else f'"{name}"'
