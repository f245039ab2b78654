"""What was learned about a file of weights after training: enrolled classes and the threshold for unknown images.

It lies beside the weights, in WEIGHTS.recognition.json: text that people can read, tied to the weights by their digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from netforge.atomic import write_whole
from netforge.errors import SnapshotError

FORMAT = "netforge recognition"
VERSION = 1
LARGEST_BYTES = 256 << 20
LARGEST_LABEL = 1 << 31
KINDS: dict[type, str] = {str: "text", int: "a whole number", list: "a list", dict: "an object"}
T = TypeVar("T")


@dataclass(frozen=True)
class StoredClass:
    """A class by its centroid. label: its number in the source it comes from, None for an enrolled one.

    origin: the name of that source; None for an enrolled one. count: images behind the centroid.
    """

    name: str
    label: int | None
    origin: str | None
    count: int
    centroid: tuple[float, ...]

    @property
    def enrolled(self) -> bool:
        """Whether a person enrolled it."""
        return self.origin is None


@dataclass(frozen=True)
class Threshold:
    """From which distance on an image is unknown.

    rule: what distances are measured to. wanted_rate, measured_rate: false-accept rates. source, unknown: the known and
    unknown images it was found with.
    """

    value: float
    rule: str
    wanted_rate: float
    measured_rate: float
    source: str
    unknown: str


@dataclass(frozen=True)
class Record:
    """What is kept.

    weights: digest of the file of weights. embedding: the blob that centroids are of; None where there are none.
    normalized: whether embeddings were scaled to length 1.
    """

    weights: str
    embedding: str | None = None
    normalized: bool = False
    threshold: Threshold | None = None
    classes: tuple[StoredClass, ...] = field(default=())


def record_path(weights: Path) -> Path:
    """Where the record of a file of weights lies."""
    return weights.with_name(f"{weights.name}.recognition.json")


def digest(weights: Path) -> str:
    """The SHA-256 of a file of weights, in hexadecimal; raises SnapshotError where it cannot be read."""
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SnapshotError(f"cannot be read: {error.strerror}", where=str(weights)) from error


def read_record(weights: Path) -> Record:
    """The record of a file of weights; an empty one where there is none.

    Raises SnapshotError where it is damaged, or belongs to other weights.
    """
    path, current = record_path(weights), digest(weights)
    if not path.exists():
        return Record(current)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise SnapshotError(f"it has more than {LARGEST_BYTES:,} bytes", where=str(path), mend="remove it")
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise SnapshotError(f"cannot be read: {error.strerror}", where=str(path), mend="check its rights") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    record = _parse(found, path)
    if record.weights != current:
        raise SnapshotError(
            f"it belongs to other weights than {weights.name} now holds",
            where=str(path),
            mend="remove it, then calibrate and enroll again",
        )
    return record


def write_record(weights: Path, record: Record) -> Path:
    """Replace the record of a file of weights in one step; returns its path. Raises SnapshotError where it cannot."""
    path = record_path(weights)
    content = {"format": FORMAT, "version": VERSION, **asdict(record)}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(
        path,
        lambda partial: partial.write_text(text + "\n", encoding="utf-8"),
        error=SnapshotError,
        mend="free some space there, or copy the weights to a folder that may be written",
    )


@contextmanager
def one_at_a_time(weights: Path) -> Iterator[None]:
    """Wait until no other process changes the record of a file of weights; Windows has no such locks."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with weights.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed, or the process ends
        yield


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _damaged(path: Path, reason: str) -> SnapshotError:
    return SnapshotError(
        f"the record of enrolled classes is damaged: {reason}",
        where=str(path),
        mend="remove it, then calibrate and enroll again",
    )


def _parse(found: Any, path: Path) -> Record:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged(path, f'expected "format": "{FORMAT}"')
    version = found.get("version")
    if isinstance(version, int) and version > VERSION:
        raise SnapshotError(
            f"it is of version {version}, this netforge knows version {VERSION}",
            where=str(path),
            mend="use the netforge that wrote it, or a later one",
        )
    if version != VERSION:
        raise _damaged(path, f"its version is {version!r:.40}, expected {VERSION}")
    try:
        threshold = found["threshold"]
        record = Record(
            _typed(found["weights"], str),
            _optional(found["embedding"], str),
            _flag(found["normalized"]),
            None if threshold is None else _threshold(_typed(threshold, dict)),
            _classes(found["classes"]),
        )
        _check(record)
    except KeyError as error:
        raise _damaged(path, f'it lacks "{error.args[0]}"') from error
    except (TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    return record


def _check(record: Record) -> None:
    """Raise ValueError where the parts of a record contradict each other."""
    classes, threshold = record.classes, record.threshold
    if (record.embedding is None) != (not classes):
        raise ValueError("it names an embedding without classes, or classes without their embedding")
    if len({len(stored.centroid) for stored in classes}) > 1 or any(not stored.centroid for stored in classes):
        raise ValueError("its centroids are empty, or differ in length")
    if any(stored.count < 1 for stored in classes):
        raise ValueError("a class has no images")
    enrolled = [stored.name for stored in classes if stored.enrolled]
    if len(set(enrolled)) < len(enrolled):
        raise ValueError("two enrolled classes have one name")
    labels = [stored.label for stored in classes if not stored.enrolled]
    if len(set(labels)) < len(labels) or any(k is None or abs(k) >= LARGEST_LABEL for k in labels):
        raise ValueError("labels of classes are missing, too large or not different")
    if threshold is not None and threshold.value < 0:
        raise ValueError("its threshold is negative")


def _threshold(entry: dict[str, Any]) -> Threshold:
    return Threshold(
        _number(entry["value"]),
        _typed(entry["rule"], str),
        _number(entry["wanted_rate"]),
        _number(entry["measured_rate"]),
        _typed(entry["source"], str),
        _typed(entry["unknown"], str),
    )


def _classes(found: Any) -> tuple[StoredClass, ...]:
    entries: list[Any] = _typed(found, list)
    return tuple(
        StoredClass(
            _typed(_typed(entry, dict)["name"], str),
            _optional(entry["label"], int),
            _optional(entry["origin"], str),
            _typed(entry["count"], int),
            _numbers(entry["centroid"]),
        )
        for entry in entries
    )


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} stands where {KINDS[kind]} is expected")
    return value


def _optional(value: Any, kind: type[T]) -> T | None:
    return None if value is None else _typed(value, kind)


def _numbers(found: Any) -> tuple[float, ...]:
    values: list[Any] = _typed(found, list)
    return tuple(map(_number, values))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)
