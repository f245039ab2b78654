"""Small sources and files for tests of data."""

from __future__ import annotations

import gzip
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np

from netforge.data import ArraySource, ImageDatabase
from netforge.data.store.home import database_path
from netforge.schema import messages


def array_source(count: int = 40, shape: tuple[int, int, int] = (1, 5, 6), classes: int = 4) -> ArraySource:
    """Images of random bytes; image i has label i modulo `classes`."""
    pixels = np.random.default_rng(5).integers(0, 256, (count, *shape), np.uint8)
    return ArraySource("test", pixels, np.arange(count) % classes, mean=pixels.mean(0).astype(np.float32))


def fill_database(name: str = "tiny.training", source: ArraySource | None = None, path: Path | None = None) -> None:
    """Put a source into the image database, with its mean."""
    source = source or array_source()
    with ImageDatabase(path) as database, database.write() as writer:
        mean = writer.add(name, [source.images[:]], source.labels, class_names={0: "zero", 1: "one"}, replace=True)
        writer.set_mean(name, mean)


def damage(*statements: str, path: Path | None = None) -> None:
    """Change an image database behind its back."""
    with closing(sqlite3.connect(path or database_path(), isolation_level=None)) as raw:
        for statement in ("PRAGMA synchronous = OFF", "PRAGMA ignore_check_constraints = ON", *statements):
            raw.execute(statement)


def idx_bytes(array: np.ndarray, magic: int | None = None) -> bytes:
    """An IDX file of bytes."""
    magic = 0x800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, training: int = 30, testing: int = 20, *, zipped: bool = True) -> None:
    """The four files of a small set in the form of MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    for part, count in (("train", training), ("t10k", testing)):
        for kind, array in (
            ("images-idx3", rng.integers(0, 256, (count, 6, 5))),
            ("labels-idx1", np.arange(count) % 10),
        ):
            data = idx_bytes(array)
            path = folder / f"{part}-{kind}-ubyte"
            if zipped:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data, mtime=0))
            else:
                path.write_bytes(data)


def datum(pixels: np.ndarray, label: int = 0) -> bytes:
    """A serialized Datum of raw bytes, or of floats."""
    channels, height, width = pixels.shape
    message = messages.Datum(channels=channels, height=height, width=width, label=label)
    if pixels.dtype == np.uint8:
        message.data = pixels.tobytes()
    else:
        message.float_data.extend(pixels.ravel().tolist())
    return bytes(message.SerializeToString())


def write_lmdb(folder: Path, records: dict[bytes, bytes]) -> Path:
    """An LMDB with these records."""
    import lmdb

    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key, value)
    return folder
