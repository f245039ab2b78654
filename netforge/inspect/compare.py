"""Runs side by side: curves over one another, what each reached, and where their settings differ."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from netforge.errors import NetforgeError, PluginError
from netforge.inspect.charts import line_chart
from netforge.inspect.page import Html, card, details, page, table
from netforge.inspect.run import Run
from netforge.inspect.run_curves import by_test_net, falls_far, tested_series, training_loss
from netforge.inspect.run_plugins import import_plugins
from netforge.inspect.run_text import ending_text, final_scores, started
from netforge.inspect.wording import span_text
from netforge.schema import parse_net, parse_solver

ABSENT = "-"
OWN_TO_A_RUN = ("snapshot_prefix",)  # differs because every run has its own files


def compare_page(runs: Sequence[Run]) -> str:
    """The page of several runs; each has one colour throughout."""
    names = run_names(runs)
    headings = ("", *names)
    right = range(1, len(runs) + 1)
    cards = [
        card("What they reached", table(headings, value_rows(runs), right=right), wide=True),
        *_curves(runs, names),
    ]
    settings = setting_rows(runs)
    if settings:
        cards.append(card("Settings that differ", table(("setting", *names), settings), wide=True))
    else:
        cards.append(card("Settings that differ", note="None: solver and net are the same."))
    logs = table(("run", "log"), [(name, run.path) for name, run in zip(names, runs, strict=True)])
    cards.append(card("Logs", details("Files", logs)))
    return page(f"{len(runs)} runs side by side", *cards, subtitle=", ".join(names))


def run_names(runs: Sequence[Run]) -> list[str]:
    """A name for each run: that of its log, with its folder where two are called the same."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else str(run.path.parent / name) for name, run in zip(names, runs, strict=True)
    ]


def _curves(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Html]:
    """A chart for the training loss, and one for each output of tests that any of the runs has."""
    named = list(enumerate(zip(runs, names, strict=True)))
    losses = [training_loss(run, name, number) for number, (run, name) in named if run.displays]
    if losses:
        yield card("Training loss", line_chart(losses, label="training loss of each run", log=falls_far(losses)))
    tests = [by_test_net(run) for run in runs]
    outputs = dict.fromkeys(
        (test.net, output)
        for run in runs
        for test in run.tests
        for output, value in test.outputs.items()
        if isinstance(value, float)
    )
    for net, output in outputs:
        series = [tested_series(tests[number].get(net, []), output, name, number) for number, (_, name) in named]
        word = f"Test: {output}" + (f" (test net #{net})" if net else "")
        yield card(word, line_chart([one for one in series if one.x], label=word))


def value_rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """What each run reached: a row for each value, with a cell for each run."""
    finals = [final_scores(run) for run in runs]
    rows = [
        (name, *(f"{final[name]:.6g}" if name in final else ABSENT for final in finals))
        for name in dict.fromkeys(name for final in finals for name in final)
    ]
    bests = [_best_scores(run) for run in runs]
    for name in dict.fromkeys(name for best in bests for name in best):
        rows.append((f"highest {name}", *(best.get(name, ABSENT) for best in bests)))
    rows += [
        ("training loss", *(f"{run.displays[-1].loss:.6g}" if run.displays else ABSENT for run in runs)),
        ("iterations", *(f"{run.last_iteration:,}" for run in runs)),
        ("time", *(span_text(run.duration) for run in runs)),
        ("items/s", *(ABSENT if run.speed is None else f"{run.speed:,.0f}" for run in runs)),
        ("seed", *(str(run.seed) for run in runs)),
        ("device", *(run.device for run in runs)),
        ("netforge", *(run.versions.get("netforge", ABSENT) for run in runs)),
        ("began", *(started(run) for run in runs)),
        ("ended", *(ending_text(run) for run in runs)),
    ]
    return rows


def _best_scores(run: Run) -> dict[str, str]:
    """The highest value of each score of the first test net, and when it was reached."""
    best: dict[str, tuple[float, int]] = {}
    for test in run.tests:
        for name, value in test.scores.items() if not test.net else ():
            if math.isfinite(value) and (name not in best or value > best[name][0]):
                best[name] = (value, test.iteration)
    return {name: f"{value:.6g} at {iteration:,}" for name, (value, iteration) in best.items()}


def setting_rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The settings of solver and nets that differ, a row for each, with "-" where a run does not set it.

    Layers are told apart by their names. Texts that cannot be read any more are compared as a whole.
    """
    with_nets = all(run.nets for run in runs)  # logs of earlier versions do not hold them
    settings = [_settings(run, with_nets) for run in runs]
    rows: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(name for one in settings for name in one):
        layer = re.match(r'net(?: \d+)? layer ".*?"(?: [A-Z]+)?(?: \(\d+\))?(?= )', name)
        kinds = [one.get(f"{layer[0]} type", ABSENT) for one in settings] if layer else []
        if layer and ABSENT in kinds:  # a whole layer is missing somewhere: one row for it
            rows[layer[0]] = (layer[0], *kinds)
        else:
            rows[name] = (name, *(one.get(name, ABSENT) for one in settings))
    return [row for row in rows.values() if len(set(row[1:])) > 1]


def _settings(run: Run, with_nets: bool) -> dict[str, str]:
    found = {"weights": ", ".join(run.weights), "restored from": run.restored_from or ""}
    found = {name: text for name, text in found.items() if text}
    with suppress(PluginError):  # then texts that need it are compared as a whole
        import_plugins(run)
    try:
        found |= dict(_leaves(parse_solver(run.solver, run.source).message, "solver"))
    except NetforgeError:
        found["solver"] = run.solver
    for number, (name, text) in enumerate(run.nets.items() if with_nets else ()):
        word = "net" if not number else f"net {number + 1}"
        try:
            found |= dict(_leaves(parse_net(text, name).to_message(), word))
        except NetforgeError:
            found[word] = text
    return found


def _leaves(message: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every set field of a message as (path, value); members of `layer` go by their names and phases."""
    for field, value in message.ListFields():
        if field.name in OWN_TO_A_RUN and path == "solver":
            continue
        repeated = isinstance(value, Sequence) or hasattr(value, "append")
        if field.message_type is None or isinstance(value, str):
            yield f"{path} {field.name}", _written(field, value, repeated)
        elif not repeated:
            yield from _leaves(value, f"{path} {field.name}")
        else:
            seen: dict[str, int] = {}
            for number, entry in enumerate(value):
                key = _layer_key(entry) if field.name == "layer" else str(number)
                seen[key] = seen.get(key, 0) + 1
                key += f" ({seen[key]})" if seen[key] > 1 else ""
                yield from _leaves(entry, f"{path} {field.name} {key}")


def _layer_key(layer: Any) -> str:
    """A layer's name, with the phase that it is for where it has one: data layers often share a name."""
    phases = [
        rule.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_number[rule.phase].name
        for rule in layer.include
        if rule.HasField("phase")
    ]
    return f'"{layer.name}"' + (f" {phases[0]}" if len(phases) == 1 else "")


def _written(field: Any, value: Any, repeated: bool) -> str:
    def one(item: Any) -> str:
        if field.enum_type is not None:
            return str(field.enum_type.values_by_number[item].name)
        return f"{item:g}" if isinstance(item, float) else str(item)

    return ", ".join(map(one, value)) if repeated and not isinstance(value, (str, bytes)) else one(value)
