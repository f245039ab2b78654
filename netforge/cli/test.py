"""`netforge test`: what a net with its weights scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

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
from netforge.errors import NetError, counted
from netforge.solver.events import Output, outputs_of

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


class Averages:
    """Means of the loss and of all outputs over batches, in double precision."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.batches = 0
        self._loss = 0.0
        self._sums: dict[str, npt.NDArray[Any]] = {}

    def add_batch(self) -> tuple[Output, ...]:
        """Run one batch and return its outputs; raises NetError where an output changes its shape."""
        self.net.forward_pass()
        self._loss += self.net.loss()
        self.batches += 1
        outputs = outputs_of(self.net)
        for output in outputs:
            total = self._sums.setdefault(output.name, np.zeros(output.values.shape))
            if total.shape != output.values.shape:
                raise NetError(
                    f'output "{output.name}" changed its shape from {total.shape} to {output.values.shape}, '
                    "so it has no mean",
                    mend="end that branch in Silence",
                )
            total += output.values
        return outputs

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self._loss / self.batches

    def means(self) -> tuple[Output, ...]:
        """The mean of each output."""
        return outputs_of(self.net, {name: total / self.batches for name, total in self._sums.items()})


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
