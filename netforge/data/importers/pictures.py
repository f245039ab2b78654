"""Bringing picture files into the image database: folders, archives, lists and tables that name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import open_files
from netforge.data.formats.decoding import picture_blocks
from netforge.data.formats.picture import Picture, PictureForm, without_warnings
from netforge.data.importers.folders import list_folders
from netforge.data.importers.lists import Columns, is_list, list_named
from netforge.data.importers.picture_set import PictureSet
from netforge.data.importers.splitting import split
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, store
from netforge.data.store.writer import check_name
from netforge.errors import DataError


@dataclass(frozen=True)
class PictureImport:
    """What became of pictures: the sources, and the pictures that were left out because they cannot be read."""

    sources: list[Stored]
    unreadable: list[DataError]


def import_images(
    database: ImageDatabase,
    source: str | Path,
    *,
    name: str,
    form: PictureForm,
    root: str | Path | None = None,
    columns: Columns | None = None,
    testing: float = 0.0,
    seed: int = 0,
    skip_unreadable: bool = False,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PictureImport:
    """Make a source of pictures.

    source: a folder or archive (.zip, .tar, .tar.gz) of pictures by class, see `list_folders`; a list or a table of
    pictures, see `list_named`, with the folder or archive `root` and the names of `columns` for these two. Each image's
    origin is the name of its file there, unless the index of an export tells it.

    name: of the source. Folders for training and testing make NAME.training and NAME.testing, and maybe
    NAME.validation. testing: share of each class that goes into a source NAME.testing, the others into NAME.training;
    which ones depends on `seed`. form: what each picture is made into; all must come out at one size.
    skip_unreadable: leave out pictures that cannot be read, rather than raise. mean_of, replace, dry_run, progress: see
    `store`.

    Raises DataError where `source` is none of these, where pictures cannot be read (several of them are named), where
    they differ in size, or where a name is taken; SettingsError where `testing` is out of its range.
    """
    check_name(name)
    pictures = _listed(Path(source), root, columns)
    with pictures.files, without_warnings():
        unreadable: list[DataError] = []
        drafts = [
            _draft(part, pictures, rows, form, unreadable, skip_unreadable=skip_unreadable)
            for part, rows in _parts(pictures, name, testing, seed).items()
        ]
        done = store(database, drafts, mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)
    return PictureImport(done, unreadable)


def _listed(source: Path, root: str | Path | None, columns: Columns | None) -> PictureSet:
    """The pictures that `source` names."""
    if is_list(source):
        return list_named(source, root, columns or Columns())
    if root is not None or columns is not None:
        found = "a root and columns go with a list or a table of pictures, and this is a folder or an archive"
        raise DataError(found, where=str(source), mend="leave them out")
    files = open_files(source)
    try:
        return list_folders(files)
    except BaseException:
        files.close()
        raise


def _parts(pictures: PictureSet, name: str, testing: float, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Name of a source to the numbers of its pictures."""
    if not pictures.parts:
        return split(name, pictures.labels, testing, seed)
    if testing:
        found = "there are folders for training and testing already"
        raise DataError(found, where=str(pictures.files.path), mend="leave out --testing, or import one of them")
    return {f"{name}.{part}": rows for part, rows in pictures.parts.items()}


def _draft(
    name: str,
    pictures: PictureSet,
    rows: npt.NDArray[np.int64],
    form: PictureForm,
    unreadable: list[DataError],
    *,
    skip_unreadable: bool,
) -> Draft:
    """The draft of one source; its columns fill while the pictures are read, whose errors go into `unreadable`."""
    names = [pictures.names[row] for row in rows]
    labels: list[int] = []
    origins: list[str | None] = []
    told = {"groups": pictures.groups, "originals": pictures.original_labels, "auto": pictures.auto}
    numbers = {kind: column for kind, column in told.items() if column is not None}
    kept: dict[str, list[int]] = {kind: [] for kind in numbers}

    def take(number: int, picture: Picture) -> None:
        row = rows[number]
        labels.append(int(pictures.labels[row]))
        origins.append(names[number] if pictures.origins is None else pictures.origins[row])
        for kind, column in numbers.items():
            kept[kind].append(int(column[row]))

    blocks = picture_blocks(pictures.files, names, form, take, unreadable, skip_unreadable=skip_unreadable)
    return Draft(
        name,
        blocks,
        labels,
        pictures.class_names,
        original_labels=kept.get("originals"),
        groups=kept.get("groups"),
        auto=kept.get("auto"),
        origins=origins,
    )
