"""LMDB databases of Caffe's Datum records, read in the order of their keys."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from netforge.data.formats.datum import decode_datum, decode_label, is_encoded
from netforge.data.formats.decoding import THREADS
from netforge.data.formats.lmdb_pages import DATA_FILE, data_file
from netforge.data.source import Indices, Pixels, Source
from netforge.errors import DataError

DECODED_AT_A_TIME = 256  # encoded images whose files lie in memory

CHEAP_PASS_BYTES = 1 << 30
"""Databases of no more pixels are read through for their labels without being asked twice."""


def is_lmdb(path: Path) -> bool:
    """Whether `path` is the folder of an LMDB, or its data file."""
    return (path / DATA_FILE).is_file() or (path.suffix == ".mdb" and path.is_file())


class _Environment:
    """An open LMDB; a process must not open the same one twice, so those who read it share this object."""

    shared: weakref.WeakValueDictionary[tuple[int, Path], _Environment] = weakref.WeakValueDictionary()

    def __init__(self, path: Path) -> None:
        import lmdb

        self.path = path
        with _explained(path):
            self.handle: Any = lmdb.open(
                str(path),
                subdir=path.is_dir(),
                readonly=True,
                lock=False,
                create=False,
                readahead=False,
                max_spare_txns=4,
            )
        weakref.finalize(self, self.handle.close)
        self._check_length()

    def _check_length(self) -> None:
        """Raise DataError where the data file is cut short: reading what is missing would kill the process."""
        with _explained(self.path):
            needed = (self.handle.info()["last_pgno"] + 1) * self.handle.stat()["psize"]
        found = data_file(self.path).stat().st_size
        if found < needed:
            raise DataError(
                f"the LMDB is cut short: {found} bytes of at least {needed}",
                where=str(self.path),
                mend="copy it again, or make it anew",
            )

    @classmethod
    def of(cls, path: Path) -> _Environment:
        """The environment of this process (a forked child opens its own) for a path."""
        place = path.resolve()
        place = place.parent if place.name == DATA_FILE else place
        found = cls.shared.get((os.getpid(), place))
        if found is None:
            found = cls.shared[os.getpid(), place] = cls(place)
        return found

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A read transaction."""
        with _explained(self.path), self.handle.begin(buffers=False) as transaction:
            yield transaction


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import lmdb

    try:
        yield
    except lmdb.Error as error:
        found = f"the LMDB cannot be read: {str(error).rstrip('.')}"
        raise DataError(found, where=str(path), mend="make the database again") from error


class LmdbSource(Source):
    """An LMDB of Datum records of one shape.

    path: its folder, or its data file. The first record gives the shape; records of another one are refused when read.
    Raises DataError where there is no LMDB, or no record in it.
    """

    color_order = "BGR"
    shuffled = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self.class_names = {}
        with self._environment().reading() as transaction:
            self.count = int(transaction.stat()["entries"])
            cursor = transaction.cursor()
            if not cursor.first():
                raise DataError(
                    "the LMDB holds no records", where=str(path), mend="write images into it, or name another one"
                )
            record = cursor.value()
            first, _ = decode_datum(record, self._where(cursor.key()))
        self._encoded = is_encoded(record)
        self.shape = (first.shape[0], first.shape[1], first.shape[2])
        self._keys: list[bytes] | None = None
        self._labels: Indices | None = None

    def _environment(self) -> _Environment:
        environment = _Environment.of(self.path)
        self._kept = environment  # keeps it open as long as this source lives
        return environment

    def _where(self, key: bytes) -> str:
        return f"{self.path}, record {key.decode(errors='backslashreplace')!r}"

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Decode the records (n,); where the first of the database is an encoded image, in several threads.

        Raises DataError, with its key, for a record that is damaged or of another shape than the first one.
        """
        all_keys = self._all_keys()
        keys = [all_keys[index] for index in indices]
        pixels: Pixels = np.empty((len(indices), *self.shape), np.uint8)
        labels = np.empty(len(indices), np.int64)
        with closing(self._decoded(keys)) as decoded:
            for i, (key, (image, labels[i])) in enumerate(zip(keys, decoded, strict=True)):
                if image.shape != self.shape:
                    raise DataError(
                        f"the image has shape {image.shape}, the first one of the database {self.shape}",
                        where=self._where(key),
                        mend="make the database with images of one size",
                    )
                if image.dtype != pixels.dtype and pixels.dtype == np.uint8:
                    pixels = pixels.astype(np.float32)
                pixels[i] = image
        return pixels, labels

    def _decoded(self, keys: Sequence[bytes]) -> Generator[tuple[Pixels, int], None, None]:
        """Image and label of each record."""
        with self._environment().reading() as transaction:
            if not self._encoded:
                for key in keys:
                    yield decode_datum(transaction.get(key), self._where(key))
                return
            with ThreadPoolExecutor(THREADS) as pool:
                for start in range(0, len(keys), DECODED_AT_A_TIME):
                    part = keys[start : start + DECODED_AT_A_TIME]
                    records = [transaction.get(key) for key in part]
                    yield from pool.map(decode_datum, records, map(self._where, part))

    def _all_keys(self) -> list[bytes]:
        if self._keys is None:
            with self._environment().reading() as transaction:
                self._keys = list(transaction.cursor().iternext(keys=True, values=False))
        return self._keys

    @property
    def labels(self) -> Indices:
        """The label of every image, read in one pass when first asked for."""
        if self._labels is None:
            with self._environment().reading() as transaction:
                self._labels = np.fromiter(
                    (decode_label(value, self._where(key)) for key, value in transaction.cursor()), np.int64
                )
        return self._labels

    @property
    def labels_are_cheap(self) -> bool:
        """Whether they are read already, or the database is small enough for a pass of a second or so."""
        return self._labels is not None or self.count * math.prod(self.shape) <= CHEAP_PASS_BYTES
