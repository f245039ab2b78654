"""Finding a data source by its kind and name, as `data_param` does."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from netforge.data.labels.query import Query
from netforge.data.source import Indices, Pixels, Source
from netforge.data.sources.image_set import ImageSet
from netforge.data.sources.in_memory import find_in_memory
from netforge.data.sources.lmdb import LmdbSource, is_lmdb
from netforge.data.store.builtin import BUILTIN_COUNTS, BUILTIN_NAMES, DIGIT_NAMES, DIGITS_SHAPE, make_builtin
from netforge.data.store.database import ImageDatabase
from netforge.errors import DataError, UnknownNameError
from netforge.registry import Registry
from netforge.schema import resolve_path


class Opener(Protocol):
    """What stands in `BACKENDS`: opens the source of that name, or reads its header only."""

    def __call__(self, source: str, folder: Path | None, *, header_only: bool, database: Path | None) -> Source:
        """Open a source, as `open_source` does."""


BACKENDS: Registry[Opener] = Registry("backend")


class Header(Source):
    """A source of which only shape, count and names are known; its images cannot be read."""

    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int],
        count: int,
        class_names: dict[int, str],
        color_order: str = "RGB",
        *,
        holds_bytes: bool = False,
    ) -> None:
        self.name = name
        self.shape = shape
        self.count = count
        self.class_names = class_names
        self.color_order = color_order
        self.holds_bytes = holds_bytes

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Refuse: no image was opened."""
        raise self._closed()

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        raise self._closed()

    def _closed(self) -> DataError:
        return DataError(f'only the header of source "{self.name}" was opened', mend="open it without header_only")


def open_source(
    backend: str | None,
    source: str,
    *,
    folder: Path | None = None,
    header_only: bool = False,
    database: Path | None = None,
) -> Source:
    """Open a data source.

    backend: "IMAGEDB", "LMDB", or None to find out: an LMDB where `source` is the path of one, otherwise a name in the
    image database. source: that path or name. folder: where relative paths are looked up after the current folder.
    header_only: read shape, count and names, but no images. database: file of the image database; None for the user's
    own. A source that was handed over under this name is taken before all others, see `sources_in_memory`.

    Raises UnknownNameError for a name that the image database lacks, DataError where a source cannot be read.
    """
    found = find_in_memory(source)
    if found is not None:
        return found
    kind = backend or sniff(source, folder)
    return BACKENDS[kind](source, folder, header_only=header_only, database=database)


def cannot_be_asked(source: str) -> DataError:
    """The error for a query on a source that does not lie in the image database."""
    return DataError(
        "only sources of the image database can be asked by a query",
        where=source,
        mend="copy it into the database first: netforge data copy SOURCE NAME",
    )


def none_meets(where: str | Query, source: str) -> DataError:
    """The error for a query that means no image in use."""
    asked = where if isinstance(where, str) else where.text
    return DataError(f"no image in use meets the query '{asked}'", where=source, mend="ask for others")


def open_images(source: str, where: str | Query | None, *, database: Path | None = None) -> ImageSet:
    """The images of a source that a query means, or all of them; `ImageSet.origin` tells their indices in the source.

    source: as `open_source` takes it, but a query is answered by the image database alone. where: see `data.query`;
    disabled images are never opened. Raises DataError where no image is meant, and whatever `open_source` raises.
    """
    opened = open_source(None, source, database=database)
    if where is None:
        return ImageSet([opened])
    with ImageDatabase(database) as images:
        if source not in images:
            raise cannot_be_asked(source)
        with images.snapshot():
            chosen = images.indices(source, where)
            if not len(chosen):
                raise none_meets(where, source)
            return ImageSet([images.open(source)], chosen)


def sniff(source: str, folder: Path | None) -> str:
    """The backend of a source, by what lies at its path; raises DataError where nothing is known that lies there."""
    path = _existing(source, folder)
    if path is None:
        return "IMAGEDB"
    if is_lmdb(path):
        return "LMDB"
    if is_leveldb(path):
        return "LEVELDB"
    raise DataError(
        "this is no LMDB, LevelDB or name in the image database",
        where=str(path),
        mend='name the folder of an LMDB, or a source that "netforge data list" shows',
    )


def _existing(source: str, folder: Path | None) -> Path | None:
    candidates = [Path(source), *([folder / source] if folder else [])]
    return next((path for path in candidates if path.exists()), None)


def is_leveldb(path: Path) -> bool:
    """Whether `path` is the folder of a LevelDB."""
    return (path / "CURRENT").is_file()


@BACKENDS.register("IMAGEDB")
def open_image_source(source: str, folder: Path | None, *, header_only: bool, database: Path | None) -> Source:
    """A source of the image database; the built-in ones are made when they are missing."""
    with ImageDatabase(database) as images:
        if header_only and source in BUILTIN_NAMES and source not in images:
            return Header(source, DIGITS_SHAPE, BUILTIN_COUNTS[source], DIGIT_NAMES, holds_bytes=True)
        make_builtin(images, source)
        if header_only:
            info = images.find(source)
            names, is_bytes = images.class_names(info), info.dtype == "uint8"
            return Header(source, info.shape, info.count, names, info.color_order, holds_bytes=is_bytes)
        return images.open(source)


@BACKENDS.register("LMDB")
def open_lmdb(source: str, folder: Path | None, *, header_only: bool, database: Path | None) -> Source:
    """An LMDB folder.

    MyCaffe writes LMDB for sources of its image database too: a name that is no path is sought there.
    Raises DataError where there is none.
    """
    path = _existing(source, folder)
    if path is None:
        try:
            return open_image_source(source, folder, header_only=header_only, database=database)
        except UnknownNameError:
            path = resolve_path(source, folder)
    if is_lmdb(path):
        return LmdbSource(path)
    if is_leveldb(path):
        return open_leveldb(source, folder, header_only=header_only, database=database)
    raise DataError("there is no LMDB here", where=str(path), mend="name the folder that holds data.mdb")


@BACKENDS.register("LEVELDB")
def open_leveldb(source: str, folder: Path | None, *, header_only: bool, database: Path | None) -> Source:
    """LevelDB cannot be read: always raises DataError, which says what can."""
    path = _existing(source, folder)
    if path is not None and is_lmdb(path):
        raise DataError("this is an LMDB, not a LevelDB", where=str(path), mend="write backend: LMDB")
    if path is None:
        with ImageDatabase(database) as images:
            if source in BUILTIN_NAMES or source in images:
                raise DataError(f'"{source}" is a source of the image database', mend="write backend: IMAGEDB")
    raise DataError(
        "LevelDB databases cannot be read",
        where=str(path or source),
        mend="make an LMDB of the same records and write backend: LMDB",
    )
