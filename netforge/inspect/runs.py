"""Reading the log of a run: what `netforge train` has written beside its snapshots.

`find_run` finds the file by what people remember of it; `read_run` reads it, also while the run goes on, and where it
was killed in the middle of a line; `load_run` does both; a `RunReader` reads on where a log grows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from netforge.errors import DataError, did_you_mean
from netforge.inspect.run import ENDING, Measured, Run, Shown, Tested
from netforge.inspect.run_records import add_record, as_moment, as_text, begun_run

_STAMP = re.compile(r"\.(\d{8}-\d{6})(?:-(\d+))?\.log\.jsonl$")
_SNAPSHOT = re.compile(r"_iter_\d+\.(?:caffemodel|solverstate)(?:\.h5)?$")
S = TypeVar("S", Shown, Tested, Measured)


def load_run(text: str | Path) -> Run:
    """What the log of a run tells, as far as it goes now; `text` is what `find_run` takes, e.g. a snapshot_prefix.

    Raises DataError where there is no such run, or its log cannot be read.
    """
    return read_run(find_run(text))


def find_run(text: str | Path) -> Path:
    """The log that `text` means: a log file, the name of a run, a snapshot prefix, a snapshot, or a folder of runs.

    Of several runs the newest is taken. Raises DataError, with the closest names, where there is none.
    """
    path = Path(text)
    if path.is_dir():
        found = newest_first([*_logs_in(path), *path.glob(f"*/*{ENDING}")])
        if found:
            return found[0]
        raise DataError(
            "the folder holds no log of a run",
            where=str(text),
            mend=f"a run's log is a file *{ENDING} beside its snapshots",
        )
    if path.is_file() and not _SNAPSHOT.search(path.name):
        return path
    name = _SNAPSHOT.sub("", path.name)
    folder = path.parent
    logs = newest_first(_logs_in(folder))
    for log in logs:
        if name in (_name_of(log), _prefix_of(log)):
            return log
    known = [str(folder / called(log)) for called in (_prefix_of, _name_of) for log in logs]
    mend = did_you_mean(str(folder / name), known) if known else None
    raise DataError(
        "there is no such run",
        where=str(text),
        mend=mend or f"give a log (*{ENDING}), the snapshot_prefix of a run, or the folder of its snapshots",
    )


def run_behind(snapshot: Path) -> Run:
    """The newest run whose log, beside a snapshot, says that it wrote that snapshot.

    Raises DataError where no log does.
    """
    found = next(_writers(snapshot.name, _logs_in(snapshot.parent)), None)
    if found is not None:
        return found
    raise DataError(
        "no log beside it says which run wrote it",
        where=str(snapshot),
        mend=f"keep a run's log (*{ENDING}) in the folder of its snapshots",
    )


def page_of(log: Path) -> Path:
    """Where the report of a run stands: beside its log, PREFIX.TIME.report.html."""
    return log.with_name(log.name.removesuffix(".jsonl").removesuffix(".log") + ".report.html")


def newest_first(logs: list[Path]) -> list[Path]:
    """Logs by the time of their start, which their names tell, the newest first; those without one come last."""

    def when(path: Path) -> tuple[str, int, str]:
        stamp = _STAMP.search(path.name)
        return (stamp[1], int(stamp[2] or 1), path.name) if stamp else ("", 0, path.name)

    return sorted(logs, key=when, reverse=True)


def with_earlier(run: Run, before: Sequence[Run] | None = None) -> Run:
    """A run with the displays, tests and norms of those that it went on from before its own: curves of the whole way.

    before: what `runs_before` has found, where that is known. What they did beyond the states that were gone on with
    is left out.
    """
    displays, tests, norms = run.displays, run.tests, run.norms
    first = run
    for earlier in runs_before(run) if before is None else before:
        displays = _in_front(earlier.displays, displays, first.iteration)
        tests = _in_front(earlier.tests, tests, first.iteration)
        norms = _in_front(earlier.norms, norms, first.iteration)
        first = earlier
    return replace(run, displays=displays, tests=tests, norms=norms)


def runs_before(run: Run) -> list[Run]:
    """The run that `run` went on from, the one before that, and so on, the newest first.

    They are looked for where the solver state lies that a run was restored from, and beside its own log; the list ends
    with one that cannot be found or read.
    """
    found: list[Run] = []
    while (before := _went_on_from(found[-1] if found else run)) is not None:
        found.append(before)  # it began earlier: there is no circle
    return found


def _in_front(earlier: list[S], later: list[S], iteration: int) -> list[S]:
    """Records up to `iteration`, or to where the later ones begin, and the later ones."""
    end = min([iteration + 1, *(entry.iteration for entry in later[:1])])
    return [entry for entry in earlier if entry.iteration < end] + later


def _went_on_from(run: Run) -> Run | None:
    """The newest run before this one that wrote the state that it was restored from."""
    if run.restored_from is None:
        return None
    state = Path(run.restored_from)
    prefix = _SNAPSHOT.sub("", state.name)
    folders = dict.fromkeys((run.path.parent, Path(run.folder) / state.parent))
    logs = [log for folder in folders for log in _logs_in(folder) if _prefix_of(log) == prefix and log != run.path]
    return next((found for found in _writers(state.name, logs) if found.start < run.start), None)


def _writers(snapshot: str, logs: list[Path]) -> Iterator[Run]:
    """The runs that wrote a snapshot of this file name, the newest first."""
    for log in newest_first(logs):
        try:
            run = read_run(log)
        except DataError:
            continue  # a log that is damaged is not the one looked for
        written = (name for entry in run.snapshots for name in (entry.weights, entry.state) if name)
        if any(Path(name).name == snapshot for name in written):
            yield run


def _logs_in(folder: Path) -> list[Path]:
    return list(folder.glob(f"*{ENDING}")) if folder.is_dir() else []


def _name_of(log: Path) -> str:
    """PREFIX.TIME, as `Run.name`."""
    return log.name.removesuffix(ENDING)


def _prefix_of(log: Path) -> str:
    """The name of the run's snapshot_prefix; the whole name of a log that does not tell its time."""
    return _STAMP.sub("", log.name)


