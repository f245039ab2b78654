"""`netforge data show`: images of a source on one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from netforge.cli.data_options import database_option, where_option
from netforge.cli.options import FiniteRange, seed_option
from netforge.cli.screen import image_bar, one_line
from netforge.cli.targets import save_png, target_option

if TYPE_CHECKING:
    from PIL.Image import Image

    from netforge.data import Source
    from netforge.data.care.duplicates import Duplicates
    from netforge.data.sheets.sheet import Style
    from netforge.data.sources.image_set import ImageSet

MOST_NAMED = 10
COUNT = click.IntRange(1, 1000)


@click.command("show", short_help="Draw images on a contact sheet: by class, wrong answers, duplicates.")
@click.argument("source")
@target_option("-o", "--out", required=True, text="The PNG file to write.")
@where_option
@click.option(
    "--per-class", type=COUNT, metavar="N", default=12, show_default=True, help="Images of each class, pair or group."
)
@seed_option("Seed of the choice of images.")
@click.option("--ids", is_flag=True, help="Write below each image the id by which queries know it.")
@click.option("--tile", type=click.IntRange(8, 2000), metavar="N", help="Longer side of an image on the sheet, pixels.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What test-many --csv wrote: show what was wrong, class by class.",
)
@click.option("--confused", type=COUNT, metavar="N", help="Of --results, the N most frequent confusions.")
@click.option("--worst", type=COUNT, metavar="N", help="Of --results, the N images furthest from their own class.")
@click.option("--duplicates", is_flag=True, help="Show images that are the same, or nearly; different labels first.")
@click.option("--against", metavar="SOURCE", help="Only duplicates that this source shares with SOURCE.")
@click.option(
    "--near",
    type=FiniteRange(0, 50),
    default=4.0,
    show_default=True,
    metavar="X",
    help="How far duplicates may be apart: levels of 255 in the mean, at 16x16 pixels. 0: only the same pixels.",
)
@click.option(
    "--limit", type=COUNT, default=50, show_default=True, metavar="N", help="At most so many groups of duplicates."
)
@database_option
@click.pass_context
def show(
    ctx: click.Context,
    source: str,
    out: Path,
    where: str | None,
    per_class: int,
    seed: int,
    ids: bool,
    tile: int | None,
    results: Path | None,
    confused: int | None,
    worst: int | None,
    duplicates: bool,
    against: str | None,
    near: float,
    limit: int,
    database: Path | None,
) -> None:
    """Draw a contact sheet: some images of every class of SOURCE, what a net got wrong, or duplicates.

    SOURCE is a source of the image database, or the folder of an LMDB. The boxes of annotated images are drawn in.
    Numbers such as #12 are ids, as they stand in queries: --where "id in 12,40-44".

    Examples:

    \b
      netforge data show MNIST.training --out sheet.png
      netforge data show MNIST.training --out auto.png \\
          --where "auto and changed" --ids
      netforge data show MNIST.testing --out worst.png --results results.csv \\
          --worst 60
      netforge data show MNIST.testing --out seen.png --duplicates \\
          --against MNIST.training
    """
    from netforge.data import open_images

    check_usage(ctx, results=results, confused=confused, worst=worst, duplicates=duplicates, against=against)
    style = style_of(source, where if results is None else None, tile, database)
    sheet: Image | None
    if results is not None:
        sheet = draw_results(source, where, results, database, confused, worst, per_class, style)
    elif duplicates:
        images = open_images(source, where, database=database)
        sheet = draw_duplicates(images, against, database, near, limit, per_class, style)
    else:
        from netforge.data.sheets.sheet import contact_sheet

        images = open_images(source, where, database=database)
        heading = f"{source} where {where}" if where else source
        sheet = contact_sheet(images, per_class=per_class, seed=seed, with_ids=ids, heading=heading, style=style)
    if sheet is None:
        click.echo(f"there is nothing to draw: {out} was not written")
        return
    save_png(out, sheet)
    click.echo(f"{out}: {sheet.width} x {sheet.height} pixels")


def check_usage(
    ctx: click.Context,
    *,
    results: Path | None,
    confused: int | None,
    worst: int | None,
    duplicates: bool,
    against: str | None,
) -> None:
    """Raise for options that have no effect beside the others."""
    typed = ParameterSource.COMMANDLINE
    given = [f"--{name}" for name in ("near", "limit") if ctx.get_parameter_source(name) is typed]
    if results is None and (confused or worst):
        raise click.UsageError("--confused and --worst need --results FILE, which test-many --csv writes.")
    if confused and worst:
        raise click.UsageError("--confused and --worst are two sheets: give one of them.")
    if results is not None and duplicates:
        raise click.UsageError("--results and --duplicates are two sheets: give one of them.")
    if against == ctx.params["source"]:
        raise click.UsageError("--against takes another source; without it the duplicates within SOURCE are shown.")
    if not duplicates and (against or given):
        raise click.UsageError(f"{'--against' if against else given[0]} needs --duplicates.")


def style_of(source: str, where: str | None, side: int | None, database: Path | None) -> Style:
    """The size of tiles, and the boxes of the images that are meant, if they have any."""
    from netforge.data import ImageDatabase
    from netforge.data.sheets.sheet import Style

    with ImageDatabase(database) as images:
        if source not in images:
            return Style(side)
        boxes = images.boxes(source)
        if where is not None and len(boxes):
            boxes = boxes.of_images(images.indices(source, where))
    return Style(side, boxes if len(boxes) else None)


def draw_results(
    name: str,
    where: str | None,
    path: Path,
    database: Path | None,
    confused: int | None,
    worst: int | None,
    per_class: int,
    style: Style,
) -> Image:
    """The sheet of answers that --confused and --worst ask for, or of all that are wrong."""
    from netforge.data import open_images, open_source
    from netforge.data.sheets.mistakes import confused_sheet, worst_sheet, wrong_sheet
    from netforge.data.sheets.results import read_results
    from netforge.errors import counted

    source: Source = open_source(None, name, database=database)
    answers = read_results(path, source.name, source.count)
    if where is not None:
        meant = open_images(name, where, database=database)
        wanted = {meant.origin(k)[1] for k in range(meant.count)}
        answers = [answer for answer in answers if answer.image in wanted]
    labels = source.labels
    changed = sum(int(labels[answer.image]) != answer.label for answer in answers)
    if changed:
        click.echo(f"note: {counted(changed, 'image')} had another label when {path} was written", err=True)
    if confused is not None:
        return confused_sheet(source, answers, confused, per_class=per_class, style=style)
    if worst is not None:
        return worst_sheet(source, answers, worst, columns=per_class, style=style)
    return wrong_sheet(source, answers, per_class=per_class, style=style)


def draw_duplicates(
    images: ImageSet,
    against: str | None,
    database: Path | None,
    near: float,
    most: int,
    per_row: int,
    style: Style,
) -> Image | None:
    """Find duplicates and say what was found; None where there are none."""
    from netforge.data import open_source
    from netforge.data.care.duplicates import find_duplicates
    from netforge.data.sheets.duplicates import duplicate_sheet
    from netforge.data.sources.image_set import ImageSet

    split = None
    if against is not None:
        split = images.count
        images = ImageSet([images, open_source(None, against, database=database)])
        style = replace(style, boxes=None)  # those are of one source only
    with image_bar(images.count) as progress:
        found = find_duplicates(images, near=near, split=split, progress=progress)
    for line in duplicate_lines(images, found):
        click.echo(line)
    if len(found) > most:
        click.echo(f"the first {most:,} groups are drawn; --limit draws more")
    return duplicate_sheet(images, found[:most], per_row=per_row, style=style) if found else None


def duplicate_lines(images: ImageSet, found: list[Duplicates]) -> list[str]:
    """How many groups there are, and the first of those with different labels."""
    import numpy as np

    from netforge.errors import counted

    lines = []
    for same, words in ((True, "the same pixels"), (False, "nearly the same pixels")):
        groups = [group for group in found if group.same == same]
        conflicting = sum(group.conflicting for group in groups)
        held = counted(sum(len(group.images) for group in groups), "image")
        lines.append(f"{words}: {counted(len(groups), 'group')} of {held}, {conflicting:,} with different labels")
    conflicts = [group for group in found if group.conflicting]
    for group in conflicts[:MOST_NAMED]:
        names = [
            f"{images.origin(n)[0]} #{images.ids(np.array([n]))[0]} {images.class_name(label)}"
            for n, label in zip(group.images[:MOST_NAMED], group.labels, strict=False)
        ]
        lines.append(one_line(f"different labels: {', '.join(names)}"))
    return lines
