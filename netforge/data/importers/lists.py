"""Lists and tables that name pictures: lines of a path and a label, or comma-separated values with a header."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import LONGEST_NAME, ZIP_MAGICS, Files, open_files
from netforge.data.formats.packed import GZIP_MAGIC, explained, file_size, is_folder
from netforge.data.importers.picture_set import PictureSet
from netforge.data.labels.ranges import WHOLE_NUMBER, numbered
from netforge.data.source import LARGEST_LABEL
from netforge.data.store.drafts import number_names
from netforge.data.store.writer import check_class_name
from netforge.errors import DataError, Place, counted, did_you_mean

LARGEST_LIST = 1 << 28
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz")
TABLE_SUFFIXES = (".csv", ".tsv")
DELIMITERS = ",;\t"
LINE = re.compile(r"(.*\S)\s+(\S+)")
LONGEST_SHOWN = 80
# Columns of the index that an export writes: first, maybe "group" behind, and last.
INDEX_HEAD, INDEX_TAIL = ("file", "id", "label", "original", "auto"), ("origin", "class")
# The usual names of columns, the most telling first; upper and lower case are one.
USUAL = {
    "file": ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "img"),
    "label": ("label", "label_id", "class_id", "target", "y"),
    "class": ("class", "class_name", "label_name", "category", "species"),
    "group": ("group", "group_id"),
}


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table; where None, the first of the usual names that is there, see `list_named`."""

    file: str | None = None
    label: str | None = None
    class_name: str | None = None
    group: str | None = None


@dataclass
class _Rows:
    """What the lines of a list or table say. texts: by kind of column, as they stand there; none where it is missing.

    Kinds: file, label, class, group; and original, auto, origin of an export's index.
    """

    source: Path
    lines: list[int] = field(default_factory=list)
    texts: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def error(self, row: int, found: str, mend: str) -> DataError:
        """An error in a row."""
        return DataError(found, where=Place(str(self.source), self.lines[row]), mend=mend)


def is_list(source: Path) -> bool:
    """Whether a path is that of a list or table rather than of a folder or an archive, or of nothing."""
    with explained(str(source)):
        if source.suffix.lower() in ARCHIVE_SUFFIXES or not source.is_file():
            return False
        with source.open("rb") as file:
            return not file.read(4).startswith((*ZIP_MAGICS, GZIP_MAGIC))


def list_named(source: Path, root: str | Path | None, columns: Columns) -> PictureSet:
    """The pictures that a list or a table names, in its order.

    A list has lines of a path, which may hold spaces, and a whole number, the label. A table (.csv, .tsv; its fields
    parted by commas, semicolons or tabs) has a header, a column of paths, and one of labels or one of classes or both,
    and maybe one of groups. Labels are whole numbers; or texts, which in the order of the alphabet are the classes 0,
    1, ...; so are groups. Without `columns`, columns of usual names are taken: file, path, image; label, target; class,
    category; group; and others. Empty lines are left out; UTF-8. A table with the columns that an export gives its
    index tells original labels, auto marks and origins, too, see `export_images`.

    root: the folder or archive in which the paths start; None for the folder of the list. What leads out of it is
    refused. Files that are missing show when they are read.

    Raises DataError, naming the line, where it is not of that form.
    """
    rows = _rows(source, columns if source.suffix.lower() in TABLE_SUFFIXES else None)
    texts = rows.texts
    labels, class_names = _labels(rows)
    groups = np.array(_numbered(rows, texts["group"], "group")[0]) if texts["group"] else None
    folder = Path(root) if root is not None else source.parent
    names = _names(rows, folder)
    original_labels = _whole(rows, texts["original"], "original label") if texts["original"] else None
    auto = _marks(rows) if texts["auto"] else None
    return PictureSet(
        _Named(folder) if is_folder(folder) else open_files(folder),  # last: the set's owner closes them
        names,
        np.array(labels),
        class_names,
        groups=groups,
        original_labels=original_labels,
        auto=auto,
        origins=[origin or None for origin in texts["origin"]] if texts["origin"] else None,
    )


