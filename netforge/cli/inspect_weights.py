"""`netforge inspect weights`: the weights of a net as pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.inspect_options import write_html
from netforge.cli.options import CaffeCommand, check_target, output_options
from netforge.cli.recognition import NetOptions, open_embedder, trained_net_options

if TYPE_CHECKING:
    from netforge.inspect.weights import WeightPicture


@click.command("weights", cls=CaffeCommand)
@trained_net_options
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page; by default one, named after the weights, unless --png is given.",
)
@click.option(
    "--png",
    "png_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a picture of each weight into a folder.",
)
@output_options
def weights(trained: NetOptions, html_file: Path | None, png_folder: Path | None) -> None:
    """Show weights: filters as pictures, matrices as heat maps, histograms.

    --layer shows one layer.
    """
    from dataclasses import replace

    from netforge.inspect.weights import weight_pictures, weights_page

    check_target(html_file)
    with open_embedder(replace(trained, layer=None)) as embedder:
        shown = weight_pictures(embedder, trained.layer)
        name = embedder.net.name or "the net"
    if png_folder is not None:
        write_pictures(png_folder, shown)
    stem = re.sub(r"\.caffemodel(\.h5)?$", "", Path(trained.weights).name)
    target = html_file or (None if png_folder else Path(f"{stem}.weights.html"))
    write_html(target, lambda: weights_page(shown, name, Path(trained.weights).name))


def write_pictures(folder: Path, shown: list[WeightPicture]) -> None:
    """A PNG of each weight blob; characters that file names cannot have become hyphens."""
    from netforge.errors import DataError
    from netforge.inspect.pictures import png_bytes

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(shown):
            name = re.sub(r"[^\w.-]+", "-", f"{number:03d}-{one.layer}-{one.index}")
            (folder / f"{name}.png").write_bytes(png_bytes(one.picture))
    except OSError as error:
        raise DataError(f"the pictures cannot be written: {error.strerror}", where=str(folder)) from error
    click.echo(f"pictures: {len(shown)} in {folder}")
