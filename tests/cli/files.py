"""What tests of commands share: a small net and solver on the disk, and the list of all commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from tests.cli.broken import NET, SOLVER


def write_files(folder: Path, *, solver: str = SOLVER, net: str = NET) -> None:
    """Lay net.prototxt and solver.prototxt into `folder`."""
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(solver)


def leaves(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a command, with its words."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name in command.list_commands(click.Context(command)):
        found = command.get_command(click.Context(command), name)
        assert found is not None
        yield from leaves(found, *words, name)
