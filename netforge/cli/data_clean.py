"""`netforge data clean` and `netforge data remove`: taking away what nobody needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.data_options import database_option

if TYPE_CHECKING:
    from netforge.data.care.clean import Waste


@click.command("clean", short_help="Remove what nothing needs any more; shows it first.")
@click.option("--apply", is_flag=True, help="Remove it; without this option it is only shown.")
@database_option
def clean(apply: bool, database: Path | None) -> None:
    """Show what nothing in the image database needs any more, and with --apply remove it.

    That is: rows of sources that are gone, with their pixels, labels, means and label queries; files of the cache
    that no source needs, or that a killed process was writing; and free pages, where they are 1 % of the file or more:
    then the file is written anew, which takes time and room on the disk. No image of a source is touched.
    """
    from netforge.cli.screen import bytes_text
    from netforge.data import ImageDatabase, clean_database

    total = count = 0
    with ImageDatabase(database) as images:
        for waste in clean_database(images, dry_run=not apply):
            _show(waste)
            total, count = total + waste.size, count + 1
        path = images.path
    if not count:
        click.echo(f"{path}: there is nothing to remove")
    elif apply:
        click.echo(f"{path}: removed, {bytes_text(total)}")
    else:
        click.echo(f"Nothing was removed. To remove this, {bytes_text(total)} or more: netforge data clean --apply")


@click.command("remove", short_help="Remove sources from the image database.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, but change nothing.")
@database_option
def remove(sources: tuple[str, ...], dry_run: bool, database: Path | None) -> None:
    """Remove sources from the image database: images, labels and their history, means and label queries.

    All go at once or, after an error, none. The file keeps its size, and new images use the space;
    "netforge data clean --apply" gives it back to the disk.
    """
    from netforge.data import ImageDatabase, remove_sources

    with ImageDatabase(database) as images:
        for waste in remove_sources(images, sources, dry_run=dry_run):
            _show(waste)
    if dry_run:
        click.echo("Dry run: nothing was changed.")


def _show(waste: Waste) -> None:
    from netforge.cli.screen import bytes_text

    click.echo(f"{waste.what}, {bytes_text(waste.size)}" if waste.size else waste.what)
