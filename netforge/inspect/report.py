"""The report of a run: one page with everything that its log tells, and what its files can show.

`report_page(load_run("runs/siamese_digits"))` is the text of the page. What cannot be shown, for a file that
is gone, a source that cannot be opened, a net without a convolution, says so in its place.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from netforge.device.base import Device
from netforge.errors import counted
from netforge.inspect import embedding_page
from netforge.inspect.charts import Series, bars, histogram, line_chart
from netforge.inspect.norms import norm_cards
from netforge.inspect.page import Card, Html, card, code, code_block, details, element, facts, join, page, scores, table
from netforge.inspect.report_model import Model, cards_of_model
from netforge.inspect.run import Queried, Run
from netforge.inspect.runs import with_earlier

MOST_BARS = 40
MOST_VALUES = 200  # of an output of several values, as the accuracy of each class
LOG_RATIO = 20  # a loss that falls so many times is shown on a logarithmic scale at first
ENDINGS = {
    "finished": "finished",
    "stopped": "stopped on request",
    "aborted": "broken off on request, without a snapshot",
    "failed": "failed",
}


def report_page(run: Run, *, full: bool = True, device: str | Device = "cpu") -> str:
    """The page of a run.

    full: also what takes forward passes: confusions, worst mistakes, embeddings of test images, time per layer; at most
    1,000 images are run, on `device`. Without it the page names the command that shows them.
    """
    with Model(run, device) as model:
        cards: list[Html] = [result_card(run), command_card(run), *curve_cards(with_earlier(run)), *query_cards(run)]
        if run.notices:
            cards.append(notice_card(run))
        cards += cards_of_model(model, full=full)
    cards.append(source_card(run))
    return page(
        run.name,
        *cards,
        subtitle=f"{run.source}, {started(run)}",
        styles=embedding_page.STYLES,
        scripts=[embedding_page.SCRIPT],
    )


def started(run: Run) -> str:
    """When the run began, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.start))


def span_text(seconds: float) -> str:
    """A time span: "4.2 s", "4 min 05 s", "2 h 03 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def ending_text(run: Run) -> str:
    """How the run ended, or that nobody knows."""
    if run.reason is None:
        return "its log has no end: it goes on, or was killed"
    return ENDINGS.get(run.reason, run.reason) + (f": {run.error}" if run.error else "")


def final_scores(run: Run) -> dict[str, float]:
    """The newest value of every output of one number that tests gave; scores first, losses behind them."""
    return {
        name if not test.net else f"{name} (test net #{test.net})": value
        for test in run.final_tests()
        for name, value in sorted(test.outputs.items(), key=lambda item: item[0] in test.losses)
        if isinstance(value, float)
    }


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


def command_line(run: Run) -> str:
    """The command that does the same run again: the recorded one with the seed that was drawn."""
    words = list(run.command)
    if not words:
        words = ["netforge", "train", "--solver", run.source]
        words += ["--snapshot", run.restored_from] if run.restored_from else []
        words += [f"--weights={one}" for one in run.weights]
    if not any(word.startswith(("--seed", "--set=random_seed=")) for word in words):
        words.append(f"--seed={run.seed}")
    return shlex.join(words)


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
        rate = Series("learning rate", [s.iteration for s in run.displays], [s.rate for s in run.displays], hue=3)
        yield card("Learning rate", line_chart([rate], zero=True))
    yield from norm_cards(run)
    yield from (value_card(name, values) for name, values in several_values(run))


def loss_series(run: Run) -> list[Series]:
    """The training loss and the losses of tests."""
    found: list[Series] = []
    if run.displays:
        steps = [shown.iteration for shown in run.displays]
        found.append(Series("training", steps, [shown.loss for shown in run.displays], 0))
    for net in sorted({test.net for test in run.tests}):
        tests = [test for test in run.tests if test.net == net]
        number = f" #{net}" if net else ""
        for name in dict.fromkeys(loss for test in tests for loss in test.losses):
            points = [(t.iteration, t.outputs[name]) for t in tests if isinstance(t.outputs.get(name), float)]
            found.append(_series(f"test{number} {name}", points, len(found)))
    return found


def score_series(run: Run) -> list[Series]:
    """The outputs of tests that are no losses, of one number each."""
    found: list[Series] = []
    for net in sorted({test.net for test in run.tests}):
        tests = [test for test in run.tests if test.net == net]
        number = f" (test net #{net})" if net else ""
        for name in dict.fromkeys(score for test in tests for score in test.scores):
            points = [(test.iteration, test.scores[name]) for test in tests if name in test.scores]
            found.append(_series(f"{name}{number}", points, len(found)))
    return found


def output_series(run: Run) -> list[Series]:
    """Outputs of one number of the training net, where they are not the loss itself."""
    names = dict.fromkeys(name for shown in run.displays for name, value in shown.outputs.items() if _is_number(value))
    losses = {shown.iteration: shown.loss for shown in run.displays}
    found: list[Series] = []
    for name in names:
        points = [(s.iteration, s.outputs[name]) for s in run.displays if _is_number(s.outputs.get(name))]
        if len(names) > 1 or any(abs(value - losses[at]) > 1e-6 for at, value in points):
            found.append(_series(name, points, len(found)))
    return found


def _series(name: str, points: Sequence[tuple[int, float]], hue: int) -> Series:
    return Series(name, [x for x, _ in points], [y for _, y in points], hue)


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


def falls_far(series: Sequence[Series]) -> bool:
    """Whether values differ so much that a logarithmic scale shows more."""
    values = [y for one in series for y in one.y if math.isfinite(y) and y > 0]
    return bool(values) and max(values) > LOG_RATIO * min(values)


def several_values(run: Run) -> Iterator[tuple[str, list[float]]]:
    """Outputs of the newest tests that are a row of finite values at least 0, as the accuracy of each class."""
    for test in run.final_tests():
        for name, value in test.outputs.items():
            row = isinstance(value, list) and 1 < len(value) <= MOST_VALUES and all(map(_is_number, value))
            if row and all(math.isfinite(one) and one >= 0 for one in value):
                yield name, value


def value_card(name: str, values: Sequence[float]) -> Card:
    """An output of several values as bars."""
    rows = [(str(number), value) for number, value in enumerate(values)]
    return card(name, bars(rows, text=lambda value: f"{value:.4g}"), note="of the newest test, by number")


def query_cards(run: Run) -> Iterator[Card]:
    """How often training drew each label, a card for each source."""
    for entry in run.final_queries():
        total, names = sum(entry.counts), len(entry.labels)
        note = f"{counted(total, 'image')} drawn until iteration {entry.iteration:,}, {counted(names, 'label')}"
        yield card(f"Label queries of {entry.source}", _query_chart(entry), note=note)


def _query_chart(entry: Queried) -> Html:
    if len(entry.labels) > MOST_BARS:
        counts, edges = np.histogram(entry.hit_percent, bins=min(30, len(entry.labels) // 2))
        chart = histogram(edges.tolist(), counts.tolist(), x="hit percent of a label", label="labels by hit percent")
        order = sorted(range(len(entry.labels)), key=lambda k: entry.counts[k])
        ends = [("least often drawn", order[:5]), ("most often drawn", order[:-6:-1])]
        return join([chart, facts((word, ", ".join(_query_text(entry, k) for k in some)) for word, some in ends)])
    rows = [(str(label), hit) for label, hit in zip(entry.labels, entry.hit_percent, strict=True)]
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
