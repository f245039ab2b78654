"""`netforge summary`: what a net is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.nets import ChosenNet, net_options
from netforge.cli.options import CaffeCommand, is_quiet, output_options
from netforge.cli.screen import bytes_text, console, count_text, on_terminal, print_columns, shape_text, styled, table

if TYPE_CHECKING:
    from netforge.net import LayerSummary, Net

COLUMNS = ("layer", "type", "tops", "weights", "count", "memory", "mul-adds")
FLOAT_BYTES = 4
NARROW = 100  # columns of a window below which shapes of weights and memory are left out


@click.command(cls=CaffeCommand)
@net_options("TRAIN")
@output_options
def summary(chosen: ChosenNet) -> None:
    """Show layers, shapes, weights, memory and multiply-adds of a net (a prototxt, or a solver that names one).

    No data is read beyond the headers of its sources, and no memory is taken. Memory is that of the layer's outputs;
    training needs as much again for gradients. Multiply-adds are those of one forward pass of a whole batch. With
    --quiet only the sums are shown.
    """
    with chosen.plan() as net:
        rows = net.describe()
        cells = [row_cells(row) for row in rows]
        if not is_quiet() and on_terminal():
            show_table(net, cells)
        elif not is_quiet():
            click.echo(f"{net.name or 'net'}, phase {net.phase}")
            print_columns([COLUMNS, *cells], right=(4, 5, 6))
        for line in totals(net, rows):
            click.echo(line)


def show_table(net: Net, rows: list[tuple[str, ...]]) -> None:
    """Print the rows for the eye: several tops below each other, in narrow windows without what matters least."""
    screen = console()
    wanted = [i for i, name in enumerate(COLUMNS) if screen.width >= NARROW or name not in ("weights", "memory")]
    shown = table(*(COLUMNS[i] for i in wanted), right=COLUMNS[4:])
    for column in shown.columns:
        column.no_wrap = column.header not in ("tops", "weights")
    for row in rows:
        cells = [styled((row[0], "bold cyan")), *map(styled, (text.replace(", ", "\n") for text in row[1:4]))]
        cells += map(styled, row[4:])
        shown.add_row(*(cells[i] for i in wanted))
    screen.print(styled((net.name or "net", "bold"), f"  phase {net.phase}\n"))
    screen.print(shown)
    screen.print()


def row_cells(row: LayerSummary) -> tuple[str, ...]:
    """One layer as text."""
    tops = ", ".join(f"{name} {shape_text(shape)}" for name, shape in row.tops)
    owners = sorted({weight.shared_with for weight in row.weights if weight.shared_with})
    shapes = ", ".join(shape_text(weight.shape) for weight in row.weights)
    return (
        row.name,
        row.type,
        tops,
        f"those of {', '.join(owners)}" if owners else shapes,
        f"{row.weight_count:,}" if row.weight_count else "",
        bytes_text(row.activation_bytes) if row.activation_bytes else "",
        count_text(row.multiply_adds) if row.multiply_adds else "",
    )


def totals(net: Net, rows: list[LayerSummary]) -> list[str]:
    """What all layers have together."""
    weights = sum(row.weight_count for row in rows)
    learnable = sum(entry.blob.count for entry in net.learnable)
    memory = sum(row.activation_bytes for row in rows)
    fixed = f", of which {learnable:,} learn" if learnable != weights else ""
    return [
        f"weights        {weights:,} ({bytes_text(weights * FLOAT_BYTES)}){fixed}",
        f"activations    {bytes_text(memory)}, and as much again for gradients in training",
        f"multiply-adds  {count_text(sum(row.multiply_adds for row in rows))} for one forward pass",
    ]
