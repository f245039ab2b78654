"""`netforge train`: train a net, go on with a stopped run, or fine-tune from weights."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from netforge.cli.files import require_solver
from netforge.cli.options import (
    CaffeCommand,
    arithmetic_words,
    device_options,
    is_quiet,
    is_verbose,
    load_plugins,
    make_device,
    output_options,
    plugin_option,
    seed_option,
    split_commas,
    state_options,
)
from netforge.cli.run_facts import Outcome, images_per_iteration, notes_of, opening_facts, query_facts
from netforge.cli.screen import on_terminal, show_facts
from netforge.cli.signals import Signals
from netforge.cli.train_log import TrainLog
from netforge.cli.train_screen import TrainScreen
from netforge.cli.weights import show_report
from netforge.errors import NetforgeError
from netforge.schema import messages, parse_solver, read_solver
from netforge.schema.fields import is_repeated
from netforge.solver import Listener, RunLog, Solver, StopReason, StoredLabelQueries
from netforge.solver.settings import device_name as solver_device
from netforge.solver.settings import override

EFFECT = click.Choice(["stop", "snapshot", "none"])


@click.command(cls=CaffeCommand)
@click.option("--solver", "solver_file", required=True, metavar="FILE", help="The solver, a prototxt.")
@click.option("--snapshot", metavar="FILE", help="Go on from this .solverstate.")
@click.option("--weights", multiple=True, metavar="FILE", help="Start from these .caffemodel files.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a field of the solver.")
@seed_option("Seed of everything random; the same as random_seed.", None)
@click.option("--sigint-effect", type=EFFECT, default="stop", show_default=True, help="What Ctrl-C does.")
@click.option("--sighup-effect", type=EFFECT, default="snapshot", show_default=True, help="What SIGHUP does.")
@click.option("--report/--no-report", default=True, help="Write a page about the run beside its log at the end.")
@click.option("--tensorboard", metavar="DIR", help="Write event files for TensorBoard into this folder.")
@state_options(None)
@device_options
@plugin_option
@output_options
def train(
    solver_file: str,
    snapshot: str | None,
    weights: tuple[str, ...],
    settings: tuple[str, ...],
    seed: int | None,
    sigint_effect: str,
    sighup_effect: str,
    report: bool,
    tensorboard: str | None,
    level: int | None,
    stages: tuple[str, ...],
    device: str | None,
    gpu: str | None,
    plugins: tuple[str, ...],
) -> None:
    """Train the net that a solver file names.

    On a terminal a live display shows the run; elsewhere Caffe's log lines are printed. Ctrl-C finishes the iteration,
    takes a snapshot and stops; the line to go on is printed. A second Ctrl-C stops at once. SIGTERM stops like Ctrl-C,
    SIGHUP takes a snapshot.

    After each test it is told how often training drew each label (label query hit percent) and how many times over it
    has seen the images of each label (label query epochs). Sources of the image database keep these numbers, under the
    name of the run: netforge data stats SOURCE --run NAME.

    --tensorboard: curves at displays and tests, histograms of weights at tests and snapshots and of gradients at the
    display that follows, and at the end the embeddings of at most 1,000 test images for the Projector. DIR holds one
    run; a run that goes on with it takes the same DIR. Look at it with: tensorboard --logdir DIR
    """
    if snapshot and weights:
        raise click.UsageError("--snapshot goes on with a run, --weights starts a new one: give one of them.")
    require_solver(solver_file)
    load_plugins(plugins)
    definition = read_solver(solver_file)
    overrides = parse_settings(settings) | state_override(definition.message, level, split_commas(stages))
    if "weights" in overrides:
        raise click.UsageError("--set weights: give --weights FILE instead.")
    if seed is not None:
        overrides["random_seed"] = seed
    definition = override(definition, overrides)
    begun = {"snapshot": snapshot, "weights": weights, "seed": seed}
    kept = {"set": settings, "level": level, "stage": stages, "device": device, "gpu": gpu, "plugin": plugins}
    kept |= {"tensorboard": tensorboard}
    if device is None and gpu is None:
        device = solver_device(definition.message)
    signals, outcome = Signals(sigint_effect, sighup_effect), Outcome(as_options(kept) + arithmetic_words())
    with signals:
        solver = Solver(
            definition,
            device=make_device(device, gpu),
            weights=split_commas(weights),
            restore=snapshot,
            listeners=[outcome],
        )
        signals.solver = solver
        command = ("netforge", "train", f"--solver={solver_file}", *as_options(begun), *outcome.options)
        run(solver, signals, outcome, command, with_report=report, events=tensorboard)


def run(
    solver: Solver,
    signals: Signals,
    outcome: Outcome,
    command: tuple[str, ...],
    *,
    with_report: bool,
    events: str | None = None,
) -> None:
    """Show the head, train, show the end; exits with status 130 where the run was broken off.

    command: the words that began the run, for its log. with_report: write the page about it. events: the folder of
    TensorBoard's event files.
    """
    for note in [] if is_quiet() else notes_of(solver):
        click.echo(f"note: {note}", err=True)
    curves = [("curves", shlex.join(["tensorboard", "--logdir", events]))] if events is not None else []
    if not is_quiet():
        show_facts(opening_facts(solver) + curves, copied=("files", "goes on", "curves"))
        for report in solver.load_reports:
            if is_verbose() or solver.restored_from is None:
                show_report(report)
    log = RunLog(command=command)
    queries = StoredLabelQueries(log)
    solver.listeners += [queries, *event_writers(events), log, *displays(solver, signals)]
    try:
        solver.solve()
    finally:
        solver.close()
        wanted = with_report and outcome.reason is not StopReason.ABORTED
        page = write_report(log.path) if wanted and log.path is not None else None
        facts = outcome.facts(solver, log.path, page) + query_facts(queries.stored, log.run_name) + curves
        show_facts(facts, bold=outcome.scores, copied={word for word, _ in facts} - outcome.outputs)
    if outcome.reason is StopReason.ABORTED:
        raise KeyboardInterrupt


def write_report(log: Path) -> Path | None:
    """Write the page about a run; where that fails the training still stands, and a note says why."""
    from netforge.inspect.page import write_page
    from netforge.inspect.report import report_page
    from netforge.inspect.runs import page_of, read_run

    try:
        return write_page(page_of(log), report_page(read_run(log), full=False))
    except Exception as error:  # whatever it is: it must not take the place of what training has to say
        click.echo(f"note: the report could not be written: {error}", err=True)
        return None


def event_writers(folder: str | None) -> list[Listener]:
    """Who writes TensorBoard's event files into a folder; nobody without one."""
    if folder is None:
        return []
    from netforge.inspect.tensorboard import TensorBoard

    return [TensorBoard(folder)]


