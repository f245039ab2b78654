"""Records of a run's log as values: what each has to hold, and of which type.

What is wrong with one is raised as KeyError, TypeError or ValueError: the reader of the log knows the line and says it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from netforge.inspect.run import Measured, Queried, Run, Shown, Stored, Tested

LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999
LARGEST_WHOLE = 1 << 64  # seeds have so many values
_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
T = TypeVar("T")


def begun_run(path: Path, record: dict[str, Any]) -> Run:
    """The run that the start record of the log `path` begins; raises as `add_record` does."""
    restored = record["restored_from"]
    command = tuple(map(as_text, record.get("command", ())))
    given = [word.removeprefix("--plugin=") for word in command if word.startswith("--plugin=")]
    return Run(
        path=path,
        start=as_moment(record["time"]),
        iteration=_whole(record["iteration"]),
        seed=_whole(record["seed"]),
        device=as_text(record["device"]),
        execution=as_text(record["execution"]),
        command=command,
        folder=as_text(record.get("folder", "")),
        source=as_text(record["source"]),
        solver=as_text(record["solver"]),
        nets={as_text(name): as_text(value) for name, value in record.get("nets", {}).items()},
        plugins=tuple(dict.fromkeys([*given, *map(as_text, record.get("plugins", ()))])),
        restored_from=None if restored is None else as_text(restored),
        weights=tuple(map(as_text, record["weights"])),
        versions={as_text(name): as_text(value) for name, value in record["versions"].items()},
    )


def add_record(run: Run, record: dict[str, Any]) -> None:
    """Take a record up; those of kinds that a later version may write are passed over.

    Raises KeyError, TypeError or ValueError for one that is not as `RunLog` writes it.
    """
    add = _KINDS.get(record["event"])
    if add is not None:
        add(run, _whole(record["iteration"]), record)


def _add_display(run: Run, iteration: int, record: dict[str, Any]) -> None:
    run.displays.append(
        Shown(
            as_moment(record["time"]),
            iteration,
            as_number(record["loss"]),
            as_number(record["rate"]),
            _outputs(record["outputs"]),
            _whole(record["iterations"]),
            _whole(record["items"]),
            as_number(record["seconds"]),
        )
    )


def _add_test(run: Run, iteration: int, record: dict[str, Any]) -> None:
    run.tests.append(
        Tested(
            as_moment(record["time"]),
            iteration,
            _whole(record["net"]),
            _whole(record["batches"]),
            _outputs(record["outputs"]),
            tuple(map(as_text, record.get("losses", ()))),
            None if record["loss"] is None else as_number(record["loss"]),
            as_number(record["seconds"]),
        )
    )


def _add_queries(run: Run, iteration: int, record: dict[str, Any]) -> None:
    labels, counts = tuple(map(_whole, record["labels"])), tuple(map(_whole, record["counts"]))
    hits = tuple(map(as_number, record["hit_percent"]))
    epochs = None if record["epochs"] is None else tuple(map(as_number, record["epochs"]))
    if any(len(column) != len(labels) for column in (counts, hits, epochs) if column is not None):
        raise ValueError("labels")
    if not all(map(math.isfinite, hits)):
        raise ValueError("hit_percent")
    run.queries.append(Queried(iteration, as_text(record["source"]), labels, counts, hits, epochs))


def _add_norms(run: Run, iteration: int, record: dict[str, Any]) -> None:
    sizes = {_weight(name): _three(row) for name, row in _of_type(record["weights"], dict).items()}
    run.norms.append(Measured(iteration, sizes))


def _add_notice(run: Run, iteration: int, record: dict[str, Any]) -> None:
    run.notices.append((iteration, as_text(record["text"])))


def _add_snapshot(run: Run, iteration: int, record: dict[str, Any]) -> None:
    weights, state = (None if record[key] is None else as_text(record[key]) for key in ("weights", "state"))
    run.snapshots.append(Stored(iteration, weights, state))


_KINDS: dict[Any, Callable[[Run, int, dict[str, Any]], None]] = {
    "display": _add_display,
    "test": _add_test,
    "queries": _add_queries,
    "norms": _add_norms,
    "notice": _add_notice,
    "snapshot": _add_snapshot,
}


def as_moment(value: Any) -> float:
    """Seconds since 1970, of a year that a calendar has; raises ValueError for anything else."""
    moment = as_number(value)
    if not 0 <= moment <= LAST_MOMENT:
        raise ValueError(f"a time: {value!r}")
    return moment


def as_number(value: Any) -> float:
    """A float; NaN and infinity are written as strings. Raises ValueError for anything else."""
    if type(value) is float:  # nearly all are
        return value
    if isinstance(value, str) and value in _NO_NUMBERS:
        return _NO_NUMBERS[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a number: {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number of too many digits") from None


def as_text(value: Any) -> str:
    """A text; raises ValueError for anything else."""
    return _of_type(value, str)


@lru_cache(maxsize=1 << 16)
def _weight(name: str) -> str:
    """The name of a weight, "conv1[0]", once in memory: a long log of a deep net repeats it half a million times."""
    if not re.fullmatch(r".+\[\d+\]", name):
        raise ValueError(f"a weight's name: {name!r}")
    return name


def _three(row: Any) -> tuple[float, float, float]:
    first, second, third = _of_type(row, list)
    return as_number(first), as_number(second), as_number(third)


def _whole(value: Any) -> int:
    if abs(_of_type(value, int)) > LARGEST_WHOLE:
        raise ValueError("a whole number of too many digits")
    return int(value)


def _of_type(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"a value: {value!r}")
    return value


def _outputs(found: Any) -> dict[str, Any]:
    """Outputs by name: a float, or nested lists of floats."""
    return {as_text(name): _values(value) for name, value in _of_type(found, dict).items()}


def _values(value: Any) -> Any:
    return [_values(item) for item in value] if isinstance(value, list) else as_number(value)
