"""`netforge draw`: a net as a diagram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.nets import ChosenNet, net_options
from netforge.cli.options import CaffeCommand, FiniteRange, is_quiet, output_options
from netforge.cli.targets import save_png, target_option

if TYPE_CHECKING:
    from netforge.inspect.diagram import Direction
    from netforge.net import Net

ENDINGS = {".svg": "text that any browser shows", ".png": "a picture", ".html": "a page with boxes to click on"}
NAMED = ", ".join(ENDINGS)


@click.command(cls=CaffeCommand)
@net_options("TRAIN")
@target_option("-o", "--out", required=True, text=f"The file to write; its ending says of what kind: {NAMED}.")
@click.option(
    "--direction",
    type=click.Choice(["down", "right"]),
    default="down",
    show_default=True,
    help="Which way the blobs flow.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="HTML: show these weights as pictures and histograms.",
)
@click.option(
    "--scale", type=FiniteRange(0.1, 8), default=2.0, show_default=True, metavar="X", help="PNG: pixels for each unit."
)
@click.option("--dark", is_flag=True, help="PNG: on dark paper; SVG and HTML follow the viewer.")
@output_options
def draw(
    chosen: ChosenNet,
    out: Path,
    direction: Direction,
    weights: Path | None,
    scale: float,
    dark: bool,
) -> None:
    """Draw a net (a prototxt, or a solver that names one) as a diagram.

    Boxes are layers, coloured by family, with those that work in place as rows of the box; lines are blobs with their
    shapes. Boxes with the same letter share weights. No data is read beyond the headers of its sources.

    Examples:

    \b
      netforge draw models/siamese_mnist/train_val.prototxt -o siamese.svg
      netforge draw models/resnet50/deploy.prototxt -o resnet50.html --phase TEST
      netforge draw solvers/siamese_digits.prototxt -o net.html --weights siamese_digits_iter_1000.caffemodel
    """
    kind = out.suffix.lower()
    if kind not in ENDINGS:
        raise click.BadParameter(f'"{out}" ends in none of {NAMED}.', param_hint="-o")
    if weights is not None and kind != ".html":
        raise click.UsageError("--weights are shown by .html only.")
    with chosen.plan(weights=weights) as net:
        shown = write_drawing(net, out, direction, scale, dark)
    if not is_quiet():
        click.echo(f"{out}: {shown}")


def write_drawing(net: Net, out: Path, direction: Direction, scale: float, dark: bool) -> str:
    """Draw a net into a file; what came of it, in words."""
    from netforge.errors import counted
    from netforge.inspect import draw as draw_net
    from netforge.inspect.page import write_page

    kind = out.suffix.lower()
    words = f"{counted(len(net.layers), 'layer')}, phase {net.phase}"
    if kind == ".png":
        image = draw_net(net, "png", direction=direction, scale=scale, dark=dark)
        save_png(out, image)
        return f"{words}, {image.width} x {image.height} pixels"
    write_page(out, draw_net(net, "html" if kind == ".html" else "svg", direction=direction))
    return words
