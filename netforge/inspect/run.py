"""What a run was: its displays, tests, label queries and snapshots, as its log tells of them; `runs` reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

ENDING = ".log.jsonl"


@dataclass(frozen=True)
class Shown:
    """A display: finished updates, mean loss, learning rate, outputs by name (floats or lists), and speed.

    iterations, items: how many since the display before, in `seconds`. time: seconds since 1970.
    """

    time: float
    iteration: int
    loss: float
    rate: float
    outputs: dict[str, Any]
    iterations: int
    items: int
    seconds: float


@dataclass(frozen=True)
class Tested:
    """The mean outputs of a test net over its batches; losses: names of the outputs that count towards the loss."""

    time: float
    iteration: int
    net: int
    batches: int
    outputs: dict[str, Any]
    losses: tuple[str, ...]
    loss: float | None
    seconds: float

    @property
    def scores(self) -> dict[str, float]:
        """The outputs that are one number and no loss: accuracies."""
        return {k: v for k, v in self.outputs.items() if isinstance(v, float) and k not in self.losses}


@dataclass(frozen=True)
class Queried:
    """How often training had drawn each label of a source: counts, their share in percent, and epochs (if known)."""

    iteration: int
    source: str
    labels: tuple[int, ...]
    counts: tuple[int, ...]
    hit_percent: tuple[float, ...]
    epochs: tuple[float, ...] | None


class Measured(NamedTuple):
    """Root mean squares of each weight, "conv1[0]", in one iteration: of its values, its gradient and its update."""

    iteration: int
    weights: dict[str, tuple[float, float, float]]


class Stored(NamedTuple):
    """A snapshot: the files of weights and of the solver's state, each None where it was not written."""

    iteration: int
    weights: str | None
    state: str | None


@dataclass(frozen=True, repr=False)
class Run:
    """One run, as far as its log goes.

    path: the log. start: when it began, seconds since 1970. iteration: where it began, not 0 where it went on with
    `restored_from`. weights: files it started from. plugins: modules that --plugin or `Solver(plugins=...)` named.
    command, folder: the words that began it and where; empty where it was begun from Python. source, solver, nets: the
    solver's file, its text, and the nets' texts by file. notices: (iteration, text). reason: why it ended ("finished",
    "stopped", "aborted", "failed"), None while it goes on or where it was killed; error: what failed. end: time of the
    last record. cut: whether the last line is not whole.
    """

    path: Path
    start: float
    iteration: int
    seed: int
    device: str
    execution: str
    command: tuple[str, ...]
    folder: str
    source: str
    solver: str
    nets: dict[str, str]
    plugins: tuple[str, ...]
    restored_from: str | None
    weights: tuple[str, ...]
    versions: dict[str, str]
    displays: list[Shown] = field(default_factory=list)
    tests: list[Tested] = field(default_factory=list)
    queries: list[Queried] = field(default_factory=list)
    norms: list[Measured] = field(default_factory=list)
    notices: list[tuple[int, str]] = field(default_factory=list)
    snapshots: list[Stored] = field(default_factory=list)
    reason: str | None = None
    error: str | None = None
    end: float = 0.0
    cut: bool = False

    def __repr__(self) -> str:
        """Name, iterations and end; the records would fill pages."""
        ending = self.reason or "no end"
        return f"Run({self.name!r}, iterations {self.iteration} to {self.last_iteration}, {ending})"

    def _repr_html_(self) -> str:
        """What a notebook shows: scores, curves, how it ended."""
        from netforge.inspect import notebook

        return notebook.run_html(self)

    @property
    def name(self) -> str:
        """The name of the log without its ending: PREFIX.TIME."""
        return self.path.name.removesuffix(ENDING)

    @property
    def duration(self) -> float:
        """Seconds from the start to the last record."""
        return max(0.0, self.end - self.start)

    @property
    def speed(self) -> float | None:
        """Items a second in training; None where no display has measured any."""
        seconds = sum(shown.seconds for shown in self.displays)
        return sum(shown.items for shown in self.displays) / seconds if seconds else None

    @property
    def last_iteration(self) -> int:
        """The finished updates that the log knows of."""
        seen = [shown.iteration for shown in self.displays] + [test.iteration for test in self.tests]
        return max([*seen, *(entry.iteration for entry in self.snapshots)], default=self.iteration)

    def final_tests(self) -> list[Tested]:
        """The newest test of each test net, in their order."""
        newest = {test.net: test for test in self.tests}
        return [newest[net] for net in sorted(newest)]

    def final_queries(self) -> list[Queried]:
        """The newest label queries of each source."""
        return list({entry.source: entry for entry in self.queries}.values())

    def find_file(self, written: str) -> Path | None:
        """A file that the log names: where it says, from the run's folder, or beside the log; None where it is gone."""
        path = Path(written)
        places = (path, Path(self.folder) / path, self.path.parent / path.name)
        return next((place for place in places if place.is_file()), None)

    def newest(self, kind: Literal["weights", "state"]) -> Path | None:
        """The newest snapshot of weights, or of the solver's state, that is still there."""
        for entry in reversed(self.snapshots):
            written: str | None = getattr(entry, kind)
            found = self.find_file(written) if written else None
            if found is not None:
                return found
        return None
