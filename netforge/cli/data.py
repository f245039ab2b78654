"""`netforge data`: import, list and look at image data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def database_option(command: F) -> F:
    """--database."""
    return click.option(
        "--database",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File of the image database; by default the user's own, $NETFORGE_HOME/images.db.",
    )(command)


@click.group()
def data() -> None:
    """Import, list and look at image data.

    Sources of the image database are what `backend: IMAGEDB` reads: a Data layer names one in `source`.
    """


@data.group("import")
def import_group() -> None:
    """Bring a data set into the image database."""


@import_group.command("mnist", short_help="Import the IDX files of MNIST, USPS, Fashion-MNIST.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="MNIST", show_default=True, help="Makes the sources NAME.training and NAME.testing.")
@click.option("--replace", is_flag=True, help="Replace sources of these names.")
@click.option(
    "--channels",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="3 repeats the grey image in three channels.",
)
@database_option
def import_mnist(folder: Path, name: str, replace: bool, channels: str, database: Path | None) -> None:
    """Import the four IDX files of MNIST, USPS, Fashion-MNIST and the like.

    FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k- files, plain or gzipped.
    """
    from netforge.cli.screen import shape_text
    from netforge.data import ImageDatabase
    from netforge.data import import_mnist as import_files

    with ImageDatabase(database) as images:
        for info in import_files(images, folder, name=name, channels=int(channels), replace=replace):
            click.echo(f"{info.name}: {info.count:,} images, {shape_text(info.shape)}")


@data.command("list")
@database_option
def list_sources(database: Path | None) -> None:
    """List the sources of the image database."""
    from netforge.cli.screen import console, on_terminal, print_columns, shape_text, table
    from netforge.data import ImageDatabase
    from netforge.data.builtin import BUILTIN_NAMES

    headings = ("source", "images", "shape", "classes", "imported")
    with ImageDatabase(database) as images:
        infos = images.sources()
        rows = [
            (i.name, f"{i.count:,}", shape_text(i.shape), str(len(images.class_names(i)) or "-"), i.created[:10])
            for i in infos
        ]
    present = {info.name for info in infos}
    rows += [(name, "-", "-", "-", "at first use") for name in BUILTIN_NAMES if name not in present]
    if not on_terminal():
        print_columns([headings, *rows], right=(1, 3))
        return
    shown = table(*headings, right=("images", "classes"))
    for row in rows:
        shown.add_row(*row)
    console().print(shown)


@data.command("show")
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The PNG file to write.")
@click.option(
    "--per-class",
    type=click.IntRange(1, 1000),
    metavar="N",
    default=12,
    show_default=True,
    help="Images of each class.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Which images are chosen.")
@database_option
def show(source: str, out: Path, per_class: int, seed: int, database: Path | None) -> None:
    """Draw a contact sheet: some images of every class of SOURCE.

    SOURCE is a source of the image database, or the folder of an LMDB.
    """
    from netforge.data import open_source
    from netforge.data.sheet import contact_sheet

    sheet = contact_sheet(open_source(None, source, database=database), per_class=per_class, seed=seed)
    sheet.save(out, format="PNG")
    click.echo(f"{out}: {sheet.width} x {sheet.height} pixels")
