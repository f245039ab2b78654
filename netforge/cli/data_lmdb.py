"""`netforge data import lmdb`: Caffe's databases of Datum records."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from netforge.cli.data_options import Making, making_options, mean_option, size_option


@click.command("lmdb", short_help="Import an LMDB of Caffe's Datum records.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the source.")
@click.option(
    "--color-order",
    type=click.Choice(["BGR", "RGB"]),
    default="BGR",
    show_default=True,
    help="Order of the channels in the records; it is kept. Caffe's tools write BGR.",
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="1: make all grey. 3: make all colour.")
@size_option
@click.option(
    "--mean-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Store the mean image in this .binaryproto, of compute_image_mean, in the place of the new one's own.",
)
@mean_option
@click.option("--skip-unreadable", is_flag=True, help="Leave out records that are damaged, and name them.")
@making_options
def import_lmdb(
    folder: Path,
    name: str,
    color_order: Literal["BGR", "RGB"],
    channels: str | None,
    size: tuple[int, int] | None,
    mean_file: Path | None,
    mean_of: str | None,
    skip_unreadable: bool,
    making: Making,
) -> None:
    """Import the LMDB in FOLDER: Datum records of bytes, floats or encoded images, as convert_imageset writes them.

    Images come in the order of their keys, which become their origins.

    Examples:

    \b
      netforge data import lmdb cifar10_train_lmdb --name cifar.training \\
          --mean-file mean.binaryproto
      netforge data import lmdb cifar10_test_lmdb --name cifar.testing \\
          --mean-of cifar.training
    """
    from netforge.data import LmdbForm
    from netforge.data import import_lmdb as import_records

    form = LmdbForm(color_order, None if channels is None else int(channels), size)
    done = making.run(
        import_records,
        folder,
        name=name,
        form=form,
        mean=mean_file,
        mean_of=mean_of,
        skip_unreadable=skip_unreadable,
    )
    making.report([done.source], done.unreadable)
