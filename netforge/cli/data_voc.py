"""`netforge data import voc0712`: PASCAL VOC 2007 and 2012 with their boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from netforge.cli.data_options import Making, fit_option, making_options, size_option_of, skip_option


@click.command("voc0712", short_help="Import PASCAL VOC 2007 and 2012 with boxes.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--name", default="VOC0712", show_default=True, help="Makes the sources NAME.training and NAME.testing.")
@size_option_of("300x300")
@fit_option
@click.option("--year", type=click.Choice(["2007", "2012"]), help="Import this year alone; 2012 has no testing part.")
@skip_option
@making_options
def import_voc0712(
    paths: tuple[Path, ...],
    name: str,
    size: tuple[int, int],
    fit: Literal["stretch", "crop", "pad"],
    year: str | None,
    skip_unreadable: bool,
    making: Making,
) -> None:
    """Import PASCAL VOC 2007 and 2012: images, boxes, and which of them are difficult.

    PATH is an archive as it is distributed, or a folder made of it: VOCdevkit, one around it, or VOC2007 and VOC2012.
    NAME.training takes the trainval parts of both years, NAME.testing the test part of 2007.

    Boxes are kept in shares of the image's sides and move with its pixels; with --fit crop, those whose centre is cut
    off are dropped, and others cut. Labels are 1 aeroplane to 20 tvmonitor, and 0 is the background. The label of an
    image is the class of its largest box.

    All images together take 5.8 GB at 300x300, and as much again in the cache once they are read.

    Example:

    \b
      netforge data import voc0712 VOCtrainval_06-Nov-2007.tar \\
          VOCtest_06-Nov-2007.tar VOCtrainval_11-May-2012.tar
    """
    from netforge.data import PictureForm
    from netforge.data import import_voc0712 as import_archives

    done = making.run(
        import_archives,
        paths,
        name=name,
        form=PictureForm(3, size, fit),
        year=None if year is None else int(year),
        skip_unreadable=skip_unreadable,
    )
    making.report(done.sources, done.unreadable)
