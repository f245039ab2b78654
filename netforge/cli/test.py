"""`netforge test`: what a net with its weights scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.nets import ChosenNet, net_options
from netforge.cli.options import (
    CaffeCommand,
    device_options,
    is_quiet,
    is_verbose,
    make_device,
    output_options,
    seed_option,
    split_commas,
)
from netforge.cli.outputs import loss_tail, scalars
from netforge.cli.screen import console, number, on_terminal, styled, table
from netforge.cli.weights import show_report
from netforge.errors import counted
from netforge.solver.evaluation import Averages
from netforge.solver.events import Output

if TYPE_CHECKING:
    from netforge.net import Net


@click.command(cls=CaffeCommand)
@net_options("TEST")
@click.option("--weights", required=True, multiple=True, metavar="FILE", help="The .caffemodel.")
@click.option(
    "--iterations", type=click.IntRange(min=1), metavar="N", default=50, show_default=True, help="Batches to run."
)
@device_options
@seed_option("Seed of everything random; by default another one each time.", None)
@output_options
def test(
    chosen: ChosenNet,
    weights: tuple[str, ...],
    iterations: int,
    device: str | None,
    gpu: str | None,
    seed: int | None,
) -> None:
    """Run a net with its weights over batches of test data and print the mean of every output.

    Where output is not a terminal, Caffe's lines are printed: every batch, then "name = mean (* w = .. loss)".
    """
    from netforge.snapshot import LoadStatus

    with chosen.build(device=make_device(device, gpu), seed=seed) as net:
        for file in split_commas(weights):
            report = net.copy_from(file)
            if is_verbose() or report.of(LoadStatus.MISSING):
                show_report(report)
        averages = Averages(net)
        (run_on_screen if on_terminal() and not is_quiet() else run_plainly)(averages, iterations)
        (show_table if on_terminal() else show_plainly)(net, averages)


def run_plainly(averages: Averages, iterations: int) -> None:
    """Run all batches and print the outputs of each as Caffe does."""
    for batch in range(iterations):
        values = averages.add_batch()
        for line in [] if is_quiet() else batch_lines(batch, values):
            click.echo(line)


def batch_lines(batch: int, values: tuple[Output, ...]) -> list[str]:
    """The outputs of a batch in Caffe's words."""
    return [f"Batch {batch}, {output.name} = {number(value)}" for output, value in scalars(values)]


def run_on_screen(averages: Averages, iterations: int) -> None:
    """Run all batches behind a progress bar that leaves nothing behind; with --verbose, the outputs of each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("batch"), MofNCompleteColumn(), BarColumn(None), TimeRemainingColumn())
    with Progress(*columns, console=console(), transient=True, expand=True) as progress:
        for batch in progress.track(range(iterations)):
            values = averages.add_batch()
            for line in batch_lines(batch, values) if is_verbose() else []:
                progress.console.print(styled((line, "dim")))


def show_plainly(net: Net, averages: Averages) -> None:
    """Print the means in the words of `caffe test`."""
    click.echo(f"Loss: {number(averages.loss)}")
    for output, value in scalars(averages.means()):
        click.echo(f"{output.name} = {number(value)}{loss_tail(output, value)}")


def show_table(net: Net, averages: Averages) -> None:
    """Print the means as a table."""
    shown = table("output", "mean", "loss weight", right=("mean", "loss weight"))
    for output, value in scalars(averages.means()):
        weight = f"{output.loss_weight:g}" if output.loss_weight else ""
        shown.add_row(styled((output.name, "bold cyan")), f"{value:.6g}", weight)
    screen = console()
    screen.print(shown)
    batches = counted(averages.batches, "batch", "batches")
    line = f"\n{net.name or 'net'}, phase {net.phase}: mean of {batches}, loss {averages.loss:.6g}"
    screen.print(styled((line, "dim")))
