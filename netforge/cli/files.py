"""Which kind of prototxt a file is: commands take nets and solvers, and people mix them up."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from netforge.errors import SchemaError

if TYPE_CHECKING:
    from netforge.schema import NetDefinition

_TOKEN = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\#[^\n]*|[{}<>]|[A-Za-z_]\w*""")


def is_solver(path: str | Path) -> bool:
    """Whether the top-level fields of a text file are those of a solver rather than of a net.

    False for anything that cannot be read as text: reading it as a net gives the error that explains it.
    """
    from netforge.schema import messages

    names = _names_in(path)
    solver = set(messages.SolverParameter.DESCRIPTOR.fields_by_name)
    net = set(messages.NetParameter.DESCRIPTOR.fields_by_name)
    return len(names & (solver - net)) > len(names & (net - solver))


def _names_in(path: str | Path) -> set[str]:
    """The top-level names of a file; none of one that cannot be read as text, or only once, as a pipe."""
    from netforge.schema.files import LARGEST_TEXT_BYTES

    if not os.path.isfile(path):
        return set()
    try:
        with open(path, encoding="utf-8") as stream:
            return top_level_names(stream.read(LARGEST_TEXT_BYTES))
    except (OSError, UnicodeDecodeError):
        return set()


def top_level_names(text: str) -> set[str]:
    """All words of a prototxt that stand outside of braces, quotes and comments."""
    names, depth = set(), 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in "{<":
            depth += 1
        elif token in "}>":
            depth -= 1
        elif depth == 0 and token[0] not in "\"'#":
            names.add(token)
    return names


def require_solver(path: str) -> None:
    """Raise SchemaError where a net was given in place of a solver."""
    from netforge.schema import messages

    names = _names_in(path)
    if names & {"layer", "layers"} and not names & set(messages.SolverParameter.DESCRIPTOR.fields_by_name) - {"name"}:
        raise SchemaError(
            "this is a net, and a solver is expected",
            where=path,
            mend="give a solver, which is a file with net:, base_lr:, max_iter: ...",
        )


def net_of(path: str, phase: str) -> NetDefinition:
    """The net of a net file, or the one that a solver file uses in `phase`; unfiltered."""
    from netforge.schema import read_net, read_solver

    if not is_solver(path):
        return read_net(path)
    solver = read_solver(path)
    tests = solver.test_nets()
    return (tests[0] if phase == "TEST" and tests else solver.train_net())[0]


def reads_data(definition: NetDefinition) -> bool:
    """Whether any layer of a filtered net makes values out of nothing: a data layer or an Input."""
    return any(layer.message.top and not layer.message.bottom for layer in definition.layers)