def read_list(source: Path) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The paths and labels (n,) of a list's lines, each a path, which may hold spaces, and a whole number.

    Raises DataError, naming the line, where it is not of that form.
    """
    rows = _rows(source, None)
    labels, _ = _numbered(rows, rows.texts["label"], "label")
    return rows.texts["file"], np.array(labels, np.int64)


def _rows(source: Path, columns: Columns | None) -> _Rows:
    """The lines of a table, or without columns of a list; raises DataError where they name no picture."""
    text = _text(source)
    rows = _list(source, text) if columns is None else _table(source, text, columns)
    if not rows.texts["file"]:
        raise DataError("no picture is named in here", where=str(source), mend="give each picture a line")
    return rows


def _text(source: Path) -> str:
    """The text of a list."""
    if file_size(source) > LARGEST_LIST:
        raise DataError(f"the list has more than {LARGEST_LIST:,} bytes", where=str(source), mend="split it")
    with explained(str(source)):
        data = source.read_bytes()
    mend = "name a list of pictures, lines of a path and a label in UTF-8, or a folder or archive of pictures"
    bad = data.find(b"\0")
    if bad < 0:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            bad = error.start
    found = f"the byte {data[bad]:#04x} is no part of UTF-8 text"
    raise DataError(found, where=Place(str(source), data.count(b"\n", 0, bad) + 1), mend=mend)


def _list(source: Path, text: str) -> _Rows:
    rows = _Rows(source)
    mend = "write a path and a label, which is a whole number, such as: cats/1.png 3"
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line:
            continue
        match = LINE.fullmatch(line)
        rows.lines.append(number)
        if match is None:
            raise rows.error(-1, f"{_shown(line)} is no path with a label behind it", mend)
        if WHOLE_NUMBER.fullmatch(match[2]) is None:
            raise rows.error(-1, f"the label {_shown(match[2])} is no whole number", mend)
        rows.texts["file"].append(match[1])
        rows.texts["label"].append(match[2])
    return rows


def _table(source: Path, text: str, columns: Columns) -> _Rows:
    rows = _Rows(source)
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records = ((reader.line_num, [*map(str.strip, cells)]) for cells in reader if any(map(str.strip, cells)))
    try:
        line, header = next(records, (1, []))
        wanted = _wanted(header, columns, Place(str(source), line))
        for line, cells in records:
            rows.lines.append(line)
            _add_record(rows, cells, header, wanted)
    except csv.Error as error:
        place = Place(str(source), reader.line_num)
        raise DataError(f"the table is damaged: {error}", where=place, mend="save it again as CSV") from None
    return rows


def _add_record(rows: _Rows, cells: Sequence[str], header: Sequence[str], wanted: dict[str, int]) -> None:
    if len(cells) != len(header):
        found = f"the line has {counted(len(cells), 'field')}, the header {len(header)}"
        raise rows.error(-1, found, "put a field that holds the delimiter into quotes")
    for kind, column in wanted.items():
        text = cells[column]
        if not text and kind != "origin":
            raise rows.error(-1, f'the field of column "{header[column]}" is empty', "fill it in")
        rows.texts[kind].append(text if kind in ("file", "origin") else sys.intern(text))


def _wanted(header: Sequence[str], columns: Columns, place: Place) -> dict[str, int]:
    """Kind of column to its number: those that are asked for, and else those of usual names."""
    asked = {"file": columns.file, "label": columns.label, "class": columns.class_name, "group": columns.group}
    lower = [name.lower() for name in header]
    wanted: dict[str, int] = {}
    for kind, name in asked.items():
        if name is None:
            usual = next((usual for usual in USUAL[kind] if usual in lower), None)
            if usual is not None:
                wanted[kind] = lower.index(usual)
        elif name in header:
            wanted[kind] = header.index(name)
        else:
            mend = did_you_mean(name, header) or f"the columns are {', '.join(map(_shown, header))}"
            raise DataError(f"there is no column {_shown(name)}", where=place, mend=mend)
    if "file" not in wanted or not wanted.keys() & {"label", "class"}:
        kind, option = ("paths", "--file-column") if "file" not in wanted else ("labels", "--label-column")
        found = f"no column of {kind} is known among {', '.join(map(_shown, header))}"
        raise DataError(found, where=place, mend=f"name it with {option}")
    if columns == Columns() and {*INDEX_HEAD, *INDEX_TAIL} <= {*header}:
        wanted |= {kind: header.index(kind) for kind in ("original", "auto", "origin")}
    return wanted


def _labels(rows: _Rows) -> tuple[list[int], dict[int, str]]:
    """The label of each row, and the names of the classes."""
    texts, classes = rows.texts["label"], rows.texts["class"]
    if not (texts and classes):
        labels, names = _numbered(rows, texts or classes, "label")
        for name in names.values():
            check_class_name(name, str(rows.source))
        return labels, names or number_names(np.array(labels))
    for row, text in enumerate(texts):
        if WHOLE_NUMBER.fullmatch(text) is None:
            found = f"the label {_shown(text)} is no whole number, and there is a column of classes"
            raise rows.error(row, found, "take one of the two columns")
    labels, _ = _numbered(rows, texts, "label")
    known: dict[int, str] = {}
    for row, (label, name) in enumerate(zip(labels, classes, strict=True)):
        if known.setdefault(label, name) != name:
            found = f"label {label} is of class {_shown(name)}, and in a line before of {_shown(known[label])}"
            raise rows.error(row, found, "give each label one class")
    for name in known.values():
        check_class_name(name, str(rows.source))
    return labels, known


def _numbered(rows: _Rows, texts: Sequence[str], kind: str) -> tuple[list[int], dict[int, str]]:
    """Texts as `numbered` takes them; raises DataError, with the line, for a number that is too large."""
    numbers, names = numbered(texts)
    for row, number in enumerate(numbers):
        if abs(number) > LARGEST_LABEL:
            found = f"the {kind} {texts[row]} is out of range"
            raise rows.error(row, found, f"write {-LARGEST_LABEL:,} to {LARGEST_LABEL:,}")
    return numbers, names


def _whole(rows: _Rows, texts: Sequence[str], kind: str) -> npt.NDArray[np.int64]:
    """Texts as numbers; raises DataError, with the line, for what is none."""
    for row, text in enumerate(texts):
        if WHOLE_NUMBER.fullmatch(text) is None:
            raise rows.error(row, f"the {kind} {_shown(text)} is no whole number", "correct it, or remove its column")
    return np.array(_numbered(rows, texts, kind)[0], np.int64)


def _marks(rows: _Rows) -> npt.NDArray[np.int64]:
    """The auto marks; raises DataError, with the line, for any but 0 and 1."""
    for row, text in enumerate(rows.texts["auto"]):
        if text not in ("0", "1"):
            found = f"the auto mark {_shown(text)} is neither 0 nor 1"
            raise rows.error(row, found, "write 1 where a net gave the label")
    return np.array(rows.texts["auto"], np.int64)


def _names(rows: _Rows, root: Path) -> list[str]:
    """The path of each picture within the root, with "/" between folders."""
    before = f"{root.absolute().as_posix().rstrip('/')}/"
    names = []
    for row, path in enumerate(rows.texts["file"]):
        name = posixpath.normpath(path.replace("\\", "/").removeprefix(before))
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise rows.error(row, f"{_shown(path)} is no path", "write a path, a space and a label")
        if name in (".", "..") or name.startswith(("/", "../")) or name[1:2] == ":":
            found = f"the path {_shown(path)} leads out of the folder {root}"
            raise rows.error(row, found, "name the folder in which all paths start with --root")
        names.append(name)
    return names


class _Named(Files):
    """The files in a folder that a list names, each looked at when it is read: the folder may hold many others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._root = os.path.realpath(folder)

    def size(self, name: str) -> int:
        """Bytes of a file; raises DataError where there is none, or it is a link that leads out of the folder."""
        path = self.path / name
        if not os.path.realpath(path).startswith(os.path.join(self._root, "")):
            found = f"it is a link that leads out of the folder {self.path}"
            raise DataError(found, where=str(path), mend="name the folder in which all files lie with --root")
        return file_size(path)

    def _open(self, name: str) -> IO[bytes]:
        return (self.path / name).open("rb")


def _shown(text: str) -> str:
    """A text for messages: quoted, and not too long."""
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")
