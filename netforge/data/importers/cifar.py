"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary form: a record is one or two labels and three planes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import Files, open_files
from netforge.data.formats.packed import gunzipped
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, store
from netforge.data.store.writer import check_class_name, check_name
from netforge.errors import DataError, counted

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
BLOCK_IMAGES = 1024
LARGEST_NAMES_FILE = 1 << 16
MOST_NAMED = 10
DOWNLOADS = "https://www.cs.toronto.edu/~kriz/cifar.html"

Labels = Literal["fine", "coarse"]


@dataclass(frozen=True)
class _Kind:
    """How one of the two sets is distributed.

    training, testing: patterns of file names. classes: number of classes by the place of a record's label bytes. names:
    of the file that names the classes, in the same places. download: of the archive that holds all of them.
    """

    training: str
    testing: str
    classes: tuple[int, ...]
    names: tuple[str, ...]
    download: str


CIFAR10 = _Kind("data_batch*.bin", "test_batch*.bin", (10,), ("batches.meta.txt",), "cifar-10-binary.tar.gz")
CIFAR100 = _Kind(
    "train.bin", "test.bin", (20, 100), ("coarse_label_names.txt", "fine_label_names.txt"), "cifar-100-binary.tar.gz"
)


def import_cifar10(
    database: ImageDatabase,
    path: str | Path,
    *,
    name: str = "CIFAR-10",
    training: Sequence[str] = (),
    testing: Sequence[str] = (),
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Import CIFAR-10 in its binary form.

    path: a folder that holds data_batch_1.bin ... and test_batch.bin, plain or with .gz, some of them suffice; or the
    archive cifar-10-binary.tar.gz. name: makes the sources NAME.training and NAME.testing, of those for which there are
    files, both with the mean of the training images. training, testing: names of files in `path` that hold the training
    and the testing images, or patterns such as "batch_*.bin", where they are not the usual ones. Classes get their
    names from batches.meta.txt. replace, dry_run, progress: see `store`.

    Both sources appear at once or, after an error, not at all. Raises DataError where there are no such files, where
    one is damaged, or where a name is taken.
    """
    with open_files(path) as files:
        drafts = _drafts(files, name, CIFAR10, patterns={"training": training, "testing": testing})
        return store(database, drafts, replace=replace, dry_run=dry_run, progress=progress)


def import_cifar100(
    database: ImageDatabase,
    path: str | Path,
    *,
    name: str = "CIFAR-100",
    labels: Labels = "fine",
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Import CIFAR-100 in its binary form, as `import_cifar10` does.

    path: a folder that holds train.bin and test.bin, or the archive cifar-100-binary.tar.gz. labels: "fine" for the 100
    classes, "coarse" for the 20 families of five classes; what is not the label becomes the group of an image.
    """
    with open_files(path) as files:
        drafts = _drafts(files, name, CIFAR100, 1 if labels == "fine" else 0)
        return store(database, drafts, replace=replace, dry_run=dry_run, progress=progress)


def _drafts(
    files: Files, name: str, kind: _Kind, place: int = 0, patterns: dict[str, Sequence[str]] | None = None
) -> list[Draft]:
    """The sources that the files make. place: of the label among the label bytes. patterns: see `import_cifar10`."""
    check_name(name)
    found = _found(files, kind, patterns or {})
    class_names = _class_names(files, kind, place)
    return [_draft(files, kind, place, f"{name}.{part}", own, class_names) for part, own in found.items() if own]


def _found(files: Files, kind: _Kind, patterns: dict[str, Sequence[str]]) -> dict[str, list[str]]:
    """The names of the files with training and with testing images."""
    usual = {"training": kind.training, "testing": kind.testing}
    found = {}
    for part, pattern in usual.items():
        chosen = patterns.get(part, ())
        found[part] = [name for text in chosen for name in _named(files, text)] or _matching(files, pattern)
    both = [name for name in found["training"] if name in found["testing"]]
    if both:
        raise DataError("the file is named for training and for testing", where=files.where(both[0]))
    if not any(found.values()):
        raise _nothing(files, kind)
    folders = sorted({name.rpartition("/")[0] for names in found.values() for name in names})
    if len(folders) > 1:
        shown = ", ".join(repr(folder or ".") for folder in folders[:MOST_NAMED])
        raise DataError(
            f"there are such files in {len(folders)} folders: {shown}", where=str(files.path), mend="name one of them"
        )
    return found


def _named(files: Files, pattern: str) -> list[str]:
    """The files that a name or a pattern of the user means."""
    names = [name for name in files.names() if fnmatchcase(name, pattern)] or _matching(files, pattern)
    if not names:
        raise DataError(f"there is no file {pattern!r} here", where=str(files.path), mend=_binary_files(files))
    return names


def _matching(files: Files, pattern: str) -> list[str]:
    """The files whose names, without folder and .gz, match a pattern; each once, where one is there in both forms."""
    found: dict[str, str] = {}
    for name in files.names():  # sorted, so that the plain one comes first
        plain = name.removesuffix(".gz")
        if any(fnmatchcase(each.rpartition("/")[2], pattern) for each in (name, plain)):
            found.setdefault(plain, name)
    return list(found.values())


def _nothing(files: Files, kind: _Kind) -> DataError:
    """The error for a place without any file of the set."""
    names = [name.rpartition("/")[2] for name in files.names()]
    get = f"fetch {kind.download} from {DOWNLOADS}"
    if any(name.startswith(("data_batch", "test_batch")) or name in ("train", "test") for name in names):
        return DataError(
            "this is the set in its form for Python or Matlab; Python's is pickled, and nothing is unpickled here",
            where=str(files.path),
            mend=f"take the binary version: {get}",
        )
    usual = f"{kind.training} or {kind.testing}, neither plain nor with .gz"
    return DataError(f"there is no {usual}", where=str(files.path), mend=_binary_files(files) or get)


def _binary_files(files: Files) -> str | None:
    """What to name, where there are any files of that kind."""
    names = [name.rpartition("/")[2] for name in files.names() if name.endswith((".bin", ".bin.gz"))]
    shown = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    return f"say which files are which with --training and --testing: there are {shown}" if names else None


def _class_names(files: Files, kind: _Kind, place: int) -> dict[int, str]:
    """The names of the classes: those in the file that goes with the set, or else their numbers."""
    count = kind.classes[place]
    found = _matching(files, kind.names[place])
    if not found:
        return {label: str(label) for label in range(count)}
    where = files.where(found[0])
    try:
        text = files.read(found[0], LARGEST_NAMES_FILE).decode()
    except UnicodeDecodeError as error:
        raise DataError("the names of the classes are no UTF-8 text", where=where, mend="fetch it again") from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if len(names) != count:
        raise DataError(f"there are {len(names)} names for {count} classes", where=where, mend="fetch it again")
    for name in names:
        check_class_name(name, where)
    return dict(enumerate(names))


def _draft(files: Files, kind: _Kind, place: int, name: str, own: Sequence[str], class_names: dict[int, str]) -> Draft:
    labels: list[int] = []
    groups: list[int] = []
    origins: list[str | None] = []

    def blocks() -> Iterator[npt.NDArray[np.uint8]]:
        for file in own:
            first = len(labels)
            for marks, images in _records(files, file, kind.classes):
                count = len(labels) - first
                labels.extend(marks[:, place].tolist())
                groups.extend(marks[:, 1 - place].tolist() if len(kind.classes) > 1 else ())
                origins.extend(f"{file}, record {count + i}" for i in range(len(marks)))
                yield images

    grouped = groups if len(kind.classes) > 1 else None
    return Draft(name, blocks(), labels, class_names, groups=grouped, origins=origins)


def _records(
    files: Files, name: str, classes: tuple[int, ...]
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """The label bytes (n, 1 or 2) and images (n, 3, 32, 32) of a file, many at a time."""
    where, size, count = files.where(name), len(classes) + PIXELS, 0
    with _stream(files, name, where) as stream:
        for data in iter(partial(stream.read, BLOCK_IMAGES * size), b""):
            if len(data) % size:
                found = f"the file ends in the middle of record {count + len(data) // size}"
                raise DataError(found, where=where, mend=f"a record has {size:,} bytes; fetch the file again")
            rows = np.frombuffer(data, np.uint8).reshape(-1, size)
            marks = rows[:, : len(classes)]
            wrong = np.argwhere(marks >= np.array(classes))
            if len(wrong):
                row, place = wrong[0]
                raise DataError(
                    f"record {count + row} has label {marks[row, place]}, expected 0 to {classes[place] - 1}",
                    where=where,
                    mend=f"check that these are records of {size:,} bytes, and fetch the file again",
                )
            count += len(rows)
            yield marks, rows[:, len(classes) :].reshape(-1, *SHAPE)
    if not count:
        raise DataError(f"the file holds {counted(0, 'record')}", where=where, mend="fetch it again")


def _stream(files: Files, name: str, where: str) -> IO[bytes]:
    stream = files.open(name)
    return gunzipped(stream, files.size(name), where) if name.endswith(".gz") else stream
