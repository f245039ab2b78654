"""Files that commands write: the options that name them, and writing them whole, with a line that says where."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netforge.atomic import write_whole
from netforge.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

F = TypeVar("F", bound=Callable[..., Any])


class TargetFile(click.Path):
    """A file to write. One that cannot be made or replaced is named before the work, not after it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, `checked`."""
        return checked(Path(str(super().convert(value, param, ctx))))


def checked(path: Path) -> Path:
    """The path of a file to write; raises DataError where its folder is not there, or the user may not write."""
    if not path.parent.is_dir():
        raise DataError("its folder does not exist", where=str(path), mend="make the folder, or correct the path")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError("you may not write here", where=str(path), mend="change the rights, or name another file")
    return path


def target_option(*names: str, text: str, required: bool = False) -> Callable[[F], F]:
    """An option that names a file to write; text: its help."""
    return click.option(*names, type=TargetFile(), metavar="FILE", required=required, help=text)


@dataclass(frozen=True)
class Targets:
    """The files to write: a page, a picture; None for one that is not wanted."""

    html: Path | None
    png: Path | None

    def or_default(self, stem: str) -> Targets:
        """Where neither was named, STEM.html, in the current folder or where the stem says; ask before the work."""
        return self if self.html or self.png else Targets(checked(Path(f"{stem}.html")), None)


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """--html and --png; the command gets them as `targets`."""

    @functools.wraps(command)
    def run(*arguments: Any, html_file: Path | None, png_file: Path | None, **options: Any) -> None:
        command(*arguments, targets=Targets(html_file, png_file), **options)

    run = target_option("--png", "png_file", text="Draw a picture.")(run)
    text = "Write a page; by default one, named after what is shown, unless --png is given."
    return target_option("--html", "html_file", text=text)(run)


def write_html(path: Path | None, make: Callable[[], str]) -> None:
    """Make and write a page, where one is wanted, and say where."""
    if path is not None:
        from netforge.inspect.page import write_page

        click.echo(f"page: {write_page(path, make())}")


def write_png(path: Path | None, make: Callable[[], Image], word: str = "picture") -> None:
    """Draw and write a picture, where one is wanted, and say where; raises DataError where the disk refuses."""
    if path is not None:
        click.echo(f"{word}: {save_png(path, make())}")


def save_png(path: Path, image: Image) -> Path:
    """Write a picture; gives its path. Raises DataError where the disk refuses."""
    return write_whole(path, lambda partial: image.save(partial, format="PNG"), what="the picture")


def write_json(path: Path | None, make: Callable[[], object], word: str) -> None:
    """Write numbers as JSON, where they are wanted, and say where; raises DataError where the disk refuses."""
    if path is not None:
        text = json.dumps(make(), indent=2) + "\n"
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
        click.echo(f"{word}: {path}")
