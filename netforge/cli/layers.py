"""`netforge layers`: the layer types, and all about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.examples import example
from netforge.cli.layer_pages import (
    SETTING_COLUMNS,
    first_line,
    foreign_origin,
    layer_page,
    layers_page,
    setting_blocks,
    setting_row,
    slot_lines,
    traits,
    whole_docstring,
)
from netforge.cli.options import CaffeCommand, load_plugins, plugin_option, verbose_option
from netforge.cli.screen import console, on_terminal, print_columns, styled, table
from netforge.errors import UnknownNameError

if TYPE_CHECKING:
    from netforge.layers.base import Layer


@click.command(cls=CaffeCommand)
@click.argument("type_name", metavar="[TYPE]", required=False)
@click.option("--markdown", is_flag=True, help="Print the reference of all types (or of TYPE) as Markdown.")
@plugin_option
@verbose_option
def layers(type_name: str | None, markdown: bool, plugins: tuple[str, ...]) -> None:
    """List the layer types with one line each, or explain TYPE: bottoms, tops, settings, an example.

    Layers of installed plugins are listed with the module they come from; --plugin adds a module that is not installed.
    """
    import netforge.layers  # noqa: F401 (registers the built-in layers)
    from netforge.layers.base import LAYERS
    from netforge.registry import load_entry_points

    load_entry_points()
    load_plugins(plugins)
    try:
        types = [LAYERS[type_name]] if type_name else [LAYERS[name] for name in LAYERS]
    except UnknownNameError as error:
        error.mend = error.mend or "`netforge layers` lists all types; --plugin adds those of a module of yours"
        raise
    if type_name:
        show_type(types[0], markdown=markdown)
    elif markdown:
        click.echo(layers_page(types), nl=False)
    else:
        show_types(types)


def show_types(types: list[type[Layer]]) -> None:
    """One line per type."""
    rows = [(cls.type, first_line(cls), foreign_origin(cls)) for cls in types]
    if not on_terminal():
        print_columns(rows)
        return
    shown = table("type", "what it does", *(["from"] if any(row[2] for row in rows) else []))
    shown.columns[1].no_wrap, shown.columns[1].overflow = True, "ellipsis"
    for name, line, module in rows:
        shown.add_row(styled((name, "bold cyan")), styled(line), *([module] if len(shown.columns) == 3 else []))
    screen = console()
    screen.print(shown)
    screen.print(styled(("\nnetforge layers TYPE explains one of them.", "dim")))


def show_type(cls: type[Layer], *, markdown: bool) -> None:
    """Everything about one type: for the eye, or as Markdown where that is asked for or nobody looks."""
    from netforge.schema import describe_settings

    if markdown or not on_terminal():
        click.echo(layer_page(cls), nl=False)
        return
    screen = console()
    screen.print(styled((cls.type, "bold cyan"), (f"  {cls.__module__}\n", "dim")))
    for paragraph in whole_docstring(cls).split("\n\n"):
        screen.print(styled(reflow(paragraph), "\n"))
    for heading, blobs in (("bottoms", cls.bottoms), ("tops", cls.tops)):
        screen.print(styled((heading, "bold"), (f"  {blobs}", "dim")))
        for line in slot_lines(blobs):
            screen.print(styled(f"  {line}"))
        screen.print()
    if traits(cls):
        screen.print(styled((traits(cls), "dim"), "\n"))
    for block in setting_blocks(cls):
        screen.print(styled((block, "bold"), " { ... }\n"))
        shown = table(*SETTING_COLUMNS)
        shown.columns[SETTING_COLUMNS.index("range")].max_width = 24
        for row in map(setting_row, describe_settings(block)):
            shown.add_row(styled((row[0], "cyan")), *map(styled, row[1:]))
        screen.print(shown)
        screen.print()
    screen.print(styled(("example\n", "bold")))
    screen.print(styled(example(cls)))


def reflow(paragraph: str) -> str:
    """A paragraph in one line, for the terminal to wrap; formulas and lists, which are indented, stay as they are."""
    lines = paragraph.splitlines()
    return paragraph if any(line[:1] in (" ", "-") for line in lines[1:]) else " ".join(lines)
