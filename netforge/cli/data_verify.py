"""`netforge data verify`: whether stored images are whole."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_options import database_option
from netforge.cli.screen import image_bar


@click.command("verify", short_help="Check that stored images and labels are whole.")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@database_option
@click.pass_context
def verify(ctx: click.Context, sources: tuple[str, ...], database: Path | None) -> None:
    """Check that stored images and labels are whole; change nothing.

    SOURCE is a source of the image database, or the folder of an LMDB. Without one the whole image database is checked:
    its file, the digests of pixels and labels, counts and positions, means, boxes, the history of labels, rows that
    belong to nothing, and the cache beside it. Of an LMDB, every record is decoded.

    There is a line for each thing that is found, with what to do about it; lines that begin with "note:" tell of what
    does no harm. The exit status is 1 where something is wrong, otherwise 0.
    """
    from netforge.cli.screen import one_line
    from netforge.data import ImageDatabase, verify_images
    from netforge.errors import counted

    wrong = count = 0

    def advance(images: int) -> None:
        nonlocal count
        count += images
        show(images)

    with ImageDatabase(database) as images, image_bar() as show:
        for finding in verify_images(images, sources, progress=advance):
            wrong += not finding.harmless
            click.echo(one_line(f"note: {finding}" if finding.harmless else str(finding)))
        checked = ", ".join(sources) or str(images.path)
        if not sources and not images.path.exists():
            click.echo(f"{checked}: there is no image database yet")
            return
    result = f"{counted(wrong, 'thing')} {'is' if wrong == 1 else 'are'} wrong" if wrong else "all is well"
    click.echo(f"{checked}: {counted(count, 'image')} checked, {result}")
    if wrong:
        ctx.exit(1)
