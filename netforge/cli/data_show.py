"""`netforge data show`: images of a source on one picture."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_options import database_option


@click.command("show", short_help="Draw images on a contact sheet.")
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The PNG file to write.")
@click.option("--where", metavar="QUERY", help='Only images that meet a query: "label = 3 and auto".')
@click.option(
    "--per-class",
    type=click.IntRange(1, 1000),
    metavar="N",
    default=12,
    show_default=True,
    help="Images of each class.",
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Which images are chosen.")
@click.option("--ids", is_flag=True, help="Write below each image the id by which queries know it.")
@click.option("--tile", type=click.IntRange(8, 2000), metavar="N", help="Longer side of an image on the sheet.")
@database_option
def show(
    source: str,
    out: Path,
    where: str | None,
    per_class: int,
    seed: int,
    ids: bool,
    tile: int | None,
    database: Path | None,
) -> None:
    """Draw a contact sheet: some images of every class of SOURCE.

    SOURCE is a source of the image database, or the folder of an LMDB.
    """
    from netforge.data import ImageDatabase
    from netforge.data.opening import open_images
    from netforge.data.sheet import contact_sheet
    from netforge.data.sheet_boxes import Boxes

    images = open_images(source, where, database=database)
    with ImageDatabase(database) as opened:
        boxes = Boxes(opened, opened.find(source)) if source in opened else None
    sheet = contact_sheet(images, per_class=per_class, seed=seed, with_ids=ids, boxes=boxes, side=tile)
    sheet.save(out, format="PNG")
    click.echo(f"{out}: {sheet.width} x {sheet.height} pixels")
