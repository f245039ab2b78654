"""`netforge layers`: the layer types, and all about one of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from netforge.cli.examples import example
from netforge.cli.options import CaffeCommand, load_plugins, plugin_option, verbose_option
from netforge.cli.screen import console, on_terminal, print_columns, styled, table
from netforge.errors import UnknownNameError

if TYPE_CHECKING:
    from netforge.layers.base import Layer, Slots

BLOCK_NAMES = {"FillerParameter": "filler", "BlobShape": "shape"}
SETTING_COLUMNS = ("setting", "type", "default", "range", "meaning")


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
    if markdown:
        click.echo("\n".join(markdown_page(cls) for cls in types), nl=False)
    elif type_name:
        show_type(types[0])
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


def show_type(cls: type[Layer]) -> None:
    """Everything about one type, for the eye or as plain text."""
    if not on_terminal():
        click.echo(markdown_page(cls), nl=False)
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
        for row in setting_rows(block):
            shown.add_row(styled((row[0], "cyan")), *map(styled, row[1:]))
        screen.print(shown)
        screen.print()
    screen.print(styled(("example\n", "bold")))
    screen.print(styled(example(cls)))


def markdown_page(cls: type[Layer]) -> str:
    """The reference of one type as Markdown."""
    parts = [f"## {cls.type}", "", whole_docstring(cls), ""]
    for heading, blobs in (("Bottoms", cls.bottoms), ("Tops", cls.tops)):
        parts += [f"{heading}, {blobs}:", "", *(f"- {line}" for line in slot_lines(blobs)), ""]
    if traits(cls):
        parts += [traits(cls), ""]
    for block in setting_blocks(cls):
        parts += [
            f"`{block} {{ ... }}`",
            "",
            "| " + " | ".join(SETTING_COLUMNS) + " |",
            "|---" * len(SETTING_COLUMNS) + "|",
        ]
        parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in setting_rows(block)]
        parts += [""]
    parts += ["```", example(cls), "```", ""]
    return "\n".join(parts) + "\n"


def setting_blocks(cls: type[Layer]) -> list[str]:
    """The fields of LayerParameter that the type reads."""
    return [name for name in (cls.settings_field, *cls.also_reads) if name]


def setting_rows(block: str) -> list[tuple[str, ...]]:
    """Name, type, default, range and meaning of each setting in a block, as text."""
    from netforge.schema import describe_settings

    rows: list[tuple[str, ...]] = []
    for one in describe_settings(block):
        kind = BLOCK_NAMES.get(one.type, "block" if one.type[0].isupper() else one.type)
        kind = f"{kind}, repeated" if one.repeated else kind
        allowed = " ".join(one.choices) if one.choices else one.range or ""
        rows.append((one.name, kind, one.default or "", allowed, one.help))
    return rows


def slot_lines(blobs: Slots) -> list[str]:
    """One line per blob, optional ones marked."""
    lines = [*blobs.required, *(f"{text} (optional)" for text in blobs.optional)]
    return [*lines, f"{blobs.more} (any number)"] if blobs.more else lines or ["none"]


def traits(cls: type[Layer]) -> str:
    """What else one wants to know of a type, in one sentence; "" where it is like most."""
    facts = [
        "is a loss (weight 1 unless loss_weight says otherwise)" if cls.is_loss else "",
        "may work in place" if cls.in_place else "",
        "" if cls.differentiable else "has no gradient",
        "treats each item of a batch on its own" if cls.per_item else "",
        f"is also written {', '.join(cls.aliases)}" if cls.aliases else "",
        f"comes from {foreign_origin(cls)}" if foreign_origin(cls) else "",
    ]
    stated = [fact for fact in facts if fact]
    return f"{cls.type} {'; '.join(stated)}." if stated else ""


def whole_docstring(cls: type[Layer]) -> str:
    """The docstring without its indentation."""
    return inspect.cleandoc(cls.__doc__ or "(no description)")


def reflow(paragraph: str) -> str:
    """A paragraph in one line, for the terminal to wrap; formulas and lists, which are indented, stay as they are."""
    lines = paragraph.splitlines()
    return paragraph if any(line[:1] in (" ", "-") for line in lines[1:]) else " ".join(lines)


def first_line(cls: type[Layer]) -> str:
    """The first line of the docstring."""
    return whole_docstring(cls).splitlines()[0]


def foreign_origin(cls: type[Layer]) -> str:
    """The module of a type that netforge does not bring; "" for built-in types."""
    return "" if cls.__module__.split(".")[0] == "netforge" else cls.__module__
