"""The log of a run: one file of JSON lines beside the snapshots.

Each run writes a file of its own, PREFIX.TIME.log.jsonl with the time of its start in UTC; a resumed run names the
state that it goes on from in its first record, so nothing is ever overwritten and no two runs mix. Every record has
`event` and `time` (seconds since 1970) and is on its way to the disk before training goes on. Numbers that JSON has no
word for (NaN, infinity) are written as strings.

Events: start (versions, seed, device, how it runs iterations, the texts of the solver and of its nets, plugins, the
folder and the command that began the run), display, norms (root mean squares of each weight, its gradient and its
update), notice (what a layer finds wrong with the training), test (and which of its outputs are losses), queries (how
often training drew each label of a source), snapshot, end (why, and how iterations ran at last).
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import google.protobuf
import numpy as np

from netforge import __version__
from netforge.errors import SnapshotError
from netforge.schema import write_text
from netforge.solver.events import Display, Listener, Norms, Output, SnapshotPaths, StopReason, TestResult
from netforge.solver.settings import snapshot_prefix

if TYPE_CHECKING:
    from netforge.data.labels.label_queries import LabelQueryCounts
    from netforge.solver.solver import Solver


class RunLog(Listener):
    """Writes the log of a run.

    path: the file to append to; None makes one beside the snapshots. After training has started, `path` is set.
    command: the words of the command line that begins this run, where there is one.
    """

    def __init__(self, path: str | Path | None = None, *, command: Sequence[str] = ()) -> None:
        self.path = Path(path) if path is not None else None
        self.command = tuple(command)
        self._file: IO[str] | None = None

    @property
    def run_name(self) -> str:
        """What this run is called: the name of its log without the endings, PREFIX.TIME; empty before it starts."""
        return "" if self.path is None else self.path.name.removesuffix(".jsonl").removesuffix(".log")

    def on_start(self, solver: Solver) -> None:
        """Open the file and record where everything came from; raises SnapshotError where it cannot be written."""
        try:
            self._open(solver)
        except OSError as error:
            raise SnapshotError(
                f"the log of the run cannot be written: {error.strerror}",
                where=str(self.path or snapshot_prefix(solver.definition)),
                mend="set snapshot_prefix to a folder that you may write to",
            ) from error
        self._write(
            "start",
            iteration=solver.iteration,
            seed=solver.seed,
            device=solver.device.name,
            execution=solver.execution,
            command=list(self.command),
            folder=str(Path.cwd()),
            source=str(solver.definition.source),
            solver=write_text(solver.settings),
            nets=_net_texts(solver),
            plugins=list(solver.plugins),
            restored_from=str(solver.restored_from) if solver.restored_from else None,
            weights=[str(report.source) for report in solver.load_reports],
            versions=_versions(),
        )

    def on_display(self, solver: Solver, display: Display) -> None:
        """Record loss, rate, outputs and speed."""
        self._write(
            "display",
            iteration=display.iteration,
            loss=display.loss,
            rate=display.rate,
            outputs=_by_name(display.outputs),
            iterations=display.iterations,
            items=display.items,
            seconds=display.seconds,
        )

    def on_norms(self, solver: Solver, norms: Norms) -> None:
        """Record how large weights, gradients and updates are: three numbers for each weight."""
        columns = zip(norms.weights, norms.gradients, norms.updates, strict=True)
        rows = [[float(f"{size:.4g}") for size in row] for row in columns]
        self._write("norms", iteration=norms.iteration, weights=dict(zip(norms.names, rows, strict=True)))

    def on_notice(self, solver: Solver, text: str) -> None:
        """Record what a layer finds wrong with the training."""
        self._write("notice", iteration=solver.iteration, text=text)

    def on_test(self, solver: Solver, result: TestResult) -> None:
        """Record the mean outputs of a test net."""
        self._write(
            "test",
            iteration=result.iteration,
            net=result.net,
            batches=result.batches,
            loss=result.loss,
            outputs=_by_name(result.outputs),
            losses=[output.name for output in result.outputs if output.loss_weight],
            seconds=result.seconds,
        )

    def on_label_queries(self, solver: Solver, queries: Sequence[LabelQueryCounts]) -> None:
        """Record how often each label was drawn; a record for each source."""
        for entry in queries:
            epochs = entry.epochs
            self._write(
                "queries",
                iteration=solver.iteration,
                source=entry.source,
                labels=entry.labels.tolist(),
                counts=entry.counts.tolist(),
                hit_percent=entry.hit_percent.round(4).tolist(),
                epochs=None if epochs is None else epochs.round(4).tolist(),
            )

    def on_snapshot(self, solver: Solver, paths: SnapshotPaths) -> None:
        """Record the files of a snapshot."""
        weights, state = (str(path) if path else None for path in paths)
        self._write("snapshot", iteration=solver.iteration, weights=weights, state=state)

    def on_end(self, solver: Solver, reason: StopReason) -> None:
        """Record why training ended, with the error that is on its way if there is one, and close the file."""
        error = sys.exc_info()[1]
        self._write(
            "end",
            iteration=solver.iteration,
            reason=reason.value,
            error=str(error) if error else None,
            execution=solver.execution,
        )
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, solver: Solver) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
            return
        prefix = snapshot_prefix(solver.definition)
        prefix.parent.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        number = 1
        while self._file is None:
            tail = "" if number == 1 else f"-{number}"
            self.path = prefix.with_name(f"{prefix.name}.{stamp}{tail}.log.jsonl")
            try:
                self._file = self.path.open("x", encoding="utf-8")
            except FileExistsError:
                number += 1

    def _write(self, event: str, **fields: Any) -> None:
        if self._file is None:
            return
        record = {"event": event, "time": round(time.time(), 3), **fields}
        try:
            self._file.write(json.dumps(_plain(record), allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            file, self._file = self._file, None
            with suppress(OSError):  # closing tries once more to write what did not fit
                file.close()
            raise SnapshotError(
                f"the log of the run cannot be written: {error.strerror}",
                where=str(self.path),
                mend="make room on the disk, and go on from the newest snapshot",
            ) from error


def _net_texts(solver: Solver) -> dict[str, str]:
    """The prototxt of the nets as their files have them, all phases, by the name of the file."""
    definition = solver.definition
    nets = [net for net, _ in (definition.train_net(), *definition.test_nets())]
    return {net.source: net.to_text() for net in nets}


def _by_name(outputs: tuple[Output, ...]) -> dict[str, Any]:
    return {output.name: output.plain for output in outputs}


def _plain(value: Any) -> Any:
    """The value with NaN and infinities as strings."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "netforge": __version__,
        "numpy": np.__version__,
        "protobuf": google.protobuf.__version__,
    }
