"""Reading the log of a run: what `netforge train` has written beside its snapshots.

`find_run` finds the file by what people remember of it; `read_run` reads it, also while the run goes on, and where it
was killed in the middle of a line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from netforge.errors import DataError, did_you_mean
from netforge.inspect.run import ENDING, Queried, Run, Shown, Stored, Tested

_STAMP = re.compile(r"\.(\d{8}-\d{6})(?:-(\d+))?\.log\.jsonl$")
_SNAPSHOT = re.compile(r"_iter_\d+\.(?:caffemodel|solverstate)(?:\.h5)?$")
_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
T = TypeVar("T")


def find_run(text: str | Path) -> Path:
    """The log that `text` means: a log file, the name of a run, a snapshot prefix, a snapshot, or a folder of runs.

    Of several runs the newest is taken. Raises DataError, with the closest names, where there is none.
    """
    path = Path(text)
    if path.is_dir():
        found = newest_first([*path.glob(f"*{ENDING}"), *path.glob(f"*/*{ENDING}")])
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
    logs = newest_first(list(folder.glob(f"*{ENDING}"))) if folder.is_dir() else []
    for log in logs:
        if log.name.removesuffix(ENDING) == name or _STAMP.sub("", log.name) == name:
            return log
    known = [str(folder / _STAMP.sub("", log.name)) for log in logs]
    known += [str(folder / log.name.removesuffix(ENDING)) for log in logs]
    mend = did_you_mean(str(folder / name), known) if known else None
    raise DataError(
        "there is no such run",
        where=str(text),
        mend=mend or f"give a log (*{ENDING}), the snapshot_prefix of a run, or the folder of its snapshots",
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


def read_run(path: str | Path) -> Run:
    """Read the log of a run; of several runs in one file the last one.

    A last line that is not whole is passed over: the run is still writing it, or was killed there. Raises DataError
    where the file cannot be read, or is no log of a run.
    """
    run: Run | None = None
    cut = False
    last = 0.0
    changes: dict[str, Any] = {}
    for record, place, whole in _records(Path(path)):
        if record is None:
            cut = not whole
            continue
        try:
            last = _number(record["time"])
            if record["event"] == "start":
                run, changes = _started(Path(path), record), {}
            elif run is None:
                raise KeyError("start")
            elif record["event"] == "end":
                changes = {"reason": _text(record["reason"]), "error": record.get("error")}
            else:
                _add(run, record)
        except (KeyError, TypeError, ValueError) as error:
            raise _foreign(place, f"the record lacks or garbles {error}") from error
    if run is None:
        raise _foreign(str(path), "it holds no whole record" if cut else "it is empty")
    return replace(run, end=last, cut=cut, **changes)


def _records(path: Path) -> Iterator[tuple[dict[str, Any] | None, str, bool]]:
    """Each line's record and place; None for what is not whole at the end of the file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(
            f"the log of the run cannot be read: {error.strerror}", where=str(path), mend="name another file"
        ) from error
    for number, line in enumerate(lines, 1):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines) and number > 1:  # without an end of line: the run was cut off there
                yield None, place, False
                continue
            raise _foreign(place, "the line is no JSON") from None
        if not isinstance(record, dict) or "event" not in record:
            raise _foreign(place, "the line is no record of a run")
        yield record, place, True


def _started(path: Path, record: dict[str, Any]) -> Run:
    restored = record["restored_from"]
    return Run(
        path=path,
        start=_number(record["time"]),
        iteration=_whole(record["iteration"]),
        seed=_whole(record["seed"]),
        device=_text(record["device"]),
        execution=_text(record["execution"]),
        command=tuple(map(_text, record.get("command", ()))),
        folder=_text(record.get("folder", "")),
        source=_text(record["source"]),
        solver=_text(record["solver"]),
        nets={_text(name): _text(text) for name, text in record.get("nets", {}).items()},
        restored_from=None if restored is None else _text(restored),
        weights=tuple(map(_text, record["weights"])),
        versions={_text(name): _text(text) for name, text in record["versions"].items()},
    )


def _add(run: Run, record: dict[str, Any]) -> None:
    """Take a record up; those of kinds that a later version may write are passed over."""
    kind, iteration = record["event"], _whole(record["iteration"])
    if kind == "display":
        run.displays.append(
            Shown(
                _number(record["time"]),
                iteration,
                _number(record["loss"]),
                _number(record["rate"]),
                _outputs(record["outputs"]),
                _whole(record["iterations"]),
                _whole(record["items"]),
                _number(record["seconds"]),
            )
        )
    elif kind == "test":
        run.tests.append(
            Tested(
                _number(record["time"]),
                iteration,
                _whole(record["net"]),
                _whole(record["batches"]),
                _outputs(record["outputs"]),
                tuple(map(_text, record.get("losses", ()))),
                None if record["loss"] is None else _number(record["loss"]),
                _number(record["seconds"]),
            )
        )
    elif kind == "queries":
        epochs = record["epochs"]
        labels, counts = tuple(map(_whole, record["labels"])), tuple(map(_whole, record["counts"]))
        hits = tuple(map(_number, record["hit_percent"]))
        if not len(labels) == len(counts) == len(hits) or (epochs is not None and len(epochs) != len(labels)):
            raise ValueError("labels")
        shares = None if epochs is None else tuple(map(_number, epochs))
        run.queries.append(Queried(iteration, _text(record["source"]), labels, counts, hits, shares))
    elif kind == "notice":
        run.notices.append((iteration, _text(record["text"])))
    elif kind == "snapshot":
        weights, state = (None if record[key] is None else _text(record[key]) for key in ("weights", "state"))
        run.snapshots.append(Stored(iteration, weights, state))


def _foreign(place: str, what: str) -> DataError:
    return DataError(
        f"this is no log of a run, or it is damaged: {what}",
        where=place,
        mend=f"give the file PREFIX.TIME{ENDING} that netforge train has written",
    )


def _number(value: Any) -> float:
    """A float; NaN and infinity are written as strings."""
    if isinstance(value, str) and value in _NO_NUMBERS:
        return _NO_NUMBERS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a number: {value!r}")
    return float(value)


def _whole(value: Any) -> int:
    return int(_of_type(value, int))


def _text(value: Any) -> str:
    return _of_type(value, str)


def _of_type(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"a value: {value!r}")
    return value


def _outputs(found: Any) -> dict[str, Any]:
    """Outputs by name: a float, or nested lists of floats."""
    return {_text(name): _values(value) for name, value in _of_type(found, dict).items()}


def _values(value: Any) -> Any:
    return [_values(item) for item in value] if isinstance(value, list) else _number(value)
