"""`netforge layers`: the layer types, and all about one of them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from netforge.cli.options import CaffeCommand, load_plugins, output_options, plugin_option
from netforge.cli.screen import console, on_terminal, print_columns, table

if TYPE_CHECKING:
    from netforge.layers.base import Layer, Slots
    from netforge.schema import SettingHelp

SETTING_COLUMNS = ("setting", "type", "default", "range", "meaning")


@click.command(cls=CaffeCommand)
@click.argument("type_name", metavar="[TYPE]", required=False)
@click.option("--markdown", is_flag=True, help="Print the reference of all types (or of TYPE) as Markdown.")
@plugin_option
@output_options
def layers(type_name: str | None, markdown: bool, plugins: tuple[str, ...]) -> None:
    """List the layer types with one line each, or explain TYPE: bottoms, tops, settings, an example.

    Layers of installed plugins are listed with the module they come from; --plugin adds a module that is not installed.
    """
    import netforge.layers  # noqa: F401 (registers the built-in layers)
    from netforge.layers.base import LAYERS
    from netforge.registry import load_entry_points

    load_entry_points()
    load_plugins(plugins)
    types = [LAYERS[type_name]] if type_name else [LAYERS[name] for name in LAYERS]
    if markdown:
        click.echo("\n".join(markdown_page(cls) for cls in types), nl=False)
    elif type_name:
        show_type(types[0])
    else:
        show_types(types)


def show_types(types: list[type[Layer]]) -> None:
    """One line per type."""
    rows = [(cls.type, first_line(cls), foreign_origin(cls)) for cls in types]
    if not any(row[2] for row in rows):
        rows = [(name, line, "") for name, line, _ in rows]
    if not on_terminal():
        print_columns(rows)
        return
    shown = table("type", "what it does", *(["from"] if any(row[2] for row in rows) else []))
    for name, line, module in rows:
        shown.add_row(f"[bold cyan]{name}[/]", plain(line), *([module] if len(shown.columns) == 3 else []))
    screen = console()
    screen.print(shown)
    screen.print("\n[dim]netforge layers TYPE explains one of them.[/]")


def show_type(cls: type[Layer]) -> None:
    """Everything about one type, for the eye or as plain text."""
    if not on_terminal():
        click.echo(markdown_page(cls), nl=False)
        return
    screen = console()
    screen.print(f"[bold cyan]{cls.type}[/]  [dim]{cls.__module__}[/]\n")
    for paragraph in whole_docstring(cls).split("\n\n"):
        screen.print(plain(paragraph) + "\n")
    for heading, blobs in (("bottoms", cls.bottoms), ("tops", cls.tops)):
        screen.print(f"[bold]{heading}[/]  [dim]{blobs}[/]")
        for line in slot_lines(blobs):
            screen.print(f"  {plain(line)}")
    screen.print(f"\n[dim]{plain(traits(cls))}[/]")
    settings = describe(cls)
    if settings:
        screen.print(f"\n[bold]{cls.settings_field}[/] {{ ... }}")
        shown = table(*SETTING_COLUMNS)
        for row in setting_rows(settings):
            shown.add_row(f"[cyan]{plain(row[0])}[/]", *map(plain, row[1:]))
        screen.print(shown)
    screen.print("\n[bold]example[/]")
    screen.print(plain(example(cls)))


def markdown_page(cls: type[Layer]) -> str:
    """The reference of one type as Markdown."""
    parts = [f"## {cls.type}", "", whole_docstring(cls), ""]
    for heading, blobs in (("Bottoms", cls.bottoms), ("Tops", cls.tops)):
        parts += [f"{heading}, {blobs}:", "", *(f"- {line}" for line in slot_lines(blobs)), ""]
    parts += [traits(cls), ""]
    settings = describe(cls)
    if settings:
        parts += [f"`{cls.settings_field} {{ ... }}`", "", "| " + " | ".join(SETTING_COLUMNS) + " |", "|---" * 5 + "|"]
        parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in setting_rows(settings)]
        parts += [""]
    parts += ["```", example(cls), "```", ""]
    return "\n".join(parts) + "\n"


def describe(cls: type[Layer]) -> list[SettingHelp]:
    """The settings of a type; none where it has no settings."""
    from netforge.schema import describe_settings

    return describe_settings(cls.settings_field) if cls.settings_field else []


def setting_rows(settings: list[SettingHelp]) -> list[tuple[str, ...]]:
    """Name, type, default, range and meaning of each setting, as text."""
    rows: list[tuple[str, ...]] = []
    for one in settings:
        kind = f"{one.type}, repeated" if one.repeated else one.type
        allowed = " ".join(one.choices) if one.choices else one.range or ""
        rows.append((one.name, kind, "" if one.default is None else str(one.default), allowed, one.help))
    return rows


def slot_lines(blobs: Slots) -> list[str]:
    """One line per blob, optional ones marked."""
    lines = [*blobs.required, *(f"{text} (optional)" for text in blobs.optional)]
    return [*lines, f"{blobs.more} (any number)"] if blobs.more else lines or ["none"]


def traits(cls: type[Layer]) -> str:
    """What else one wants to know of a type, in one sentence."""
    facts = [
        "is a loss (weight 1 unless loss_weight says otherwise)" if cls.is_loss else "",
        "may work in place" if cls.in_place else "",
        "" if cls.differentiable else "has no gradient",
        "" if cls.per_item else "lets the items of a batch influence each other",
        f"is also written {', '.join(cls.aliases)}" if cls.aliases else "",
        f"comes from {foreign_origin(cls)}" if foreign_origin(cls) else "",
    ]
    stated = [fact for fact in facts if fact]
    return f"{cls.type} {'; '.join(stated)}." if stated else f"{cls.type} passes gradients to its bottoms."


def example(cls: type[Layer]) -> str:
    """A small prototxt block of the type; settings without a default are shown with their type."""
    lines = ["layer {", f'  name: "{cls.type.lower()}"', f'  type: "{cls.type}"']
    lines += [f'  bottom: "{text.split()[0].rstrip(",")}"' for text in cls.bottoms.required]
    lines += [f'  top: "{text.split()[0].rstrip(",")}"' for text in cls.tops.required]
    settings = describe(cls)
    if settings:
        lines.append(f"  {cls.settings_field} {{ {shown_setting(settings[0])} }}")
    return "\n".join([*lines, "}"])


def shown_setting(one: SettingHelp) -> str:
    """A setting as it is written in a prototxt."""
    value = one.choices[0] if one.choices else one.default
    return f"{one.name}: {value}"


def whole_docstring(cls: type[Layer]) -> str:
    """The docstring without its indentation."""
    return inspect.cleandoc(cls.__doc__ or "(no description)")


def first_line(cls: type[Layer]) -> str:
    """The first line of the docstring."""
    return whole_docstring(cls).splitlines()[0]


def foreign_origin(cls: type[Layer]) -> str:
    """The module of a type that netforge does not bring; "" for built-in types."""
    return "" if cls.__module__.split(".")[0] == "netforge" else cls.__module__


def plain(text: str) -> str:
    """Text with rich's markup switched off."""
    from rich.markup import escape

    return escape(text)
