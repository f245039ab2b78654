"""`netforge data import images`: pictures in folders and archives, or named by lists and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from netforge.cli.data_options import (
    Making,
    fit_option,
    making_options,
    mean_option,
    size_option,
    skip_option,
    testing_options,
)


@click.command("images", short_help="Import pictures: folders by class, an archive, a list, a CSV file.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the source, or the part before .training and .testing.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", show_default=True, help="1: grey. 3: colour.")
@size_option
@fit_option
@testing_options
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder or archive in which the paths of a list start; by default the list's folder.",
)
@click.option("--file-column", metavar="NAME", help="Column of a CSV file with the paths.")
@click.option("--label-column", metavar="NAME", help="Column with the labels: whole numbers, or texts.")
@click.option("--class-column", metavar="NAME", help="Column with the names of the classes.")
@click.option("--group-column", metavar="NAME", help="Column with what else images share, such as who drew them.")
@skip_option
@mean_option
@making_options
def import_images(
    source: Path,
    name: str,
    channels: str,
    size: tuple[int, int] | None,
    fit: Literal["stretch", "crop", "pad"],
    testing: float | None,
    seed: int,
    root: Path | None,
    file_column: str | None,
    label_column: str | None,
    class_column: str | None,
    group_column: str | None,
    skip_unreadable: bool,
    mean_of: str | None,
    making: Making,
) -> None:
    """Import the pictures that SOURCE holds or names.

    \b
    SOURCE is one of
      a folder that has one sub-folder for each class, named after it;
      a folder with sub-folders train and test (or training, testing, val) that
        have those: makes NAME.training and NAME.testing;
      an archive of such a folder: .zip, .tar, .tar.gz;
      a list, each line a path and a label, as Caffe's convert_imageset takes;
      a CSV file with a header.

    Sub-folders in the order of their names are the classes 0, 1, ...; so are labels of a CSV file that are texts. Its
    columns are found by their names: file, path or image; label or target; class; group; or as the options say.
    Hidden files, and files in folders that do not end as pictures do, are left alone.

    Examples:

    \b
      netforge data import images flowers --name flowers --size 64x64 --fit crop \\
          --testing 0.2
      netforge data import images train.txt --root pictures.zip --name pets \\
          --size 227x227
    """
    from netforge.data import Columns, PictureForm
    from netforge.data import import_images as import_pictures

    columns = Columns(file_column, label_column, class_column, group_column)
    done = making.run(
        import_pictures,
        source,
        name=name,
        form=PictureForm(int(channels), size, fit),
        root=root,
        columns=None if columns == Columns() else columns,
        testing=testing or 0.0,
        seed=seed,
        skip_unreadable=skip_unreadable,
        mean_of=mean_of,
    )
    making.report(done.sources, done.unreadable)
