"""The image database: one SQLite file that holds any number of named data sources.

Readers and one writer may use it at the same time (write-ahead log). Everything that is changed together is one
transaction: whoever is killed, at any moment, leaves the database as it was before or as it is after.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.labels.query import Query, parse
from netforge.data.source import ArraySource
from netforge.data.store.boxes import Boxes, read_boxes
from netforge.data.store.cache import Cache
from netforge.data.store.database_file import DatabaseFile
from netforge.data.store.home import database_path
from netforge.data.store.label_columns import NO_GROUP, LabelColumns
from netforge.data.store.tables import LOCK_TIMEOUT_S
from netforge.data.store.writer import PixelDigest, Writer
from netforge.errors import DataError, UnknownNameError, did_you_mean


@dataclass(frozen=True)
class SourceInfo:
    """What the database knows about a source without looking at an image.

    shape: (C, H, W). count: images in use. dtype: of the stored pixels. stamp, label_stamp: digests of the content.
    created: UTC, ISO 8601.
    """

    id: int
    name: str
    shape: tuple[int, int, int]
    dtype: str
    color_order: str
    count: int
    stamp: str
    label_stamp: str
    created: str

    @property
    def pixel_key(self) -> str:
        """What the pixels are called in the cache."""
        return f"{self.stamp}.pixels"

    @property
    def label_key(self) -> str:
        """What the labels are called in the cache; three images without groups may have the digest of two with them."""
        return f"{self.label_stamp}.{self.count}.labels"


class ImageDatabase(DatabaseFile):
    """The image database in the file `path`; without one, the user's own.

    The file is opened at the first use, and made at the first `write`. Use it as a context manager, or call `close`;
    one object serves one thread. Every method raises DataError where the file cannot be read or is no image database.

    timeout_s: how long to wait while another process writes.
    """

    def __init__(self, path: str | Path | None = None, *, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        super().__init__(Path(path) if path is not None else database_path(), timeout_s)
        self.cache = Cache(self.path.parent / "cache")

    def sources(self) -> list[SourceInfo]:
        """All sources, by name; empty where there is no database yet."""
        if not self.path.exists():
            return []
        try:
            with self._explained() as connection:
                rows = connection.execute(
                    "SELECT id, name, channels, height, width, dtype, color_order, count, stamp, label_stamp, created"
                    " FROM sources ORDER BY name"
                ).fetchall()
        except DataError:
            if not self.path.exists():  # whoever made it has just taken it back
                return []
            raise
        return [SourceInfo(i, name, (c, h, w), *rest) for i, name, c, h, w, *rest in rows]

    def __contains__(self, name: str) -> bool:
        return any(info.name == name for info in self.sources())

    def find(self, name: str) -> SourceInfo:
        """The source of that name; raises UnknownNameError with the closest known names."""
        known = self.sources()
        for info in known:
            if info.name == name:
                return info
        raise UnknownNameError(f'the image database {self.path} has no source "{name}"', mend=self._mend(name, known))

    @staticmethod
    def _mend(name: str, known: list[SourceInfo]) -> str:
        from netforge.data.store.builtin import BUILTIN_NAMES

        stem = name.partition(".")[0] or "MNIST"
        advice = f'import "{name}" first: netforge data import mnist FOLDER --name {stem} (or npz, or images)'
        close = did_you_mean(name, [*(info.name for info in known), *BUILTIN_NAMES])
        if close is None:
            return advice
        return f"{close} Otherwise {advice}" if close.endswith("?") else f"{close}; or {advice}"

    def stamps(self) -> set[str]:
        """The digests of all sources, which are what files in the cache are named after."""
        with self._explained() as connection:
            return {stamp for pair in connection.execute("SELECT stamp, label_stamp FROM sources") for stamp in pair}

    def class_names(self, info: SourceInfo) -> dict[int, str]:
        """Label to name, for the classes that have names."""
        with self._explained() as connection:
            return dict(connection.execute("SELECT label, name FROM classes WHERE source = ?", (info.id,)))

    def original_labels(self, name: str) -> npt.NDArray[np.int64]:
        """The labels (n,) that the n images in use of a source were imported with, whatever became of them later."""
        return np.array(self._in_use("original_label", name), np.int64)

    def auto_marks(self, name: str) -> npt.NDArray[np.int64]:
        """1 for those of the n images in use of a source whose label a net gave, 0 for the others, (n,)."""
        return np.array(self._in_use("auto", name), np.int64)

    def origins(self, name: str) -> list[str | None]:
        """The file or record that each image in use of a source came from; None where that is not known."""
        return self._in_use("origin", name)

    def boxes(self, name: str) -> Boxes:
        """The boxes of the images in use of a source, which are counted as an opened source counts them."""
        with self.snapshot() as connection:
            return read_boxes(connection, self.find(name).id, str(self.path))

    def _in_use(self, column: str, name: str) -> list[Any]:
        """A column of `images` for the images in use."""
        with self._explained() as connection:
            rows = connection.execute(
                f"SELECT {column} FROM images JOIN sources ON source = id WHERE name = ? AND active ORDER BY position",
                (name,),
            )
            return [value for (value,) in rows]

    def mean(self, info: SourceInfo) -> npt.NDArray[np.float32] | None:
        """The mean image (C, H, W) that goes with a source; None where none was stored."""
        with self._explained() as connection:
            row = connection.execute("SELECT data FROM means WHERE source = ?", (info.id,)).fetchone()
        if row is None:
            return None
        return np.frombuffer(row[0], "<f4").astype(np.float32).reshape(info.shape)

    def open(self, name: str) -> ArraySource:
        """The source of that name, its pixels memory-mapped from the cache, which is filled first where need be.

        Raises DataError where no image of it is in use, and what `info` raises.
        """
        if not self.path.exists():
            self.find(name)  # raises
        with self.snapshot():
            info = self.find(name)
            columns = LabelColumns.of(self.cache.array(info.label_key, lambda path: self._store_labels(info, path)))
            if len(columns.labels) == 0:
                raise DataError(
                    f'all images of source "{name}" are disabled',
                    where=str(self.path),
                    mend=f"enable some: netforge data enable {name} --all",
                )
            pixels = self.cache.array(info.pixel_key, lambda path: self._store_pixels(info, path))
            source = ArraySource(
                name,
                pixels,
                columns.labels,
                rows=None if len(columns.positions) == len(pixels) else columns.positions,
                groups=columns.groups,
                boosts=columns.boosts,
                class_names=self.class_names(info),
                mean=self.mean(info),
                color_order=info.color_order,
                identity=(info.pixel_key, info.label_key),
            )
            source.database = self.path
            return source

    def positions(self, name: str, where: str | Query) -> npt.NDArray[np.int64]:
        """Positions (k,) of the images of a source that a query means, disabled ones among them; see `data.query`."""
        with self.snapshot() as connection:
            return parse(where).positions(connection, self.find(name).id)

    def indices(self, name: str, where: str | Query) -> npt.NDArray[np.int64]:
        """Numbers (k,), among the images in use, of those that a query means; as an opened source counts them."""
        with self.snapshot() as connection:
            return parse(where).indices(connection, self.find(name).id)

    def label_columns(self, info: SourceInfo) -> npt.NDArray[np.int64]:
        """What nets see of the labels of the images in use: the rows of `LabelColumns`, (2 to 4, count).

        Their digest, `label_stamp`, is what `info.label_stamp` should be. Raises DataError where a stored value is no
        whole number, which netforge does not write.
        """
        with self._explained() as connection:
            (grouped,) = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM images WHERE source = ? AND group_number IS NOT NULL)", (info.id,)
            ).fetchone()
            rows = connection.execute(
                f"SELECT position, label, boost, {'group_number' if grouped else NO_GROUP} FROM images"
                " WHERE source = ? AND active ORDER BY position",
                (info.id,),
            )
            try:
                flat = np.fromiter((value for row in rows for value in row), np.int64)
            except (ValueError, TypeError, OverflowError) as error:
                raise DataError(
                    f'a label, group or boost of source "{info.name}" is no whole number: {error}',
                    where=str(self.path),
                    mend="import the source again with --replace",
                ) from None
        positions, labels, boosts, groups = flat.reshape(-1, 4).T
        return LabelColumns(positions, labels, groups if grouped else None, boosts).rows

    def _store_labels(self, info: SourceInfo, path: Path) -> None:
        """Write the columns of the labels into an .npy file."""
        with path.open("wb") as file:
            np.save(file, self.label_columns(info))

    def _store_pixels(self, info: SourceInfo, path: Path) -> None:
        """Copy the pixels into an .npy file, a row of the table at a time; raises DataError where they are damaged."""
        digest = PixelDigest(info.shape, np.dtype(info.dtype))
        with self._explained() as connection, path.open("wb") as file:
            (total,) = connection.execute("SELECT count(*) FROM images WHERE source = ?", (info.id,)).fetchone()
            header = {"descr": digest.dtype.str, "fortran_order": False, "shape": (total, *info.shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for (data,) in connection.execute("SELECT data FROM pixels WHERE source = ? ORDER BY first", (info.id,)):
                digest.update(data)
                file.write(data)
        if digest.stamp != info.stamp:
            raise DataError(
                f'the pixels of source "{info.name}" are damaged: their digest is not the one stored at import',
                where=str(self.path),
                mend="import the source again with --replace",
            )

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One transaction: all that is done through the writer happens, or, after an exception, nothing of it.

        A second writer waits for the first one, up to `timeout_s`. Makes the database where there is none, and takes it
        back where nothing came to be stored in it.
        """
        with self._transaction() as connection:
            writer = Writer(connection, str(self.path))
            yield writer
        self.cache.discard(writer.dropped_stamps - self.stamps())
