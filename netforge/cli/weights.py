"""What a file of weights did to a net, as a table: nothing that was not loaded stays unsaid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.screen import console, on_terminal, print_columns, shape_text, styled, table

if TYPE_CHECKING:
    from netforge.snapshot import LoadReport, LoadRow

COLUMNS = ("layer", "weights", "in the file", "in the net", "")
STYLES = {"loaded": "green", "skipped": "yellow", "missing": "yellow", "wrong shape": "red"}
REMARKS = {"skipped": "not in the net", "missing": "keeps its filler's values"}


def show_report(report: LoadReport) -> None:
    """Print one line for each layer: loaded, skipped, missing or of the wrong shape; and the counts."""
    rows = [row_cells(row) for row in report.rows]
    counts = ", ".join(f"{n} {word}" for word in STYLES if (n := sum(row[1] == word for row in rows)))
    click.echo(f"Weights from {report.source}: {counts or 'none'}")
    if on_terminal():
        shown = table(*COLUMNS)
        for row in rows:
            shown.add_row(styled(row[0]), styled((row[1], STYLES[row[1]])), *map(styled, row[2:]))
        screen = console()
        screen.print(shown)
        screen.print()
    elif rows:
        print_columns([("  " + row[0], *row[1:]) for row in rows])


def row_cells(row: LoadRow) -> tuple[str, str, str, str, str]:
    """One layer as text."""
    in_file, in_net = (", ".join(map(shape_text, shapes)) for shapes in (row.in_file, row.in_net))
    return row.layer, row.status.value, in_file, in_net, row.remark or REMARKS.get(row.status.value, "")
