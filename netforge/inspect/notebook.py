"""What notebooks show of nets, solvers and runs: small pieces of HTML that look right on light and on dark paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netforge.errors import counted
from netforge.inspect.canvas_svg import to_svg
from netforge.inspect.charts import still_chart
from netforge.inspect.diagram import diagram
from netforge.inspect.page import Html, code, details, element, table
from netforge.inspect.run_curves import falls_far, loss_series, score_series
from netforge.inspect.run_text import command_line, ending_text, final_scores, started
from netforge.inspect.runs import with_earlier
from netforge.inspect.wording import count_text, shape_text, span_text

if TYPE_CHECKING:
    from netforge.inspect.run import Run
    from netforge.net import Net
    from netforge.solver import Solver

MOST_DRAWN = 60  # layers of a net whose diagram is still looked at in a cell of a notebook
SHOWN = ("type", "base_lr", "lr_policy", "momentum", "weight_decay", "max_iter", "iter_size", "random_seed")


def net_html(net: Net) -> str:
    """A net: its sums, a table of its layers (name, type, shapes of tops, weights), and its diagram, folded away.

    Colours are those of the notebook; names are escaped. Nothing is computed beyond shapes.
    """
    rows = net.describe()
    owned = sum(row.weight_count for row in rows)
    head = f"phase {net.phase}, {net.device.name}: {counted(len(rows), 'layer')}, {count_text(owned, 'weight')}"
    cells = (
        (
            row.name,
            row.type,
            ", ".join(f"{name} {shape_text(shape)}" for name, shape in row.tops),
            f"{row.weight_count:,}" if row.weight_count else "",
        )
        for row in rows
    )
    layers = table(("layer", "type", "tops", "weights"), cells, right=(3,))
    parts = [element("b", net.name or "Net"), f" {head}", details("Layers", layers, open_=len(rows) <= MOST_DRAWN)]
    if len(rows) <= MOST_DRAWN:
        parts.append(details("Diagram", Html(to_svg(diagram(net)))))  # on paper of its own: a notebook may be dark
    return element("div", *parts)


def solver_html(solver: Solver) -> str:
    """A solver: how far it is, its newest losses, the settings that its file gives, and its training net."""
    message = solver.settings
    known = [("iteration", f"{solver.iteration:,} of {message.max_iter:,}"), ("seed", str(solver.seed))]
    if solver.losses:
        newest = list(solver.losses)[-5:]
        known.append(("newest losses" if len(newest) > 1 else "newest loss", ", ".join(f"{x:.4g}" for x in newest)))
    known.append(("learning rate", f"{solver.rate:.4g}"))
    given = [(name, getattr(message, name)) for name in SHOWN if message.HasField(name)]
    settings = [(name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in given]
    head = (element("b", "Solver"), f" {solver.definition.source}", table(("training", ""), known))
    return element("div", *head, details("Settings", table(("setting", ""), settings)), Html(net_html(solver.net)))


def run_html(run: Run) -> str:
    """A run: how it ended, its newest scores and losses, their curves, and the command that repeats it, folded away.

    Curves go back over the runs that it went on from. Colours are those of the notebook; no script is needed.
    """
    values = list(final_scores(run).items())
    if run.displays:
        values.append(("training loss", run.displays[-1].loss))
    whole = with_earlier(run)
    losses, scores = loss_series(whole), score_series(whole)
    charts = [still_chart(losses, label="loss", log=falls_far(losses))] if losses else []
    charts += [still_chart(scores, label="scores of tests")] if scores else []
    facts = [
        ("ended", ending_text(run)),
        ("iterations", f"{run.iteration:,} to {run.last_iteration:,}"),
        ("time", f"{span_text(run.duration)}, from {started(run)}"),
        ("device", run.device),
        ("seed", run.seed),
        ("log", run.path),
    ]
    figures = [table([name for name, _ in values], [[f"{value:.4g}" for _, value in values]])] if values else []
    return element(
        "div",
        element("b", run.name),
        f" {run.source}",
        *figures,
        element("div", *charts, style="display:flex;flex-wrap:wrap;gap:12px"),
        details("Run", table(("", ""), facts)),
        details("Command", code(command_line(run))),
    )
