"""`netforge data export`: images of the database as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.data_options import database_option, where_option
from netforge.cli.screen import image_bar

if TYPE_CHECKING:
    from netforge.data.care.export import Form


@click.command("export", short_help="Write images as an LMDB, as PNG files or as IDX files.")
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["lmdb", "images", "idx"]), required=True, help="What OUT will hold."
)
@where_option
@click.option("--gzip", "zipped", is_flag=True, help="Compress IDX files.")
@click.option("--replace", is_flag=True, help="Replace a former export; a folder with anything else in it stays.")
@database_option
def export(
    source: str,
    out: Path,
    form: Form,
    where: str | None,
    zipped: bool,
    replace: bool,
    database: Path | None,
) -> None:
    """Write the images of SOURCE, those in use, into a new folder OUT.

    SOURCE is a source of the image database, or NAME for NAME.training and NAME.testing together, or the folder of an
    LMDB.

    \b
    lmdb    an LMDB of Datum records as Caffe's tools write it, colour in the
            order B, G, R
    images  a folder for each class with a PNG file for each image, and
            index.csv: file, id, label, original label, auto mark, group, origin
            and class; "data import images OUT/index.csv" reads it back
    idx     the files of MNIST: grey images of bytes, labels from 0 to 255

    OUT appears when it is whole; an export that was killed leaves a folder whose name ends with .part.

    Examples:

    \b
      netforge data export MNIST.training mnist_train_lmdb --format lmdb
      netforge data export MNIST auto3 --format images \\
          --where "label = 3 and auto"
      netforge data export MNIST mnist --format idx --gzip
    """
    from netforge.cli.screen import one_line
    from netforge.data import ImageDatabase, export_images
    from netforge.errors import counted

    if zipped and form != "idx":
        raise click.UsageError("--gzip goes with --format idx.")
    with ImageDatabase(database) as images, image_bar() as advance:
        done = export_images(images, source, form, out, where=where, zipped=zipped, replace=replace, progress=advance)
    for part in done:
        click.echo(one_line(f"{part.source}: {counted(part.count, 'image')} written to {part.folder}"))
