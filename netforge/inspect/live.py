"""A run while it trains: its page, and the cards of it that have changed since somebody last asked.

Nothing here touches the training: it reads the log that the run writes, at most twice a second however many pages ask.
"""

from __future__ import annotations

import secrets
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from netforge.errors import DataError, NetforgeError
from netforge.inspect.follow import RUNS, Follower, Sight, seconds_left
from netforge.inspect.page import Card, Html, asset, card, code, element, join, json_script, page, scores
from netforge.inspect.report import report_page
from netforge.inspect.report_log import (
    command_card,
    curve_cards,
    notice_card,
    query_cards,
    result_card,
    source_card,
)
from netforge.inspect.run import Run
from netforge.inspect.run_text import ending_text, started
from netforge.inspect.runs import page_of, read_run, runs_before, with_earlier
from netforge.inspect.wording import span_text
from netforge.schema import parse_solver

REFRESH_S = 0.5  # between two looks at the log
REST = 8  # times as much longer, for every second that a look takes: a long log is looked at less often

OFFLINE = element(
    "p",
    "No answer from netforge monitor: it was ended, or cannot be reached. This page goes on when it answers again.",
    id="offline",
    class_="card wide alarm",
    hidden=True,
)


class LiveRun:
    """The page of a run that goes on, for a server: whole, and what of it has changed.

    wanted: the run, as for `Follower`. refresh_s: the log is not looked at more often. Methods may be called from many
    threads at once.
    """

    def __init__(self, wanted: str | Path | None = None, *, refresh_s: float = REFRESH_S) -> None:
        self._follower = Follower(wanted)
        self._refresh_s = refresh_s
        self._server = secrets.token_hex(8)
        self._lock, self._report_lock = threading.Lock(), threading.Lock()
        self._due = 0.0
        self._sight = Sight()
        self._before: tuple[Path, float, list[Run]] | None = None  # of which log and start, and what was before
        self._version = 0
        self._cards: dict[str, Card] = {}
        self._versions: dict[str, int] = {}
        self._report: tuple[tuple[Path, int], str] | None = None

    def changes(self, since: int) -> dict[str, Any]:
        """What a page needs that knows version `since` (0: nothing): keys of all cards in order, and those that differ.

        server: of another process it is another one, whose versions cannot be compared.
        """
        with self._lock:
            self._refresh()
            return {
                "server": self._server,
                "version": self._version,
                **_headings(self._sight),
                "keys": list(self._cards),
                "cards": {key: self._cards[key] for key, version in self._versions.items() if version > since},
            }

    def page(self) -> str:
        """The whole page, which asks `/changes?since=VERSION` of its server for what is new."""
        now = self.changes(0)
        known = {name: now[name] for name in ("server", "version", "keys")}
        return page(
            now["heading"],
            OFFLINE,
            *(now["cards"][key] for key in now["keys"]),
            json_script(known, id="live"),
            subtitle=now["subtitle"],
            styles=asset("live.css"),
            scripts=[asset("live.js")],
            asks_server=True,
        )

    def report(self) -> str:
        """The report of the run as it is now, with what loads the net, on the CPU; kept until the log grows.

        Raises DataError where there is no run.
        """
        with self._report_lock:
            with self._lock:
                self._refresh()
                mark = self._sight.mark
            if mark is None:
                raise DataError("there is no run yet", where=str(self._follower.wanted or RUNS))
            if self._report is None or self._report[0] != mark:
                self._report = mark, report_page(read_run(mark[0]))
            return self._report[1]

    def _refresh(self) -> None:
        begun = time.monotonic()
        if begun < self._due:
            return
        sight = self._follower.look()
        cards = self._cards
        if sight.mark != self._sight.mark or not cards:
            cards = {} if sight.run is None else _run_cards(sight.run, self._runs_before(sight.run))
        cards = {"Progress": progress_card(sight)} | {key: one for key, one in cards.items() if key != "Progress"}
        if sight.run is not None:
            cards["Full report"] = more_card(sight.run)  # the page of the end is written after the last record
        changed = [key for key, made in cards.items() if self._cards.get(key) != made]
        if changed or list(cards) != list(self._cards):
            self._version += 1
        kept = {key: version for key, version in self._versions.items() if key in cards}
        self._versions = kept | dict.fromkeys(changed, self._version)
        self._sight, self._cards = sight, cards
        now = time.monotonic()
        self._due = now + self._refresh_s * (1 + REST * (now - begun))

    def _runs_before(self, run: Run) -> list[Run]:
        """Those that the run went on from; they are looked for once."""
        if self._before is None or self._before[:2] != (run.path, run.start):
            self._before = run.path, run.start, runs_before(run)
        return self._before[2]