def displays(solver: Solver, signals: Signals) -> list[Listener]:
    """Who shows the run: the live screen, the log lines, or nobody."""
    if is_quiet():
        return []
    if on_terminal():
        return [TrainScreen(images_per_iteration(solver), signals, every_display=is_verbose())]
    return [TrainLog()]


def as_options(values: dict[str, Any]) -> tuple[str, ...]:
    """Values of options as words of a command line: "--name=value" for each one given."""
    lists = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    return tuple(f"--{name}={one}" for name, several in lists.items() for one in several if one is not None)


def parse_settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """The values of --set FIELD=VALUE by field; values are written as in a prototxt, several with commas between."""
    fields = messages.SolverParameter.DESCRIPTOR.fields_by_name
    overrides: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f'--set "{text}": write FIELD=VALUE, for example --set max_iter=1000.')
        many = name in fields and is_repeated(fields[name])
        values = value.split(",") if many else [value]
        try:
            message = parse_solver("\n".join(f"{name}: {one}" for one in values), name="--set").message
        except NetforgeError as error:
            error.where = f"--set {text}"
            raise
        overrides[name] = getattr(message, name)
    return overrides


def state_override(message: Any, level: int | None, stages: tuple[str, ...]) -> dict[str, Any]:
    """The train_state that --level and --stage ask for, as an override; none where they are not given."""
    if level is None and not stages:
        return {}
    state = type(message.train_state)()
    state.CopyFrom(message.train_state)
    if level is not None:
        state.level = level
    state.stage.extend(stages)
    return {"train_state": state}
