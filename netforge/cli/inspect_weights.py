"""`netforge inspect weights`: the weights of a net as pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.options import CaffeCommand, load_plugins, output_options, plugin_option
from netforge.cli.recognition import check_named, net_file_options, note, run_argument, trained_files
from netforge.cli.targets import checked, target_option, write_html

if TYPE_CHECKING:
    from netforge.inspect.weights import WeightPicture


@click.command("weights", cls=CaffeCommand)
@run_argument
@net_file_options
@click.option("--layer", metavar="NAME", help="Show one layer; by default all that have weights.")
@plugin_option
@target_option(
    "--html", "html_file", text="Write a page; by default one, named after the weights, unless --png-folder is given."
)
@click.option(
    "--png-folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a picture of each weight into a folder.",
)
@output_options
def weights(
    run: str | None,
    model: str | None,
    weights: str | None,
    layer: str | None,
    plugins: tuple[str, ...],
    html_file: Path | None,
    png_folder: Path | None,
) -> None:
    """Show weights: filters as pictures, matrices as heat maps, histograms.

    RUN is a run whose net and newest weights are taken (its folder, its log or the prefix of its snapshots); or give
    --model and --weights.

    The net may be of any kind, and its weights NaN or infinite. Weights that towers share are shown once.
    """
    from netforge.inspect.weights import weight_pictures, weights_page

    load_plugins(plugins)
    check_named(run, model, weights)
    definition, weights_file = trained_files(run, model, weights, "TRAIN")
    stem = re.sub(r"\.caffemodel(\.h5)?$", "", Path(weights_file).name)
    target = html_file or (None if png_folder else checked(Path(f"{stem}.weights.html")))
    shown, absent = weight_pictures(definition, weights_file, layer)
    name = definition.name or "the net"
    if absent:
        note(f"{weights_file} holds no weights for {', '.join(absent)}.")
    if png_folder is not None:
        write_pictures(png_folder, shown)
    write_html(target, lambda: weights_page(shown, name, Path(weights_file).name))


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
