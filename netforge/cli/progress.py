"""The two live lines of a run on a terminal: a bar with the time left, and the numbers of the moment."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from netforge.cli.screen import clock_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"
IN_ASCII = str.maketrans(BLOCKS + "━─╸", "_.,-~+*#=-=")  # for terminals that cannot show blocks and lines
SPARK_WIDTH = 16


@dataclass
class Progress:
    """What the live lines show; `rich` renders them, below an empty one, never wider than the window.

    first, last: the iterations at which this run started and will end. images_per_iteration: items of the data layers'
    batches. metrics: the newest test results, name to value. testing, stopping: what goes on. ended: how it ended.
    """

    first: int
    last: int
    images_per_iteration: int
    clock: Callable[[], float] = time.monotonic
    iteration: int = 0
    loss: float | None = None
    rate: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    testing: bool = False
    stopping: bool = False
    ended: str = ""
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=400))
    _pauses: float = 0.0

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
        self.losses.append(loss)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1
        yield ""
        for line in (self.bar_line(width), self.number_line(width)):
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

    def number_line(self, width: int) -> Text:
        """Loss with its curve, rate, speed and the newest test; what does not fit is left out, the last first."""
        from rich.text import Text

        line = Text()
        for part in self.number_parts():
            gap = 3 if line else 0
            if len(line) + gap + len(part) > width:
                break
            line.append(" " * gap)
            line.append_text(part)
        return line

    def number_parts(self) -> list[Text]:
        """The numbers, the most important first."""
        from rich.text import Text

        parts = []
        if self.loss is not None:
            parts.append(Text.assemble(("loss ", "dim"), (f"{self.loss:.4g}", "bold")))
        for name, value in self.metrics.items():
            parts.append(Text.assemble((f"{name} ", "dim"), (f"{value:.4g}", "bold green")))
        if len(self.losses) > 2:
            parts.insert(1, Text(sparkline(list(self.losses), SPARK_WIDTH), style="cyan"))
        if self.speed:
            parts.append(Text.assemble(f"{self.speed * self.images_per_iteration:,.0f}", (" images/s", "dim")))
        if self.rate is not None:
            parts.append(Text.assemble(("rate ", "dim"), f"{self.rate:.4g}"))
        return parts


def sparkline(values: list[float], width: int) -> str:
    """A curve of at most `width` block characters; each stands for the mean of its share of the values.

    Values that are all positive are drawn on a logarithmic scale, as losses fall by factors.
    """
    if min(values) > 0:
        values = [math.log(value) for value in values]
    columns = min(width, len(values))
    edges = [len(values) * i // columns for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)
