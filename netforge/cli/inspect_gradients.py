"""`netforge inspect gradients`: whether gradients vanish or explode on their way through a net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.files import require_solver
from netforge.cli.options import (
    CaffeCommand,
    device_options,
    load_plugins,
    make_device,
    output_options,
    plugin_option,
    seed_option,
)
from netforge.cli.screen import print_columns
from netforge.cli.targets import target_option, write_html

if TYPE_CHECKING:
    from netforge.device.base import Device


@click.command("gradients", cls=CaffeCommand)
@click.argument("run", required=False, metavar="[RUN]")
@click.option(
    "--solver", "solver_file", metavar="FILE", help="A solver, whose training net is run, in the place of RUN."
)
@click.option(
    "--weights", multiple=True, metavar="FILE", help="--solver: the .caffemodel; by default weights are drawn anew."
)
@click.option(
    "--iterations", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="--solver: batches to run."
)
@seed_option("--solver: seed of everything drawn at random.")
@device_options
@plugin_option
@target_option("--html", "html_file", text="Write a page; for RUN one is written anyway, beside its log.")
@output_options
def gradients(
    run: str | None,
    solver_file: str | None,
    weights: tuple[str, ...],
    iterations: int,
    seed: int,
    device: str | None,
    gpu: str | None,
    plugins: tuple[str, ...],
    html_file: Path | None,
) -> None:
    """Show how large weights, gradients and updates are, layer by layer, and where gradients vanish or explode.

    RUN is a run (its folder, its log or the prefix of its snapshots): training has measured them at its displays, and
    the page draws them over the iterations. Or give --solver: some batches of its training net are run forward and
    backward, and the net is not changed.
    """
    if (run is None) == (solver_file is None):
        raise click.UsageError("give a run or --solver. For example: netforge inspect gradients runs/siamese_digits")
    if run is not None:
        show_run(run, html_file)
    else:
        show_batches(str(solver_file), weights, iterations, seed, make_device(device, gpu), plugins, html_file)


def show_run(text: str, html_file: Path | None) -> None:
    """What a run has measured at its displays, the runs that it went on from included."""
    from netforge.inspect.norms import RUN_COLUMNS, run_norm_rows, run_norms_page
    from netforge.inspect.run import ENDING
    from netforge.inspect.runs import find_run, read_run, with_earlier

    found = with_earlier(read_run(find_run(text)))
    print_columns([RUN_COLUMNS, *run_norm_rows(found)], right=(1, 2, 3, 4))
    beside = found.path.with_name(f"{found.path.name.removesuffix(ENDING)}.gradients.html")
    write_html(html_file or beside, lambda: run_norms_page(found))


def show_batches(
    solver_file: str,
    weights: tuple[str, ...],
    iterations: int,
    seed: int,
    device: Device,
    plugins: tuple[str, ...],
    html_file: Path | None,
) -> None:
    """What some batches of a solver's training net give."""
    from netforge.inspect.gradients import NORM_COLUMNS, gradient_norms, gradients_page, norm_rows
    from netforge.net import Net
    from netforge.schema import read_solver

    load_plugins(plugins)
    require_solver(solver_file)
    definition, state = read_solver(solver_file).train_net()
    with Net(definition, "TRAIN", state.level, state.stages, device, weights=weights, seed=seed) as net:
        norms = gradient_norms(net, iterations)
        name = net.name or "the net"
    print_columns([NORM_COLUMNS, *norm_rows(norms)], right=(1, 2, 3))
    write_html(html_file, lambda: gradients_page(norms, name, iterations))
