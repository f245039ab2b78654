"""Training on a terminal: lines for tests and snapshots, and below them the live lines of `progress`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netforge.cli.label_query_text import screen_texts
from netforge.cli.outputs import single_values
from netforge.cli.progress import Progress
from netforge.cli.screen import console, seconds_text, styled
from netforge.cli.signals import Signals
from netforge.solver import Display, Listener, SnapshotPaths, Solver, StopReason, TestResult

if TYPE_CHECKING:
    from rich.live import Live

    from netforge.data.label_queries import LabelQueryCounts

REFRESH_S = 0.2


class TrainScreen(Listener):
    """Shows a run. It draws between iterations, at most five times a second, without a thread of its own.

    images_per_iteration: for the speed. signals: tells when a stop was asked for.
    """

    def __init__(self, images_per_iteration: int, signals: Signals) -> None:
        self.screen = console()
        self._images = images_per_iteration
        self._signals = signals
        self._progress: Progress | None = None
        self._live: Live | None = None
        self._next_draw = 0.0

    def on_start(self, solver: Solver) -> None:
        """Open the live lines."""
        from rich.live import Live

        last = solver.settings.max_iter
        self._progress = Progress(solver.iteration, last, self._images)
        self._live = Live(self._progress, console=self.screen, auto_refresh=False)
        self._live.start(refresh=True)
        self._signals.announce = self._announce_stop

    def on_iteration(self, solver: Solver) -> None:
        """Count, and draw if it is time to."""
        assert self._progress
        self._progress.advance(solver.iteration)
        self._draw()

    def on_display(self, solver: Solver, display: Display) -> None:
        """Take loss and rate into the live lines."""
        assert self._progress
        self._progress.show_loss(display.loss, display.rate)
        self._draw()

    def on_notice(self, solver: Solver, text: str) -> None:
        """What a layer finds wrong with the training."""
        self._say(f"  iteration {solver.iteration:>7,}", ("   warning", "bold yellow"), f"   {text}")

    def on_debug(self, solver: Solver, lines: Sequence[str]) -> None:
        """The lines of debug_info, above the live ones."""
        for line in lines:
            self.screen.print(styled((line, "dim")))

    def on_test_start(self, solver: Solver, net: int) -> None:
        """Show that a test runs."""
        assert self._progress
        self._progress.testing = True
        self._draw(now=True)

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """A line with the results; they stay in the live lines too."""
        assert self._progress
        values = single_values(result.outputs)
        if result.loss is not None:
            values["mean loss"] = result.loss
        weighted = {output.name for output in result.outputs if output.loss_weight}
        self._progress.metrics = {name: value for name, value in values.items() if name not in weighted}
        self._progress.testing = False
        self._progress.pause(result.seconds)
        numbers = [part for name, value in values.items() for part in ((f"   {name} ", "dim"), f"{value:<8.4g}")]
        which = f"test #{result.net}" if len(solver.test_nets) > 1 else "test"
        self._say(f"  iteration {result.iteration:>7,}", (f"   {which:8}", "green"), *numbers)

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """A line for each source: how often training drew its labels."""
        for text in screen_texts(queries):
            self._say(f"  iteration {solver.iteration:>7,}", ("   drawn   ", "magenta"), f"   {text}")

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """A line with the files."""
        written = [path for path in paths if path]
        names = ", ".join([str(path) for path in written[:1]] + ["".join(path.suffixes[-2:]) for path in written[1:]])
        self._say(f"  iteration {solver.iteration:>7,}", ("   snapshot", "blue"), f"   {names}")

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Close the live lines; they stay as they are."""
        if self._progress is None or self._live is None:
            return  # it failed before it began
        spent = f"in {seconds_text(self._progress.seconds)}"
        self._progress.ended = spent if reason is StopReason.FINISHED else reason.value
        self._live.refresh()
        self._live.stop()

    def _announce_stop(self) -> None:
        assert self._progress
        self._progress.stopping = True
        self._draw(now=True)

    def _say(self, *parts: str | tuple[str, str]) -> None:
        self.screen.print(styled(*parts), soft_wrap=True)

    def _draw(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if self._live and (now or moment >= self._next_draw):
            self._next_draw = moment + REFRESH_S
            self._live.refresh()
