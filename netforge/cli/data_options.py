"""What the commands that fill the image database share: options, the bar, and the lines that say what was made."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netforge.cli.options import FiniteRange, seed_option

if TYPE_CHECKING:
    from netforge.data.store.drafts import Stored
    from netforge.errors import DataError

LARGEST_SIDE = 16_384
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def database_option(command: F) -> F:
    """--database."""
    return click.option(
        "--database",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File of the image database; by default the user's own, $NETFORGE_HOME/images.db.",
    )(command)


def where_option(command: F) -> F:
    """--where."""
    return click.option(
        "--where", metavar="QUERY", help='Only images that meet a query: "label = 3 and auto"; see data relabel.'
    )(command)


def labels_option(command: F) -> F:
    """--labels."""
    return click.option("--labels", metavar="LABELS", help='Only images with these labels: "0-7", "0-4,9".')(command)


@dataclass(frozen=True)
class Making:
    """What `making_options` give a command that makes sources: how they come into which image database."""

    replace: bool
    dry_run: bool
    database: Path | None

    def run(self, importer: Callable[..., T], *what: object, **options: object) -> T:
        """Give the image database to an importer of `netforge.data`, with a bar over the images."""
        from netforge.cli.screen import image_bar
        from netforge.data import ImageDatabase

        with ImageDatabase(self.database) as images, image_bar() as advance:
            return importer(images, *what, replace=self.replace, dry_run=self.dry_run, progress=advance, **options)

    def report(self, sources: Iterable[Stored], unreadable: Iterable[DataError] = ()) -> None:
        """A line for each picture that could not be read, and for each source that was made, or that would be."""
        import numpy as np

        from netforge.cli.screen import one_line, shape_text
        from netforge.errors import counted

        for error in unreadable:
            click.echo(f"left out: {one_line(f'{error.where}: {error.found}')}")
        for source in sources:
            sizes = np.unique(source.labels, return_counts=True)[1]
            each = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
            kind = f"{shape_text(source.shape)}, {counted(len(sizes), 'class', 'classes')}"
            click.echo(f"{source.name}: {counted(source.count, 'image')}, {kind} of {each}")
        if self.dry_run:
            click.echo("Dry run: nothing was changed.")


def making_options(command: Callable[..., None]) -> Callable[..., None]:
    """--replace, --dry-run and --database, of every command that makes sources; the command gets them as `making`."""

    @functools.wraps(command)
    def run(*arguments: Any, replace: bool, dry_run: bool, database: Path | None, **options: Any) -> None:
        command(*arguments, making=Making(replace, dry_run, database), **options)

    run = database_option(run)
    run = click.option("--dry-run", is_flag=True, help="Read and check everything, but change nothing.")(run)
    return click.option("--replace", is_flag=True, help="Replace sources of these names.")(run)


def mean_option(command: F) -> F:
    """--mean-of."""
    return click.option(
        "--mean-of",
        metavar="SOURCE",
        help="Store the mean image of this source, of the training images, in the place of the new one's own.",
    )(command)


def testing_options(command: F) -> F:
    """--testing and --seed, which split a set."""
    command = seed_option("Seed of the choice that --testing makes.")(command)
    return click.option(
        "--testing",
        type=FiniteRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Put this share of each class into NAME.testing, and the others into NAME.training.",
    )(command)


def size_option(command: F) -> F:
    """--size, as (height, width)."""
    return size_option_of(None)(command)


def size_option_of(default: str | None) -> Callable[[F], F]:
    """--size, as (height, width), with a default."""
    return click.option(
        "--size",
        metavar="HEIGHTxWIDTH",
        default=default,
        show_default=default is not None,
        callback=_parsed_size,
        help="Bring the images to this size, such as 56x46.",
    )


def _parsed_size(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    height, width = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise click.BadParameter(f'"{text}" is no size; write HEIGHTxWIDTH in pixels, such as 56x46.')
    return height, width


def fit_option(command: F) -> F:
    """--fit."""
    return click.option(
        "--fit",
        type=click.Choice(["stretch", "crop", "pad"]),
        default="stretch",
        show_default=True,
        help="Where a picture has another shape than --size: stretch it, crop two sides, or pad them with black.",
    )(command)


def skip_option(command: F) -> F:
    """--skip-unreadable."""
    return click.option(
        "--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read, and name them."
    )(command)
