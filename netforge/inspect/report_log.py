"""The part of a run's report that its log alone tells: result, command, curves, label queries, notices, prototxt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from netforge.errors import counted
from netforge.inspect.charts import bars, histogram, line_chart
from netforge.inspect.norms import norm_cards
from netforge.inspect.page import Card, Html, card, code, code_block, details, element, facts, join, scores, table
from netforge.inspect.run import Queried, Run
from netforge.inspect.run_curves import falls_far, learning_rate, loss_series, output_series, score_series
from netforge.inspect.run_text import command_line, ending_text, final_scores, started
from netforge.inspect.wording import span_text

MOST_BARS = 40
MOST_VALUES = 200  # of an output of several values, as the accuracy of each class


def result_card(run: Run, *, ended: bool = True) -> Card:
    """The scores in large figures, and the facts of the run; ended: also how it ended."""
    figures = [(name, f"{value:.4g}") for name, value in final_scores(run).items()]
    if run.displays:
        figures.append(("training loss", f"{run.displays[-1].loss:.4g}"))
    ending = element("span", ending_text(run), class_="alarm" if run.reason in (None, "failed") else None)
    pairs: list[tuple[str, object]] = [
        ("ended", ending if ended else ""),
        ("iterations", f"{run.iteration:,} to {run.last_iteration:,}"),
        ("time", f"{span_text(run.duration)}, from {started(run)}"),
        ("speed", "" if run.speed is None else f"{run.speed:,.0f} items/s in training"),
        ("device", run.device if run.device == "cpu" else f"{run.device}; {run.execution}"),
        ("seed", run.seed),
        ("went on with", run.restored_from or ""),
        ("began with", ", ".join(run.weights)),
        ("plugins", ", ".join(run.plugins)),
        ("snapshot", next((entry.weights or entry.state or "" for entry in reversed(run.snapshots)), "")),
        ("versions", ", ".join(f"{name} {text}" for name, text in run.versions.items())),
        ("log", run.path),
    ]
    return card("Result", scores(figures), facts((word, text) for word, text in pairs if text != ""))


def command_card(run: Run) -> Card:
    """The command that reproduces the run, and where."""
    where = f"In the folder {run.folder}, with netforge {run.versions.get('netforge', '')}" if run.folder else ""
    return card("Do it again", code_block(command_line(run), wrap=True), note=where)


def curve_cards(run: Run) -> Iterator[Card]:
    """Losses, scores of tests, outputs of training, learning rate, sizes of gradients and updates."""
    losses = loss_series(run)
    if losses:
        yield card("Loss", line_chart(losses, label="loss over iterations", log=falls_far(losses)))
    accuracies = score_series(run)
    if accuracies:
        yield card("Test scores", line_chart(accuracies, label="scores of tests over iterations"))
    others = output_series(run)
    if others:
        yield card("Outputs of training", line_chart(others, label="other outputs of the training net"))
    if run.displays:
        yield card("Learning rate", line_chart([learning_rate(run)], zero=True))
    yield from norm_cards(run)
    yield from (value_card(name, values) for name, values in several_values(run))


def several_values(run: Run) -> Iterator[tuple[str, list[float]]]:
    """Outputs of the newest tests that are a row of finite values at least 0, as the accuracy of each class."""
    for test in run.final_tests():
        for name, value in test.outputs.items():
            row = (
                isinstance(value, list)
                and 1 < len(value) <= MOST_VALUES
                and all(isinstance(one, float) for one in value)
            )
            if row and all(math.isfinite(one) and one >= 0 for one in value):
                yield name, value


def value_card(name: str, values: Sequence[float]) -> Card:
    """An output of several values as bars."""
    rows = [(str(number), value) for number, value in enumerate(values)]
    return card(name, bars(rows, text=lambda value: f"{value:.4g}"), note="of the newest test, by number")


def query_cards(run: Run, names_of: Callable[[str], Mapping[int, str]] = lambda source: {}) -> Iterator[Card]:
    """How often training drew each label, a card for each source. names_of: the classes of a source, label to name."""
    for entry in run.final_queries():
        total, labels = sum(entry.counts), len(entry.labels)
        note = f"{counted(total, 'image')} drawn until iteration {entry.iteration:,}, {counted(labels, 'label')}"
        yield card(f"Label queries of {entry.source}", _query_chart(entry, names_of(entry.source)), note=note)


def _query_chart(entry: Queried, names: Mapping[int, str]) -> Html:
    if len(entry.labels) > MOST_BARS:
        counts, edges = np.histogram(entry.hit_percent, bins=min(30, len(entry.labels) // 2))
        chart = histogram(edges.tolist(), counts.tolist(), x="hit percent of a label", label="labels by hit percent")
        order = sorted(range(len(entry.labels)), key=lambda k: entry.counts[k])
        ends = [("least often drawn", order[:5]), ("most often drawn", order[:-6:-1])]
        return join([chart, facts((word, ", ".join(_query_text(entry, k) for k in some)) for word, some in ends)])
    rows = [(names.get(label, str(label)), hit) for label, hit in zip(entry.labels, entry.hit_percent, strict=True)]
    tips = [_query_text(entry, k) for k in range(len(rows))]
    return bars(rows, text=lambda value: f"{value:.2f} %", tips=tips, hue_number=9)


def _query_text(entry: Queried, k: int) -> str:
    epochs = "" if entry.epochs is None else f", {entry.epochs[k]:.4g} times over"
    return f"label {entry.labels[k]}: {entry.counts[k]:,} drawn{epochs}"


def notice_card(run: Run) -> Card:
    """What layers found wrong with the training."""
    rows = [(f"{iteration:,}", text) for iteration, text in run.notices]
    return card("Notices", table(("iteration", "what"), rows, right=(0,)))


def source_card(run: Run) -> Card:
    """The exact prototxt of the solver, with all that the command line set, and of its nets."""
    blocks = [details(join(["Solver ", code(run.source)]), code_block(run.solver), open_=True)]
    blocks += [details(join(["Net ", code(name)]), code_block(text)) for name, text in run.nets.items()]
    return card("Prototxt", *blocks, wide=True, note="as it was read, with what the command line has set")
