"""Folders of pictures, packed or not: one for each class, or one for training and one for testing that hold such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from netforge.data.formats.archive import Files
from netforge.data.formats.packed import is_folder
from netforge.data.formats.picture import SUFFIXES
from netforge.data.importers.picture_set import PictureSet
from netforge.data.store.writer import check_class_name
from netforge.errors import DataError

# How people call the folders that split a set, and the part each makes, in the order of the sources made of them.
PARTS = {
    "train": "training",
    "training": "training",
    "test": "testing",
    "testing": "testing",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
MEND = "name a folder that has one sub-folder with pictures for each class"


def list_folders(files: Files) -> PictureSet:
    """The pictures of a folder or archive by class; files that do not end as pictures do are left alone.

    The folders at the top in the order of their names are the classes 0, 1, ...; pictures may lie deeper within them.
    Where all folders at the top have a name of `PARTS`, in upper or lower case, and no picture lies directly in one,
    they are parts, and the folders within them the classes, of the same numbers in all parts. A part for validation is
    taken for testing where there is none for testing. In an archive, one folder around all others is passed through.

    Raises DataError where there are no classes, where one has no picture, or where two folders make the same part.
    """
    paths = [name.split("/") for name in files.names()]
    top = _around_all(files, paths)
    places = [path[len(top) :] for path in paths]
    depth = 2 if _are_parts(places) else 1
    folders: dict[tuple[str, ...], list[int]] = {folder: [] for folder in _folders(files, depth)}
    for number, place in enumerate(places):
        if len(place) > depth:
            own = folders.setdefault(tuple(place[:depth]), [])
            if is_picture(place[-1]):
                own.append(number)
    if not folders:
        raise DataError("there are no sub-folders in here", where=str(files.path), mend=MEND)
    for folder in sorted(folders):
        where = files.where("/".join([*top, *folder]))
        check_class_name(folder[-1], where, "rename it")
        if not folders[folder]:
            raise DataError("there is no picture in here", where=where, mend="put some in, or remove the folder")
    return _listed(files, folders)


def is_picture(name: str) -> bool:
    """Whether a file ends as pictures do."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in SUFFIXES


def _around_all(files: Files, paths: Sequence[Sequence[str]]) -> list[str]:
    """The folder of an archive that holds all others, where there is one."""
    tops = {path[0] for path in paths}
    pictures = [path for path in paths if is_picture(path[-1])]
    if len(tops) == 1 and pictures and all(len(path) > 2 for path in pictures) and not is_folder(files.path):
        return [*tops]
    return []


def _are_parts(places: Iterable[Sequence[str]]) -> bool:
    """Whether the folders at the top are parts of a set rather than classes."""
    inside = [place for place in places if len(place) > 1]
    shallow = any(len(place) == 2 and is_picture(place[1]) for place in inside)
    return bool(inside) and not shallow and all(place[0].lower() in PARTS for place in inside)


def _folders(files: Files, depth: int) -> list[tuple[str, ...]]:
    """The folders at this depth, with files or not; of an archive, which names files only, none."""
    if not is_folder(files.path):
        return []
    found = files.path.glob("/".join(["*"] * depth))
    places = (path.relative_to(files.path).parts for path in found if path.is_dir())
    return [place for place in places if not any(part.startswith(".") for part in place)]


def _listed(files: Files, folders: dict[tuple[str, ...], list[int]]) -> PictureSet:
    """The pictures part by part and class by class."""
    classes = sorted({folder[-1] for folder in folders})
    named = _named_parts(files, {folder[0] for folder in folders if len(folder) > 1})
    names = files.names()
    order: list[int] = []
    labels: list[int] = []
    parts = {}
    for part, outer in named.items():
        start = len(order)
        for label, name in enumerate(classes):
            own = folders.get((name,) if outer is None else (outer, name), [])
            order += own
            labels += [label] * len(own)
        parts[part] = np.arange(start, len(order))
    known = {} if parts.keys() == {""} else parts
    return PictureSet(files, [names[i] for i in order], np.array(labels), dict(enumerate(classes)), parts=known)


def _named_parts(files: Files, folders: set[str]) -> dict[str, str | None]:
    """Part to the folder that makes it; one part without name or folder where the set is not split."""
    if not folders:
        return {"": None}
    made: dict[str, str | None] = {}
    for folder in sorted(folders, key=lambda folder: list(PARTS).index(folder.lower())):
        part = PARTS[folder.lower()]
        if part == "validation" and "testing" not in made:
            part = "testing"
        if part in made:
            found = f'the folders "{made[part]}" and "{folder}" are both for {part}'
            raise DataError(found, where=str(files.path), mend="import them one by one, or put them together")
        made[part] = folder
    return made
