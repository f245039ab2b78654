"""Bringing a folder of pictures into the image database: one sub-folder for each class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.copying import draw
from netforge.data.database import ImageDatabase
from netforge.data.drafts import Draft, Progress, Stored, store
from netforge.data.picture import SUFFIXES, UNREADABLE, PictureForm, read_picture, without_warnings
from netforge.data.writer import check_class_name, check_name
from netforge.errors import DataError, counted

BLOCK_PICTURES = 16
THREADS = 4
MOST_NAMED = 5


@dataclass(frozen=True)
class FolderImport:
    """What became of a folder: the sources, and the pictures that were left out because they cannot be read."""

    sources: list[Stored]
    unreadable: list[DataError]


def import_folder(
    database: ImageDatabase,
    folder: str | Path,
    *,
    name: str,
    form: PictureForm,
    testing: float = 0.0,
    seed: int = 0,
    skip_unreadable: bool = False,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> FolderImport:
    """Make a source of the pictures in a folder that has one sub-folder for each class.

    The sub-folders in the order of their names are the classes 0, 1, ...; pictures may lie deeper within them. Hidden
    files, and files that do not end as pictures do, are left alone.

    form: what each picture is made into; all must come out at one size. testing: share of each class that goes into a
    source NAME.testing, the others into NAME.training; which ones depends on `seed`. With 0 there is one source, NAME.
    skip_unreadable: leave out pictures that cannot be read, rather than raise. mean_of, replace, dry_run, progress: see
    `store`.

    Raises DataError where the folder holds no classes or no pictures, where pictures cannot be read (several of them
    are named), where they differ in size, or where a name is taken.
    """
    check_name(name)
    paths, labels, class_names = _listed(Path(folder))
    parts = {name: np.arange(len(paths))}
    if testing:
        chosen = _testing_rows(labels, testing, seed)
        parts = {f"{name}.training": np.flatnonzero(~chosen), f"{name}.testing": np.flatnonzero(chosen)}
    unreadable: list[DataError] = []
    drafts = []
    for source, rows in parts.items():
        if not len(rows):
            raise DataError(f'no picture is left for source "{source}"', where=str(folder), mend="choose another share")
        read_labels: list[int] = []
        files = [(paths[i], int(labels[i])) for i in rows]
        blocks = _blocks(files, form, read_labels, unreadable, skip_unreadable=skip_unreadable)
        drafts.append(Draft(source, blocks, read_labels, class_names))
    with without_warnings():
        done = store(database, drafts, mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)
    return FolderImport(done, unreadable)


def _listed(folder: Path) -> tuple[list[Path], npt.NDArray[np.int64], dict[int, str]]:
    """All pictures, class by class and by path; their labels; the names of the classes."""
    mend = "name a folder that has one sub-folder with pictures for each class"
    if not folder.is_dir():
        raise DataError("there is no such folder", where=str(folder), mend=mend)
    paths: list[Path] = []
    labels: list[int] = []
    class_names = {}
    for label, child in enumerate(sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith("."))):
        check_class_name(child.name, str(folder), "rename it")
        own = sorted(path for path in child.rglob("*") if path.suffix.lower() in SUFFIXES and _is_shown(path, child))
        if not own:
            raise DataError("there is no picture in here", where=str(child), mend="put some in, or remove the folder")
        paths += own
        labels += [label] * len(own)
        class_names[label] = child.name
    if not paths:
        raise DataError("there are no sub-folders in here", where=str(folder), mend=mend)
    return paths, np.array(labels), class_names


def _is_shown(path: Path, folder: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _testing_rows(labels: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which pictures are testing ones: `share` of each class, rounded, all equally likely."""
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        own = labels == label
        chosen |= draw(labels, own, round(int(own.sum()) * share), seed)
    return chosen


def _blocks(
    files: Sequence[tuple[Path, int]],
    form: PictureForm,
    read_labels: list[int],
    unreadable: list[DataError],
    *,
    skip_unreadable: bool,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures in blocks (n, C, H, W); the labels of those that could be read go into `read_labels`."""

    def read(path: Path) -> npt.NDArray[np.uint8] | DataError:
        try:
            return read_picture(path, form, mend="replace it, or leave it out with --skip-unreadable")
        except DataError as error:
            return error

    shape: tuple[int, ...] = ()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), BLOCK_PICTURES):
            part = files[start : start + BLOCK_PICTURES]
            good = []
            for (path, label), picture in zip(part, pool.map(read, [path for path, _ in part]), strict=True):
                if isinstance(picture, DataError):
                    unreadable.append(picture)
                    continue
                shape = shape or picture.shape
                _check_shape(path, picture.shape, shape)
                good.append(picture)
                read_labels.append(label)
            if good:
                yield np.stack(good)
    if unreadable and not skip_unreadable:
        raise _summed_up(unreadable)


def _check_shape(path: Path, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape != first:
        raise DataError(
            f"the picture has {shape[1]} x {shape[2]} pixels, those before it {first[1]} x {first[2]}",
            where=str(path),
            mend="bring all to one size: --size HEIGHTxWIDTH",
        )


def _summed_up(unreadable: Sequence[DataError]) -> DataError:
    """One error for all pictures that cannot be read."""
    if len(unreadable) == 1:
        return unreadable[0]
    named = "; ".join(f"{error.where}: {error.found.removeprefix(UNREADABLE)}" for error in unreadable[:MOST_NAMED])
    more = f"; and {len(unreadable) - MOST_NAMED:,} more" if len(unreadable) > MOST_NAMED else ""
    return DataError(
        f"{counted(len(unreadable), 'picture')} cannot be read: {named}{more}",
        mend="replace them, or leave them out with --skip-unreadable",
    )
