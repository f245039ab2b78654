"""Training on a terminal: lines for tests and snapshots, and below them the live lines of `progress`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netforge.cli.label_query_text import screen_texts
from netforge.cli.live_lines import LiveLines
from netforge.cli.outputs import single_values
from netforge.cli.progress import Progress
from netforge.cli.screen import console, hanging, seconds_text, styled
from netforge.cli.signals import Signals
from netforge.solver import Display, Listener, SnapshotPaths, Solver, StopReason, TestResult

if TYPE_CHECKING:
    from rich.text import Text

    from netforge.data.labels.label_queries import LabelQueryCounts

REFRESH_S = 0.2
NARROW = 64  # columns; from here on a line has room for the word "iteration"


class TrainScreen(Listener):
    """Shows a run. It draws between iterations, at most five times a second, without a thread of its own.

    images_per_iteration: for the speed. signals: tells when a stop was asked for. every_display: leave a line for each
    display, too.
    """

    def __init__(self, images_per_iteration: int, signals: Signals, *, every_display: bool = False) -> None:
        self.screen = console()
        self._images = images_per_iteration
        self._signals = signals
        self._every_display = every_display
        self._digits = 0
        self._progress: Progress | None = None
        self._live: LiveLines | None = None
        self._next_draw = 0.0

    def on_start(self, solver: Solver) -> None:
        """Open the live lines."""
        last = solver.settings.max_iter
        self._digits = len(f"{last:,}")
        self._progress = Progress(solver.iteration, last, self._images)
        self._live = LiveLines(self.screen, self._progress)
        self._live.start()
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
        if self._every_display:
            values = {"loss": display.loss, **single_values(display.outputs), "learning rate": display.rate}
            self._say_numbers(display.iteration, ("train", "cyan"), values)
        self._draw()

    def on_notice(self, solver: Solver, text: str) -> None:
        """What a layer finds wrong with the training."""
        self._say(solver.iteration, ("warning", "bold yellow"), styled(text))

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
        which = f" #{result.net}" if len(solver.test_nets) > 1 else ""
        losses = {output.name for output in result.outputs if output.loss_weight} | {"mean loss"}
        for name, value in values.items():
            word = f"test {name}" if name in losses else name
            self._progress.show_test(result.iteration, word + which, value, falls=name in losses)
        self._progress.testing = False
        self._progress.pause(result.seconds)
        self._say_numbers(result.iteration, ("test" + which, "green"), values)

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """A line for each source: how often training drew its labels."""
        for text in screen_texts(queries):
            self._say(solver.iteration, ("drawn", "magenta"), styled(text))

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """A line with the files."""
        written = [path for path in paths if path]
        names = ", ".join([str(path) for path in written[:1]] + ["".join(path.suffixes[-2:]) for path in written[1:]])
        self._say(solver.iteration, ("snapshot", "blue"), styled(names), fold=False)

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Close the live lines; they stay as they are."""
        if self._progress is None or self._live is None:
            return  # it failed before it began
        spent = f"in {seconds_text(self._progress.seconds)}"
        self._progress.ended = spent if reason is StopReason.FINISHED else reason.value
        self._live.stop()

    def _announce_stop(self) -> None:
        assert self._progress
        self._progress.stopping = True
        self._draw(now=True)

    def _say(self, iteration: int, kind: tuple[str, str], what: Text, *, fold: bool = True) -> None:
        """Leave a line: the iteration, a coloured word, and what there is to say, folded below its own beginning.

        What somebody may want to copy is not folded: the terminal breaks it where it has to.
        """
        word, style = kind
        number = f"{iteration:>{self._digits},}"
        if self._narrow:
            head = styled(f"{number} ", (f"{word:8}", style), " ")
        else:
            head = styled(f"  iteration {number}   ", (f"{word:8}", style), "   ")
        self.screen.print(hanging(self.screen, head, what, fold=fold), soft_wrap=True)

    def _say_numbers(self, iteration: int, kind: tuple[str, str], values: Mapping[str, float]) -> None:
        """Leave a line of names and numbers."""
        parts: list[str | tuple[str, str]] = []
        for name, value in values.items():
            parts += [(f"{name} ", "dim"), f"{value:.4g}  " if self._narrow else f"{value:<8.4g}   "]
        text = styled(*parts)
        text.rstrip()
        self._say(iteration, kind, text)

    @property
    def _narrow(self) -> bool:
        return self.screen.width < NARROW

    def _draw(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if self._live and (now or moment >= self._next_draw):
            self._next_draw = moment + REFRESH_S
            self._live.refresh()
