"""Rows of datasets in HDF5 files, one file after the other, again and again, as Caffe's HDF5Data layer reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import Selection, each_once
from netforge.device.random import RandomStream
from netforge.errors import DataError, NetforgeError, Place, counted, did_you_mean
from netforge.schema import resolve_path

Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]

# A deflated stream grows by no more than this factor, so that a file cannot hold more than that of its own size.
DEFLATE_LIMIT = 1032
AGAIN = "write the file again"

# Of a list of files; what is larger is another file.
MOST_LIST_BYTES = 1 << 26


def listed_files(path: Path) -> list[Path]:
    """The files that a text file names, one a line; relative paths start from the current folder, then from its own.

    Raises DataError where it names none or is no text, SchemaError, with the line, where a file is missing.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_LIST_BYTES + 1)
        text = data[:MOST_LIST_BYTES].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _no_list(path, getattr(error, "strerror", None) or "it is no text") from error
    files = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            files.append(resolve_path(line.strip(), path.parent))
        except NetforgeError as error:
            raise error.at(Place(str(path), number)) from None
    if not files:
        raise DataError("the list names no HDF5 file", where=str(path), mend="write the path of one on each line")
    return files


def _no_list(path: Path, reason: str) -> DataError:
    return DataError(
        f"the list of HDF5 files cannot be read: {reason}",
        where=str(path),
        mend="source names a text file, with the path of one HDF5 file on each line",
    )


class Hdf5Rows:
    """The rows of some datasets, float32; the file that is read is in memory as a whole.

    files: HDF5 files, each with all datasets. names: of the datasets. shuffle: what the order of files and of the rows
    within each is drawn from in every epoch (rows of two files never mix); None for the order they are stored in.
    header_only: only the shapes of the first file are wanted, nothing is to be read.

    shapes: of one row of each dataset. count: rows of all files; 0 with header_only.

    Raises DataError, naming file and dataset, for files that are damaged, datasets that are missing, empty, no numbers
    or of unequal lengths, and shapes that change from one file to the next.
    """

    def __init__(
        self, files: Sequence[Path], names: Sequence[str], *, shuffle: RandomStream | None, header_only: bool = False
    ) -> None:
        self._files = list(files)
        self._names = list(names)
        self._shuffle = shuffle
        of_files = None if shuffle is None else RandomStream(shuffle.seed, f"{shuffle.name}.files")
        self._file_order = each_once(len(self._files), of_files)
        self._loaded: tuple[int, list[Floats], Selection] | None = None
        heads = [self._head(file) for file in (files[:1] if header_only else files)]
        self.shapes = heads[0][1]
        for file, (_, shapes) in zip(files, heads, strict=False):
            for name, found, first in zip(names, shapes, self.shapes, strict=True):
                if found != first:
                    raise DataError(
                        f'rows of "{name}" have shape {found}, those of {files[0]} {first}',
                        where=str(file),
                        mend="leave it out, or " + AGAIN,
                    )
        self._rows = np.array([rows for rows, _ in heads], np.int64)
        self.count = 0 if header_only else int(self._rows.sum())

    def read(self, start: int, length: int) -> list[Floats]:
        """Rows start .. start+length-1 of the endless sequence, one array (length, ...) for each dataset."""
        out = [np.empty((length, *shape), np.float32) for shape in self.shapes]
        files = len(self._files)
        done = 0
        while done < length:
            epoch, row = divmod(start + done, self.count)
            order = self._file_order.take(epoch * files, files)
            ends = self._rows[order].cumsum()
            place = int(np.searchsorted(ends, row, side="right"))
            file = int(order[place])
            rows = int(self._rows[file])
            first = row - int(ends[place]) + rows
            arrays, row_order = self._load(file)
            chosen = row_order.take((epoch * files + file) * rows + first, min(rows - first, length - done))
            for array, values in zip(out, arrays, strict=True):
                array[done : done + len(chosen)] = values[chosen]
            done += len(chosen)
        return out

    def _load(self, file: int) -> tuple[list[Floats], Selection]:
        """The datasets of one file, and the order of its rows: in epoch e epoch e * files + file of the selection."""
        if self._loaded is None or self._loaded[0] != file:
            self._loaded = None  # before the next one is read: memory holds one file
            with opened(self._files[file]) as opened_file:
                arrays = [np.asarray(opened_file[name][()], np.float32) for name in self._names]
            self._loaded = file, arrays, each_once(int(self._rows[file]), self._shuffle)
        return self._loaded[1:]

    def _head(self, path: Path) -> tuple[int, tuple[Shape, ...]]:
        """How many rows a file has, and the shape of a row of each dataset."""
        with opened(path) as file:
            shapes = [_shape_of(file, name, path) for name in self._names]
        lengths = [shape[0] for shape in shapes]
        for name, length in zip(self._names, lengths, strict=True):
            if length != lengths[0]:
                found = f'"{name}" has {counted(length, "row")}, "{self._names[0]}" {lengths[0]}'
                raise DataError(found, where=str(path), mend=AGAIN)
        if not lengths[0]:
            raise DataError("the datasets have no rows", where=str(path), mend="leave the file out of the list")
        return lengths[0], tuple(shape[1:] for shape in shapes)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An h5py.File to read; what h5py raises about a damaged file becomes a DataError."""
    import h5py

    try:
        with h5py.File(path) as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"the HDF5 file cannot be read: {error}", where=str(path), mend=AGAIN) from error


def _shape_of(file: Any, name: str, path: Path) -> Shape:
    """The shape of a dataset of numbers with at least one axis, all of which its file can hold."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        known = [key for key, item in file.items() if isinstance(item, h5py.Dataset)]
        mend = did_you_mean(name, known) or "top names are names of datasets"
        raise DataError(f'there is no dataset "{name}"', where=str(path), mend=mend)
    if found.dtype.kind not in "fiub" or not found.ndim:
        what = "one value" if found.dtype.kind in "fiub" else f"type {found.dtype}"
        raise DataError(f'the dataset "{name}" holds {what}, expected rows of numbers', where=str(path), mend=AGAIN)
    if found.nbytes > path.stat().st_size * (DEFLATE_LIMIT if found.compression else 1):
        raise DataError(
            f'the dataset "{name}" claims {found.size:,} values, which its file cannot hold',
            where=str(path),
            mend=AGAIN,
        )
    return tuple(int(side) for side in found.shape)