def _headings(sight: Sight) -> dict[str, str]:
    """The title of the window, the heading and what stands below it."""
    run = sight.run
    if run is None:
        where = f"netforge monitor in {Path.cwd()}"
        return {"title": "Waiting for a run", "heading": "Waiting for a run", "subtitle": where}
    last = _last_iteration(run.solver, run.source)
    share = f"{run.last_iteration / last:.0%} " if last else ""
    return {"title": share + run.name, "heading": run.name, "subtitle": f"{run.source}, {started(run)}"}


def _run_cards(run: Run, before: list[Run]) -> dict[str, Card]:
    """The cards below the progress, by heading; of several with one heading the later ones are numbered."""
    made = [result_card(run, ended=False), *curve_cards(with_earlier(run, before)), *query_cards(run)]
    if run.notices:
        made.append(notice_card(run))
    made += [more_card(run), command_card(run), source_card(run)]
    cards: dict[str, Card] = {}
    for one in made:
        number = 1
        while (key := one.heading if number == 1 else f"{one.heading} #{number}") in cards:
            number += 1
        cards[key] = one
    return cards


def progress_card(sight: Sight) -> Card:
    """What goes on, how far it is, and how much time is left."""
    trouble = [element("p", sight.trouble, class_="alarm")] if sight.trouble else []
    run = sight.run
    if run is None:
        words = element("p", "There is no run to show yet. It shows up here by itself as soon as it begins.")
        return card("Progress", *trouble or [words], wide=True)
    last = _last_iteration(run.solver, run.source)
    done = run.last_iteration
    parts = [_state(sight, run)]
    if last:
        parts.append(element("progress", value=min(done, last), max=last, aria_label="iterations done"))
    figures = [(f"of {last:,} iterations, {done / last:.0%}" if last else "iterations", f"{done:,}")]
    left = None if run.reason is not None or sight.silent else seconds_left(sight, last)
    if left is not None:
        figures.append(("left, about", span_text(left, 0)))
    since = run.duration + (sight.age_s if run.reason is None and not sight.silent else 0.0)
    figures.append(("since it began", span_text(since, 0)))
    if run.speed is not None:
        figures.append(("items/s in training", f"{run.speed:,.0f}"))
    return card("Progress", *parts, scores(figures), *trouble, wide=True)


def _state(sight: Sight, run: Run) -> Html:
    """One line: that it trains, that nothing comes, or how it ended."""
    if run.reason is not None:
        how = "state alarm" if run.reason == "failed" else "state good"
        return element("p", element("b", f"The run has ended: {ending_text(run)}."), class_=how)
    if sight.silent:
        head = element("b", f"Nothing has come for {span_text(sight.age_s, 0)}.")
        tail = " It was killed, or something takes unusually long. What goes on with it shows up here by itself."
        return element("p", head, tail, class_="state alarm")
    return element("p", element("b", "Training"), class_="state busy")


def more_card(run: Run) -> Card:
    """Where everything is that needs the net itself."""
    stored = next((entry for entry in reversed(run.snapshots) if entry.weights or entry.state), None)
    newest = f"from the newest snapshot, of iteration {stored.iteration:,}" if stored else "once there is a snapshot"
    words = (
        "Diagram, filters, map of embeddings, confusions and worst mistakes load the net. They are made when you ask "
        f"for them, {newest}, on the CPU of this computer, which takes some seconds: "
    )
    link = element("a", "full report", href="/report", target="_blank", rel="noopener")
    written = page_of(run.path)
    command = join([code(f"netforge report {run.path}"), " writes it to a file."])
    parts = [element("p", words, link, "."), element("p", command)]
    if written.is_file():
        parts.append(element("p", "The page written at the end of training: ", code(str(written))))
    return card("Full report", *parts)


@lru_cache(maxsize=8)
def _last_iteration(solver: str, source: str) -> int:
    """max_iter of a solver's text; 0 where it cannot be read."""
    try:
        return int(parse_solver(solver, source).message.max_iter)
    except NetforgeError:
        return 0
