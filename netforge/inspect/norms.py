"""How weights, gradients and updates grew and shrank in the course of a run, layer by layer, as its log tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from netforge.errors import DataError, counted
from netforge.inspect.charts import Series, line_chart
from netforge.inspect.gradients import WeightNorms, verdicts
from netforge.inspect.page import Card, card, page, table
from netforge.inspect.palette import HUES
from netforge.inspect.run import Measured, Run

MOST_CURVES = len(HUES)
"""Each has a colour of its own; of more layers some are shown, evenly spread from the first to the last."""
RUN_COLUMNS = ("weight", "value", "gradient at first", "gradient at last", "update / value", "remark")


def norm_cards(run: Run, *, values: bool = False) -> Iterator[Card]:
    """Charts of the gradients and of updates in proportion to values over iterations, a curve for each layer's weights.

    values: a chart of the weights' own sizes too. Nothing where the log holds no norms, as those of earlier versions.
    """
    if not run.norms:
        return
    names, some = _shown_names(run.norms)
    iterations = [entry.iteration for entry in run.norms]

    def chart(title: str, note: str, sizes: Callable[[str], Sequence[float]]) -> Card:
        series = [Series(name, iterations, sizes(name)) for name in names]
        drawing = line_chart(series, label=f"{title} over iterations, layer by layer", log=True)
        return card(title, drawing, note=f"{note}{some}")

    own = "Root mean squares, before clipping, decay and rate"
    yield chart("Gradients", own, lambda name: _curve(run.norms, name, 1))
    share = "What an update changes, as a share of the weights"
    yield chart("Updates / weights", share, lambda name: _ratio(run.norms, name))
    if values:
        yield chart("Weights", "Root mean squares", lambda name: _curve(run.norms, name, 0))


def run_norm_rows(run: Run) -> list[tuple[str, ...]]:
    """Each weight in words, in the order of RUN_COLUMNS: the newest sizes, and what is remarkable in the mean of all.

    Raises DataError where the log holds no norms.
    """
    if not run.norms:
        raise DataError(
            "the log of this run holds no norms: it shows no display, nothing learns, or an earlier version wrote it",
            where=str(run.path),
            mend="set display in the solver; or give --solver, which measures some batches",
        )
    names = list(run.norms[-1].weights)
    whole = [WeightNorms(*_split(name), _curve(run.norms, name, 0), _curve(run.norms, name, 1)) for name in names]
    remarks = verdicts(whole)
    rows = []
    for name, one in zip(names, whole, strict=True):
        ratio = _ratio(run.norms, name)[-1]
        sizes = (one.data[-1], one.diff[0], one.diff[-1], ratio)
        rows.append((name, *(f"{size:.3g}" for size in sizes), remarks.get(one.name, "")))
    return rows


def run_norms_page(run: Run) -> str:
    """A page with the charts of a run and a table of its weights."""
    rows = [(number, *row) for number, row in enumerate(run_norm_rows(run), start=1)]
    span = f"iterations {run.norms[0].iteration:,} to {run.norms[-1].iteration:,}"
    return page(
        f"Gradients of {run.name}",
        *norm_cards(run, values=True),
        card("Weights and gradients", table(("", *RUN_COLUMNS), rows, right=(0, 2, 3, 4, 5)), wide=True),
        subtitle=f"root mean squares in {counted(len(run.norms), 'iteration')}, {span}",
    )


def _shown_names(norms: Sequence[Measured]) -> tuple[list[str], str]:
    """The first weight of each layer, or some of them, and what is to be said about the choice."""
    names = [name for name in norms[-1].weights if name.endswith("[0]")] or list(norms[-1].weights)
    if len(names) <= MOST_CURVES:
        return names, ""
    kept = [names[round(k * (len(names) - 1) / (MOST_CURVES - 1))] for k in range(MOST_CURVES)]
    return kept, f"; {MOST_CURVES} of {counted(len(names), 'layer')}, evenly spread"


def _curve(norms: Sequence[Measured], name: str, which: int) -> tuple[float, ...]:
    return tuple(entry.weights[name][which] if name in entry.weights else math.nan for entry in norms)


def _ratio(norms: Sequence[Measured], name: str) -> tuple[float, ...]:
    """Update by value of a weight, to the four digits that a log has; NaN where the value is 0."""
    pairs = zip(_curve(norms, name, 2), _curve(norms, name, 0), strict=True)
    return tuple(float(f"{update / value:.4g}") if value else math.nan for update, value in pairs)


def _split(name: str) -> tuple[str, int]:
    layer, _, index = name.rpartition("[")
    return layer, int(index.rstrip("]"))
