"""`netforge compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.options import CaffeCommand, is_quiet, output_options
from netforge.cli.runs import open_run
from netforge.cli.screen import console, on_terminal, print_columns, styled, table
from netforge.cli.targets import target_option, write_html


@click.command(cls=CaffeCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@target_option("-o", "--out", text="Write a page with the curves over one another too.")
@output_options
def compare(runs: tuple[str, ...], out: Path | None) -> None:
    """Put runs side by side: what they reached, and in which settings they differ.

    Each RUN is given as for `netforge report`. Shown are the newest scores and losses, the best scores, times and
    settings of solver and net that are not the same in all runs. With --out one HTML page shows their curves too.
    """
    from netforge.inspect.compare import compare_page, setting_rows, value_rows

    if len(runs) < 2:
        raise click.UsageError("give two runs or more; `netforge report RUN` shows one.")
    found = [open_run(run) for run in runs]
    if not is_quiet() or out is None:
        heading = ("", *(run.name for run in found))
        show([heading, *value_rows(found)])
        settings = setting_rows(found)
        if settings:
            click.echo()
            show([("setting", *heading[1:]), *settings])
        else:
            click.echo("\nSettings of solver and net are the same.")
    write_html(out, lambda: compare_page(found))


def show(rows: list[tuple[str, ...]]) -> None:
    """Print a table, the first row of which are its headings."""
    if not on_terminal():
        print_columns(rows)
        return
    shown = table(*rows[0])
    for word, *values in rows[1:]:
        shown.add_row(styled((word, "dim")), *map(styled, values))
    console().print(shown)
