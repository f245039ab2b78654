"""Bringing images out of the image database, or out of an LMDB, into files that other programs read.

A folder appears under its name when it is whole; whoever is killed before leaves one whose name ends with .part.
"""

from __future__ import annotations

import csv
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from netforge.data.care.export_forms import INDEX_FILE, Facts, write_idx, write_lmdb, write_pictures
from netforge.data.importers.lists import INDEX_HEAD
from netforge.data.sources.image_set import ImageSet
from netforge.data.sources.lmdb import LmdbSource, is_lmdb
from netforge.data.sources.opening import cannot_be_asked, none_meets
from netforge.data.store.builtin import make_builtin
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Progress
from netforge.errors import DataError

Form = Literal["lmdb", "images", "idx"]
PARTS = {"training": "train", "testing": "t10k"}  # of sources, and of the names of IDX files
_PLAIN_FILES = re.compile(r"data\.mdb|lock\.mdb|(train|t10k)-(images-idx3|labels-idx1)-ubyte(\.gz)?")


@dataclass(frozen=True)
class Exported:
    """What was written: `count` images of a source into `folder`."""

    source: str
    count: int
    folder: Path


def export_images(
    database: ImageDatabase,
    name: str,
    form: Form,
    out: str | Path,
    *,
    where: str | None = None,
    zipped: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> list[Exported]:
    """Write the images in use of a source, in their order, into the folder `out`.

    name: a source of the database; or NAME, for NAME.training and NAME.testing, each in a folder of its own; or the
    folder of an LMDB. form: "lmdb", what Caffe reads; "images", PNG files in a folder for each class, with an index;
    "idx", the files of MNIST, where training and testing images share a folder. where: only images that meet this
    query, see `data.query`. zipped: gzip IDX files. replace: whether a former export may be replaced; a folder that
    holds anything else is never touched.

    Raises DataError where `out` exists, where no image is left, or where images cannot be written in that form;
    UnknownNameError where there is no such source.
    """
    sources = _sources(database, name)
    seen = progress or (lambda count: None)
    done = []
    with _staged(Path(out), replace=replace) as staged:
        for part, source in sources.items():
            shares_folder = form == "idx" or len(sources) == 1
            folder = Path() if shares_folder else Path(part)
            (staged / folder).mkdir(exist_ok=True)
            images, facts = _opened(database, source, where)
            if form == "lmdb":
                write_lmdb(images, staged / folder, seen)
            elif form == "idx":
                write_idx(images, staged, PARTS[part], seen, zipped=zipped)
            else:
                write_pictures(images, facts, staged / folder, seen)
            done.append(Exported(source, images.count, Path(out) / folder))
    return done


def _sources(database: ImageDatabase, name: str) -> dict[str, str]:
    """Parts and names of the sources that are meant."""
    own_part = "testing" if name.endswith(".testing") else "training"
    if is_lmdb(Path(name)):
        return {own_part: name}
    whole = {part: f"{name}.{part}" for part in PARTS}
    for source in (name, *whole.values()):
        make_builtin(database, source)
    if name not in database:
        there = {part: source for part, source in whole.items() if source in database}
        if there:
            return there
        database.find(name)
    return {own_part: name}


def _opened(database: ImageDatabase, name: str, where: str | None) -> tuple[ImageSet, Iterator[Facts]]:
    """Images, and what is known of each, both as they are at one moment."""
    if is_lmdb(Path(name)):
        if where is not None:
            raise cannot_be_asked(name)
        images = ImageSet([LmdbSource(Path(name))])
        return images, (Facts(number, label, 0) for number, label in enumerate(images.labels.tolist()))
    with database.snapshot():
        chosen = None if where is None else database.indices(name, where)
        if where is not None and chosen is not None and not len(chosen):
            raise none_meets(where, name)
        source = database.open(name)
        originals, auto, origins = database.original_labels(name), database.auto_marks(name), database.origins(name)
    rows = np.arange(source.count) if chosen is None else chosen
    columns = (column.tolist() for column in (source.ids(rows), originals[rows], auto[rows], rows))
    facts = (Facts(own, label, mark, origins[row]) for own, label, mark, row in zip(*columns, strict=True))
    return ImageSet([source], chosen), facts


@contextmanager
def _staged(out: Path, *, replace: bool) -> Iterator[Path]:
    """A folder beside `out` that takes its name when all went well, and else is removed."""
    _check_free(out, replace=replace)
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    staged, former = (out.with_name(f"{out.name}.{mark}.{end}") for end in ("part", "former"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        yield staged
        if out.exists():
            os.rename(out, former)
        try:
            os.rename(staged, out)
        except OSError:
            if former.exists():
                os.rename(former, out)
            raise
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"the export cannot be written: {error.strerror or error}",
            where=str(out),
            mend="make room on the disk and check the rights of the folder, or choose another one",
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _check_free(out: Path, *, replace: bool) -> None:
    """Raise DataError where `out` is there, unless it is empty, or a former export that may be replaced."""
    if not out.is_symlink() and (not out.exists() or (out.is_dir() and not any(out.iterdir()))):
        return
    if not replace:
        mend = "name another folder, or write --replace to replace a former export"
        raise DataError("this exists already", where=str(out), mend=mend)
    foreign = out if out.is_symlink() or not out.is_dir() else _foreign(out)
    if foreign is not None:
        raise DataError(
            f"this cannot be replaced: {'it' if foreign == out else foreign.relative_to(out)} is not of an export",
            where=str(out),
            mend="name another folder, or remove this one yourself",
        )


def _foreign(folder: Path) -> Path | None:
    """A file in a folder that no export has made; None where there is none."""
    written: set[Path] = set()
    for index in (folder / place / INDEX_FILE for place in ("", *PARTS)):
        if index.is_file():
            written.update(_indexed(index))
    for path in folder.rglob("*"):
        is_plain = _PLAIN_FILES.fullmatch(path.name) is not None and path.parent in (
            folder,
            *map(folder.joinpath, PARTS),
        )
        if (path.is_symlink() or not path.is_dir()) and not is_plain and path not in written:
            return path
    return None


def _indexed(index: Path) -> Iterator[Path]:
    """An index and the files that it names; nothing where no export has made it."""
    with index.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(file)
        if tuple(next(rows, []))[: len(INDEX_HEAD)] == INDEX_HEAD:
            yield index
            yield from (index.parent / row[0] for row in rows if row)
