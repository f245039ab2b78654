"""The page about the command line, made of the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from netforge.cli import cli
from netforge.cli.markdown import code, fence, link, table

INTRODUCTION = """\
What `netforge COMMAND --help` prints. Options may be written as Caffe's too, with one dash or an underscore:
`-solver=x`, `--sigint_effect stop`.
"""


def commands_page() -> str:
    """The page as Markdown: a table of contents, then each command."""
    commands = list(_commands(cli, click.Context(cli, info_name="netforge")))
    parts = ["# Commands", "", INTRODUCTION]
    parts += table(("command", "what it does"), [(link(ctx.command_path), _summary(ctx)) for ctx in commands])
    for ctx in commands:
        parts += _command_lines(ctx)
    return "\n".join(parts)


def _commands(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """A context for every command below a group, groups themselves included, in the order of the help pages."""
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None, name
        ctx = click.Context(command, parent=parent, info_name=name)
        yield ctx
        if isinstance(command, click.Group):
            yield from _commands(command, ctx)


def _summary(ctx: click.Context) -> str:
    """The first sentence of a command's help."""
    return ctx.command.get_short_help_str(limit=200)


def _command_lines(ctx: click.Context) -> list[str]:
    command = ctx.command
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    parts = [f"## {ctx.command_path}", "", *fence(usage, "text"), *_prose(command.help or "")]
    options = [param for param in command.params if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx))]
    if records:
        parts += table(("option", "meaning"), [(code(names), meaning) for names, meaning in records])
    return parts


def _prose(text: str) -> list[str]:
    """A help text as Markdown: paragraphs, and what click is told not to wrap as blocks of code."""
    parts: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b"):
            parts += [paragraph, ""]
            continue
        lines = inspect.cleandoc(paragraph.removeprefix("\b")).strip()
        parts += fence(lines, "sh" if lines.startswith("netforge ") else "text")
    return parts
