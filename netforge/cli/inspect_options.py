"""What the commands of `netforge inspect` share: where their pages and pictures go."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netforge.cli.options import check_target

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Targets:
    """The files to write: a page, a picture; None for one that is not wanted."""

    html: Path | None
    png: Path | None

    def or_default(self, stem: str) -> Targets:
        """Where neither was named, STEM.html, in the current folder or where the stem says."""
        return self if self.html or self.png else Targets(Path(f"{stem}.html"), None)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """--html and --png; the command gets them as `targets`. A file that cannot be made is named before the work."""

    @functools.wraps(command)
    def run(*arguments: Any, html_file: Path | None, png_file: Path | None, **options: Any) -> None:
        for file in (html_file, png_file):
            check_target(file)
        command(*arguments, targets=Targets(html_file, png_file), **options)

    kind = click.Path(path_type=Path, dir_okay=False)
    run = click.option("--png", "png_file", type=kind, metavar="FILE", help="Draw a picture.")(run)
    return click.option(
        "--html",
        "html_file",
        type=kind,
        metavar="FILE",
        help="Write a page; by default one, named after what is shown, unless --png is given.",
    )(run)


def write_html(path: Path | None, make: Callable[[], str]) -> None:
    """Make and write a page, where one is wanted, and say where."""
    if path is not None:
        from netforge.inspect.page import write_page

        write_page(path, make())
        click.echo(f"page: {path}")


def write_png(path: Path | None, make: Callable[[], Image]) -> None:
    """Draw and write a picture, where one is wanted, and say where; raises DataError where the disk refuses."""
    if path is None:
        return
    from netforge.errors import DataError

    try:
        make().save(path, format="PNG")
    except OSError as error:
        raise DataError(f"the picture cannot be written: {error.strerror or error}", where=str(path)) from error
    click.echo(f"picture: {path}")
