"""Training in plain lines: Caffe's wording, which log parsers read, one line at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from netforge.cli.label_query_text import log_lines
from netforge.cli.outputs import loss_tail, scalars
from netforge.cli.screen import number
from netforge.solver import Display, Listener, SnapshotPaths, Solver, StopReason, TestResult

if TYPE_CHECKING:
    from netforge.data.labels.label_queries import LabelQueryCounts


class TrainLog(Listener):
    """Prints what happens, in the words of `caffe train` without the prefix of its logging library."""

    def on_display(self, solver: Solver, display: Display) -> None:
        """Speed, loss, every output, rate."""
        speed = display.iterations / display.seconds if display.seconds else 0.0
        click.echo(
            f"Iteration {display.iteration} ({number(speed)} iter/s, {number(display.seconds)}s/"
            f"{display.iterations} iters), loss = {number(display.loss)}"
        )
        for index, (output, value) in enumerate(scalars(display.outputs)):
            click.echo(f"    Train net output #{index}: {output.name} = {number(value)}{loss_tail(output, value)}")
        click.echo(f"Iteration {display.iteration}, lr = {number(display.rate)}")

    def on_notice(self, solver: Solver, text: str) -> None:
        """What a layer finds wrong with the training."""
        click.echo(f"Warning: {text}")

    def on_debug(self, solver: Solver, lines: Sequence[str]) -> None:
        """The lines of debug_info."""
        for line in lines:
            click.echo(line)

    def on_test_start(self, solver: Solver, net: int) -> None:
        """Which net is tested."""
        click.echo(f"Iteration {solver.iteration}, Testing net (#{net})")

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """The mean of every output."""
        if result.loss is not None:
            click.echo(f"Test loss: {number(result.loss)}")
        for index, (output, value) in enumerate(scalars(result.outputs)):
            click.echo(f"    Test net output #{index}: {output.name} = {number(value)}{loss_tail(output, value)}")

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """How often training drew each label."""
        for line in log_lines(queries):
            click.echo(f"    {line}")

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """The files."""
        if paths.weights:
            click.echo(f"Snapshotting to file {paths.weights}")
        if paths.state:
            click.echo(f"Snapshotting solver state to file {paths.state}")

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Done, or stopped."""
        if reason is StopReason.FINISHED:
            click.echo("Optimization Done.")
        elif reason in (StopReason.STOPPED, StopReason.ABORTED):
            click.echo("Optimization stopped early.")
