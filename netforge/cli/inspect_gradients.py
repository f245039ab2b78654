"""`netforge inspect gradients`: whether gradients vanish or explode on their way through a net."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.files import require_solver
from netforge.cli.inspect_options import write_html
from netforge.cli.options import (
    CaffeCommand,
    arithmetic_options,
    check_target,
    device_options,
    load_plugins,
    make_device,
    output_options,
    plugin_option,
)
from netforge.cli.screen import print_columns


@click.command("gradients", cls=CaffeCommand)
@click.option("--solver", "solver_file", required=True, metavar="FILE", help="The solver, whose training net is run.")
@click.option("--weights", multiple=True, metavar="FILE", help="The .caffemodel; by default weights are drawn anew.")
@click.option("--batches", type=click.IntRange(1), metavar="N", default=10, show_default=True, help="How many to run.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, help="Of everything drawn at random.")
@device_options
@arithmetic_options
@plugin_option
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page too."
)
@output_options
def gradients(
    solver_file: str,
    weights: tuple[str, ...],
    batches: int,
    seed: int,
    device: str | None,
    gpu: str | None,
    plugins: tuple[str, ...],
    html_file: Path | None,
) -> None:
    """Measure weights and their gradients over some training batches, and say where gradients vanish or explode.

    The net is not changed: there is no update.
    """
    from netforge.inspect.gradients import NORM_COLUMNS, gradient_norms, gradients_page, norm_rows
    from netforge.net import Net
    from netforge.schema import read_solver

    check_target(html_file)
    load_plugins(plugins)
    require_solver(solver_file)
    definition, state = read_solver(solver_file).train_net()
    with Net(
        definition, "TRAIN", state.level, state.stages, make_device(device, gpu), weights=weights, seed=seed
    ) as net:
        norms = gradient_norms(net, batches)
        name = net.name or "the net"
    print_columns([NORM_COLUMNS, *norm_rows(norms)], right=(1, 2, 3))
    write_html(html_file, lambda: gradients_page(norms, name, batches))
