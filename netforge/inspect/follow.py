"""Following a run by its log: what is there, since when nothing has come, and how long it may still take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from netforge.errors import DataError
from netforge.inspect.run import Run
from netforge.inspect.runs import RunReader, find_run

RUNS = "runs"  # the folder of runs where none is named
PATIENCE_S, FIRST_PATIENCE_S = 20.0, 120.0  # a log that is silent for longer may be that of a run that was killed
PACE_OF = 20  # displays that tell the pace


@dataclass(frozen=True)
class Sight:
    """What a look at a run saw.

    run: as far as its log goes, None where there is none yet. age_s: seconds since the log has grown. mark: differs
    from that of another look where the log does. trouble: why what has come cannot be read.
    """

    run: Run | None = None
    age_s: float = 0.0
    mark: tuple[Path, int] | None = None
    trouble: str = ""

    @property
    def silent(self) -> bool:
        """Whether nothing has come for so long that the run may have been killed: three times the longest gap."""
        if self.run is None or self.run.reason is not None or self.age_s <= PATIENCE_S:
            return False
        shown, tested = (one.time for one in self.run.displays), (one.time for one in self.run.tests)
        gaps = [later - earlier for earlier, later in pairwise(sorted([self.run.start, *shown, *tested]))]
        return self.age_s > max(PATIENCE_S if len(gaps) > 1 else FIRST_PATIENCE_S, 3 * max(gaps, default=0.0))


class Follower:
    """Follows the newest run that `wanted` means to `find_run`; None: under ./runs, where there may be none yet."""

    def __init__(self, wanted: str | Path | None = None) -> None:
        self.wanted = wanted
        self._reader: RunReader | None = None
        self._grown_at = 0.0
        self._last = Sight()

    def look(self) -> Sight:
        """The run as it is now. A newer one takes its place as soon as its log has a beginning."""
        trouble = ""
        try:
            self._find()
        except DataError as error:
            trouble = str(error)
        if self._reader is None:
            return Sight(trouble=trouble)
        before = self._reader.position
        run = self._last.run
        try:
            run = self._reader.read()
        except DataError as error:
            trouble = str(error)
        now = time.monotonic()
        if self._reader.position != before:
            self._grown_at = now
        self._last = Sight(run, now - self._grown_at, (self._reader.path, self._reader.position), trouble)
        return self._last

    def _find(self) -> None:
        try:
            path = find_run(RUNS if self.wanted is None else self.wanted)
        except DataError:
            if self.wanted is None:
                return  # none has begun yet, or all are gone: what was seen stays
            raise
        if self._reader is not None and path == self._reader.path:
            return
        reader = RunReader(path)
        try:
            run = reader.read()
        except DataError:
            if not _has_line(path):
                return  # its first line is being written
            raise
        try:
            age_s = max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            age_s = 0.0
        self._reader, self._grown_at = reader, time.monotonic() - age_s
        self._last = Sight(run)


def _has_line(path: Path) -> bool:
    """Whether the first line is whole."""
    try:
        with path.open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:
        return True  # it cannot be read, which is another trouble


def seconds_left(sight: Sight, last: int) -> float | None:
    """Expected time until iteration `last`, by the pace of the newest displays, tests included; None while unknown."""
    run = sight.run
    shown = run.displays[-PACE_OF:] if run is not None else []
    if run is None or len(shown) < 2 or not last:
        return None
    span, steps = shown[-1].time - shown[0].time, shown[-1].iteration - shown[0].iteration
    if span <= 0 or steps <= 0:
        return None
    since = run.end - shown[-1].time + sight.age_s
    return max(0.0, (last - shown[-1].iteration) * span / steps - since)