def read_run(path: str | Path) -> Run:
    """Read the log of a run; of several runs in one file the last one.

    A last line that is not whole is passed over: the run is still writing it, or was killed there. Raises DataError
    where the file cannot be read, or is no log of a run.
    """
    return RunReader(path).read()


class RunReader:
    """Reads the log of a run while it grows: every `read` takes up the lines that have come since the last one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._forget()

    def _forget(self) -> None:
        self._run: Run | None = None
        self._changes: dict[str, Any] = {}  # of the run: what only its end tells
        self._last = 0.0  # time of the newest record
        self._position = 0  # bytes that were taken up
        self._number = 1  # of the line that stands there

    @property
    def position(self) -> int:
        """How many bytes of the log were taken up; it differs as soon as there is something new."""
        return self._position

    def read(self) -> Run:
        """The run as far as the log goes now.

        Raises DataError as `read_run` does; a later call tries the same line again.
        """
        *lines, rest = self._new_text().split(b"\n")
        for line in lines:
            if line.strip():
                self._take(line)
            self._position += len(line) + 1
            self._number += 1
        cut = bool(rest.strip()) and self._number > 1 and _parsed(rest) is None
        if rest.strip() and not cut:
            self._take(rest)
            self._position += len(rest)
        if self._run is None:
            raise _foreign(str(self.path), "it holds no whole record" if cut else "it is empty")
        return replace(self._run, end=self._last, cut=cut, **self._changes)

    def _new_text(self) -> bytes:
        """What stands behind the lines that were taken up; all of a file that has become shorter, for it is another."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._position:
                    self._forget()
                file.seek(self._position)
                return file.read()
        except OSError as error:
            raise DataError(
                f"the log of the run cannot be read: {error.strerror}", where=str(self.path), mend="name another file"
            ) from error

    def _take(self, line: bytes) -> None:
        place = f"{self.path}:{self._number}"
        record = _parsed(line)
        if record is None:
            raise _foreign(place, "the line is no JSON")
        if not isinstance(record, dict) or "event" not in record:
            raise _foreign(place, "the line is no record of a run")
        try:
            self._last = as_moment(record["time"])
            if record["event"] == "start":
                self._run, self._changes = begun_run(self.path, record), {}
            elif self._run is None:
                raise KeyError("start")
            elif record["event"] == "end":
                self._changes = {"reason": as_text(record["reason"]), "error": record.get("error")}
            else:
                add_record(self._run, record)
        except (KeyError, TypeError, ValueError) as error:
            raise _foreign(place, f"the record lacks or garbles {error}") from error


def _parsed(line: bytes) -> Any:
    """What a line of JSON says; None for one that is none, or not whole."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _foreign(place: str, what: str) -> DataError:
    return DataError(
        f"this is no log of a run, or it is damaged: {what}",
        where=place,
        mend=f"give the file PREFIX.TIME{ENDING} that netforge train has written",
    )
