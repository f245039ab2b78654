"""`netforge check`: whether prototxt files are right, or what is wrong where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netforge.cli.errors import as_netforge_error, show_error
from netforge.cli.files import is_solver, reads_data
from netforge.cli.options import CaffeCommand, is_quiet, load_plugins, output_options, plugin_option
from netforge.cli.screen import bytes_text, console, count_text, on_terminal, shape_text, styled
from netforge.errors import NetforgeError, UnknownNameError, counted

if TYPE_CHECKING:
    from netforge.net import Net
    from netforge.schema import NetDefinition, NetState


@click.command(cls=CaffeCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@plugin_option
@output_options
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Check nets and solvers: read them, build every layer, fit all shapes; no data and no memory is needed.

    Says "ok" with one line for each phase (none with --quiet), or what is wrong, in which line, and how to mend it.
    Exit status 1 where any file is wrong.
    """
    from rich.padding import Padding

    load_plugins(plugins)
    failed = False
    for path in files:
        try:
            lines = check_solver(path) if is_solver(path) else check_net(path)
        except Exception as error:
            if as_netforge_error(error) is None:
                raise
            show_error(error)
            failed = True
        else:
            screen = console()
            screen.print(styled(("ok  ", "bold green"), (path, "bold")))
            for line in [] if is_quiet() else lines:
                if on_terminal():
                    screen.print(Padding.indent(styled(line), 4))
                else:
                    click.echo(f"    {line}")
    ctx.exit(1 if failed else 0)


def check_net(path: str) -> list[str]:
    """Build a net for every phase that it has layers for; one line each, and the notes of the reader."""
    from netforge.schema import merge_state, read_net
    from netforge.schema.state import PHASES

    definition = read_net(path)
    lines: dict[str, list[str]] = {}
    notes = list(definition.notes)
    for phase in PHASES:
        state = merge_state(definition, phase, 0, ())
        line, more = phase_line(definition, state, phase)
        lines.setdefault(line, []).append(phase)
        notes += more
    width = max(len(", ".join(phases)) for phases in lines.values())
    return [f"{', '.join(phases):{width}}  {line}" for line, phases in lines.items()] + list(dict.fromkeys(notes))


def phase_line(definition: NetDefinition, state: NetState, phase: str) -> tuple[str, tuple[str, ...]]:
    """One phase of a net in one line, and notes on it; raises NetforgeError where it cannot be built."""
    from netforge.net import Net

    if phase != "RUN" and not reads_data(definition.select(state)):
        return "nothing feeds the net in this phase", ()
    try:
        with Net(definition, phase, plan_only=True) as net:
            return plan_line(net), net.definition.notes
    except NetforgeError as error:
        if phase != "RUN" or names_phase(definition, "RUN"):
            raise
        subject = f"layer {error.layer}: " if error.layer else ""
        return f"not made: {subject}{error.found}", ()


def names_phase(definition: NetDefinition, phase: str) -> bool:
    """Whether an include or exclude rule of the net speaks of `phase`."""
    from netforge.schema import messages

    number = messages.Phase.Value(phase)
    rules = (rule for layer in definition.layers for rule in (*layer.message.include, *layer.message.exclude))
    return any(rule.HasField("phase") and rule.phase == number for rule in rules)


def check_solver(path: str) -> list[str]:
    """Check a solver's settings and build its nets; a line for each."""
    from netforge.cli.run_facts import loss_notes
    from netforge.net import Net
    from netforge.schema import read_solver
    from netforge.solver import SOLVERS
    from netforge.solver.policies import make_policy

    solver = read_solver(path)
    solver.need_max_iter()
    make_policy(solver)
    try:
        SOLVERS[solver.message.type](solver)
    except UnknownNameError as error:
        raise error.at(solver.locate("type")) from None
    message = solver.message
    lines = [f"{message.type} solver, base_lr {message.base_lr:g} {message.lr_policy}, {message.max_iter:,} iterations"]
    named = [("train net", solver.train_net())]
    named += [(f"test net #{number}", net) for number, net in enumerate(solver.test_nets())]
    notes = list(solver.notes)
    for name, (definition, state) in named:
        with Net(definition, state.phase, state.level, state.stages, plan_only=True) as net:
            lines.append(f"{name:12}  {plan_line(net)}")
            notes += [*net.definition.notes, *(loss_notes(net) if name == "train net" else ())]
    return lines + list(dict.fromkeys(notes))


def plan_line(net: Net) -> str:
    """Layers, weights, memory, arithmetic and outputs of a net."""
    rows = net.describe()
    outputs = ", ".join(f"{name} ({shape_text(net.blobs[name].shape)})" for name in net.outputs)
    return (
        f"{counted(len(rows), 'layer')}, {sum(row.weight_count for row in rows):,} weights, "
        f"{bytes_text(sum(row.activation_bytes for row in rows))}, "
        f"{count_text(sum(row.multiply_adds for row in rows))} multiply-adds -> {outputs or 'no outputs'}"
    )
