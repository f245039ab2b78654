"""The live lines of a run on a terminal: a bar with the time left, and the numbers of the moment."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netforge.cli.screen import clock_text
from netforge.cli.sparkline import BLOCKS, Curve, sparkline

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

IN_ASCII = str.maketrans(BLOCKS + "━─╸", "_.,-~+*#=-=")  # for terminals that cannot show blocks and lines
SPARK_WIDTH = 16
MOST_NUMBER_LINES = 5
SMOOTHING = 0.8  # the share of the past in the smoothed loss, at each display
LEAST_TO_SMOOTH = 5


@dataclass
class Metric:
    """One output of the tests: its newest value, and the best one with its iteration, the lowest where it `falls`."""

    falls: bool = False
    value: float = math.nan
    best: float = math.nan
    at: int = 0
    count: int = 0

    def add(self, iteration: int, value: float) -> None:
        """Take the value of another test."""
        self.value = value
        self.count += 1
        if math.isfinite(value) and (math.isnan(self.best) or (value < self.best if self.falls else value > self.best)):
            self.best, self.at = value, iteration

    @property
    def remark(self) -> str:
        """How the newest value stands among all."""
        word = "lowest" if self.falls else "highest"
        if self.count < 2 or math.isnan(self.best):
            return ""
        best = f"{self.best:.4g}"
        return f" ({word})" if best == f"{self.value:.4g}" else f" ({word} {best} at {self.at:,})"


@dataclass
class Progress:
    """What the live lines show; `rich` renders them, below an empty one, never wider than the window.

    first, last: the iterations at which this run started and will end. images_per_iteration: items of the data layers'
    batches. metrics: what the tests found, by name. testing, stopping: what goes on. ended: how it ended.
    """

    first: int
    last: int
    images_per_iteration: int
    clock: Callable[[], float] = time.monotonic
    iteration: int = 0
    loss: float | None = None
    rate: float | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    testing: bool = False
    stopping: bool = False
    ended: str = ""
    losses: Curve = field(default_factory=Curve)
    _pauses: float = 0.0
    _smoothed: float = 0.0
    _weight: float = 0.0

    def __post_init__(self) -> None:
        self.iteration = self.first
        self._start = self.clock()
        self._marks: deque[tuple[float, int]] = deque([(self._start, self.first)], maxlen=60)

    def advance(self, iteration: int) -> None:
        """Note that `iteration` updates are done."""
        self.iteration = iteration
        now = self.clock()
        if now - self._marks[-1][0] >= 0.25 or len(self._marks) == 1:
            self._marks.append((now, iteration))

    def pause(self, seconds: float) -> None:
        """Leave a time span (a test, a snapshot) out of the speed."""
        self._marks = deque(((t + seconds, i) for t, i in self._marks), maxlen=self._marks.maxlen)
        self._pauses += seconds

    @property
    def seconds(self) -> float:
        """Time since the start, tests and snapshots included."""
        return self.clock() - self._start

    @property
    def speed(self) -> float:
        """Iterations in a second over the last while; 0 before the first."""
        (t0, i0), (t1, i1) = self._marks[0], self._marks[-1]
        return (i1 - i0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Expected time until the end, with its share of tests; None while unknown."""
        if not self.speed or self.iteration <= self.first:
            return None
        remaining = self.last - self.iteration
        return remaining / self.speed + self._pauses * remaining / (self.iteration - self.first)

    def show_loss(self, loss: float, rate: float) -> None:
        """Take the newest loss and learning rate."""
        self.loss, self.rate = loss, rate
        self.losses.add(loss)
        if math.isfinite(loss):
            self._smoothed = SMOOTHING * self._smoothed + (1 - SMOOTHING) * loss
            self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)

    def show_test(self, iteration: int, name: str, value: float, *, falls: bool) -> None:
        """Take an output of a test. falls: whether lower is better."""
        self.metrics.setdefault(name, Metric(falls)).add(iteration, value)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1
        yield ""
        for line in (self.bar_line(width), *self.number_lines(width)):
            if options.ascii_only:
                line.plain = line.plain.translate(IN_ASCII)
            yield line

    def activity(self) -> str:
        """What goes on: the end, a test, the stop that was asked for, or how much time is left."""
        if self.ended:
            return self.ended
        if self.stopping:
            return "stopping (at once: Ctrl-C)"
        if self.testing:
            return "testing"
        left = self.seconds_left
        return "" if left is None else f"{clock_text(left)} left"

    def bar_line(self, width: int) -> Text:
        """Iteration, bar, share, time left; the bar takes what the others leave, and goes where that is too little."""
        from rich.text import Text

        span = max(self.last - self.first, 1)
        share = min(max((self.iteration - self.first) / span, 0.0), 1.0)
        head = f"{self.iteration:,} / {self.last:,}"
        tail = f"{share:4.0%}  {self.activity()}".rstrip()
        room = width - len(head) - len(tail) - 4
        if room < 8:
            return Text(f"{head}  {tail.strip()}"[:width], style="bold")
        done = share * room
        full = int(done)
        half = "╸" if done - full >= 0.5 and full < room else ""
        rest = room - full - len(half)
        return Text.assemble((head, "bold"), "  ", ("━" * full + half, "cyan"), ("─" * rest, "dim"), "  ", tail)

    def number_lines(self, width: int) -> Iterator[Text]:
        """Loss with its curve, newest and best tests, speed and rate, on a few lines; what does not fit is left out."""
        from rich.text import Text

        line, count = Text(), 0
        for part in self.number_parts():
            if len(line) + 3 + len(part) > width and line:
                yield line
                line, count = Text(), count + 1
            if count == MOST_NUMBER_LINES:
                return
            if len(part) <= width:
                line.append("   " if line else "")
                line.append_text(part)
        if line:
            yield line

    def number_parts(self) -> Iterator[Text]:
        """The numbers, the most important first."""
        from rich.text import Text

        if self.loss is not None:
            yield Text.assemble(("loss ", "dim"), (f"{self.loss:.4g}", "bold"))
        if len(self.losses) > 2:
            yield Text(sparkline(self.losses.values, SPARK_WIDTH), style="cyan")
        if len(self.losses) >= LEAST_TO_SMOOTH and self._weight:
            yield Text.assemble(("smoothed ", "dim"), f"{self._smoothed / self._weight:.4g}")
        for name, metric in sorted(self.metrics.items(), key=lambda item: item[1].falls):
            colour = "bold" if metric.falls else "bold green"
            yield Text.assemble((f"{name} ", "dim"), (f"{metric.value:.4g}", colour), (metric.remark, "dim"))
        if self.speed:
            yield Text.assemble(f"{self.speed:,.3g}", (" it/s", "dim"))
            yield Text.assemble(f"{self.speed * self.images_per_iteration:,.0f}", (" images/s", "dim"))
        if self.rate is not None:
            yield Text.assemble(("learning rate ", "dim"), f"{self.rate:.4g}")
