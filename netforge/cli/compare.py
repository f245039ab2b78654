"""`netforge compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.options import CaffeCommand, is_quiet, output_options
from netforge.cli.runs import open_run
from netforge.cli.screen import show_rows
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
        show_rows(heading, value_rows(found), style=first_pale)
        settings = setting_rows(found)
        if settings:
            click.echo()
            show_rows(("setting", *heading[1:]), settings, style=first_pale)
        else:
            click.echo("\nSettings of solver and net are the same.")
    write_html(out, lambda: compare_page(found))


def first_pale(column: int, _row: tuple[str, ...]) -> str:
    """The style of a cell: what a row is about stands back behind its values."""
    return "" if column else "dim"
