"""`netforge time`: how long each layer takes, forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.nets import ChosenNet, net_options
from netforge.cli.options import CaffeCommand, device_options, is_quiet, make_device, output_options, split_commas
from netforge.cli.screen import console, number, on_terminal, styled, table
from netforge.errors import counted

if TYPE_CHECKING:
    from netforge.net import Net
    from netforge.net.timing import Timing

WARM_UP = 3


@click.command(cls=CaffeCommand)
@net_options("TRAIN")
@click.option("--weights", multiple=True, metavar="FILE", help="Weights to run with.")
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    metavar="N",
    default=50,
    show_default=True,
    help="Iterations to measure.",
)
@device_options
@output_options
def time(
    chosen: ChosenNet,
    weights: tuple[str, ...],
    iterations: int,
    device: str | None,
    gpu: str | None,
) -> None:
    """Measure forward and backward of each layer of a net in milliseconds, after three iterations to warm up.

    Layers that no gradient passes through are not run backward. Whole passes are measured too: they take less than the
    layers one by one where towers that share weights run as one batch. With --quiet only whole passes are shown.
    """
    from netforge.net.timing import measure

    with chosen.build(device=make_device(device, gpu), weights=split_commas(weights)) as net:
        measure(net, WARM_UP)
        timing = measure(net, iterations)
        (show_table if on_terminal() else show_plainly)(net, timing)


def show_plainly(net: Net, timing: Timing) -> None:
    """Print the averages in the words of `caffe time`."""
    each = [] if is_quiet() else list(zip(net.layers, timing.forward, timing.backward, strict=True))
    if each:
        click.echo("Average time per layer: ")
    for layer, forward, backward in each:
        click.echo(f"{layer.name:>10}\tforward: {number(timing.milliseconds(forward))} ms.")
        click.echo(f"{layer.name:>10}\tbackward: {number(timing.milliseconds(backward))} ms.")
    forward, backward = timing.forward_pass, timing.backward_pass
    click.echo(f"Average Forward pass: {number(timing.milliseconds(forward))} ms.")
    click.echo(f"Average Backward pass: {number(timing.milliseconds(backward))} ms.")
    click.echo(f"Average Forward-Backward: {number(timing.milliseconds(forward + backward))} ms.")
    click.echo(f"Total Time: {number(1000 * (forward + backward))} ms.")


def show_table(net: Net, timing: Timing) -> None:
    """Print the averages as a table, with each layer's share of the whole."""
    if is_quiet():
        show_rate(timing)
        return
    total = sum(timing.forward) + sum(timing.backward)
    numbers = ("forward ms", "backward ms", "share")
    shown = table("layer", "type", *numbers, "", right=numbers)
    for layer, forward, backward in zip(net.layers, timing.forward, timing.backward, strict=True):
        share = (forward + backward) / total
        shown.add_row(
            styled((layer.name, "bold cyan")),
            type(layer).type,
            f"{timing.milliseconds(forward):.3f}",
            f"{timing.milliseconds(backward):.3f}" if backward else "",
            f"{share:.1%}",
            styled(("━" * round(24 * share), "cyan")),
        )
    shown.add_section()
    forward, backward = (timing.milliseconds(sum(part)) for part in (timing.forward, timing.backward))
    shown.add_row(styled(("all, one by one", "bold")), "", f"{forward:.3f}", f"{backward:.3f}", "100.0%", "")
    forward, backward = (timing.milliseconds(part) for part in (timing.forward_pass, timing.backward_pass))
    shown.add_row(styled(("whole passes", "bold")), "", f"{forward:.3f}", f"{backward:.3f}", "", "")
    screen = console()
    iterations = counted(timing.iterations, "iteration")
    screen.print(styled((net.name or "net", "bold"), f"  phase {net.phase}, {net.device.name}, {iterations}\n"))
    screen.print(shown)
    screen.print()
    show_rate(timing)


def show_rate(timing: Timing) -> None:
    """Print what whole passes take."""
    both = timing.milliseconds(timing.forward_pass + timing.backward_pass)
    console().print(styled(f"forward and backward {both:.3f} ms, {1000 / both:,.0f} iterations/s"))
