"""`netforge test`: what a net with its weights scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from netforge.cli.files import net_of
from netforge.cli.options import (
    CaffeCommand,
    CommaList,
    device_name,
    device_options,
    flatten,
    is_quiet,
    load_plugins,
    output_options,
    plugin_option,
    state_options,
)
from netforge.cli.outputs import loss_tail, scalars
from netforge.cli.screen import console, number, on_terminal, styled, table

if TYPE_CHECKING:
    from netforge.net import Net


@click.command(cls=CaffeCommand)
@click.option("--model", required=True, metavar="NET", help="The net, a prototxt (or a solver that names one).")
@click.option("--weights", required=True, type=CommaList(), multiple=True, metavar="FILE", help="The .caffemodel.")
@click.option("--iterations", type=click.IntRange(min=1), default=50, show_default=True, help="Batches to run.")
@state_options("TEST")
@device_options
@click.option("--seed", type=click.IntRange(min=0), help="Seed of everything random.")
@plugin_option
@output_options
def test(
    model: str,
    weights: tuple[list[str], ...],
    iterations: int,
    phase: str,
    level: int,
    stages: tuple[list[str], ...],
    device: str,
    gpu: str | None,
    seed: int | None,
    plugins: tuple[str, ...],
) -> None:
    """Run a net with its weights over batches of test data and print the mean of every output.

    Where output is not a terminal, Caffe's lines are printed: every batch, then "name = mean (* w = .. loss)".
    """
    from netforge.net import Net

    load_plugins(plugins)
    place = device_name(device, gpu)
    files = flatten(weights)
    with Net(net_of(model, phase), phase, level, flatten(stages), place, weights=files, seed=seed) as net:
        loss, means = (run_on_screen if on_terminal() and not is_quiet() else run_plainly)(net, iterations)
        show(net, loss, means, iterations)


def run_plainly(net: Net, iterations: int) -> tuple[float, dict[str, Any]]:
    """Run all batches and print the outputs of each as Caffe does."""
    averages = Averages(net)
    for batch in range(iterations):
        values = averages.add_batch()
        if not is_quiet():
            for name, value in scalars(values):
                click.echo(f"Batch {batch}, {name} = {number(value)}")
    return averages.means()


def run_on_screen(net: Net, iterations: int) -> tuple[float, dict[str, Any]]:
    """Run all batches behind a progress bar that leaves nothing behind."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    averages = Averages(net)
    columns = (TextColumn("batch"), MofNCompleteColumn(), BarColumn(None), TimeRemainingColumn())
    with Progress(*columns, console=console(), transient=True, expand=True) as progress:
        for _ in progress.track(range(iterations)):
            averages.add_batch()
    return averages.means()


class Averages:
    """Means of the loss and of all outputs over batches."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self._batches = 0
        self._loss = 0.0
        self._sums: dict[str, Any] = {}

    def add_batch(self) -> dict[str, Any]:
        """Run one batch and return its outputs."""
        values = self.net.forward()
        self._loss += self.net.loss()
        self._batches += 1
        for name, value in values.items():
            previous = self._sums.get(name)
            self._sums[name] = value if previous is None or previous.shape != value.shape else previous + value
        return values

    def means(self) -> tuple[float, dict[str, Any]]:
        """The mean loss, and the mean of each output."""
        return self._loss / self._batches, {name: total / self._batches for name, total in self._sums.items()}


def show(net: Net, loss: float, means: dict[str, Any], iterations: int) -> None:
    """Print the means: a table on a terminal, else Caffe's lines."""
    if not on_terminal():
        click.echo(f"Loss: {number(loss)}")
        for name, value in means.items():
            for label, one in scalars({name: value}):
                click.echo(f"{label} = {number(one)}{loss_tail(net.loss_weights.get(name), one)}")
        return
    shown = table("output", "mean", "loss weight", right=("mean", "loss weight"))
    for name, value in means.items():
        weight = net.loss_weights.get(name)
        for label, one in scalars({name: value}):
            shown.add_row(styled((label, "bold cyan")), f"{one:.6g}", "" if weight is None else f"{weight:g}")
    screen = console()
    screen.print(shown)
    screen.print(
        styled(f"\nmean of {iterations} batches of {net.name or 'the net'}, phase {net.phase}, loss {loss:.6g}")
    )
