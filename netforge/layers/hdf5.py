"""Layers of HDF5 files: HDF5Data reads datasets, HDF5Output writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.sources.hdf5_rows import Hdf5Rows, listed_files
from netforge.device.random import RandomStream
from netforge.errors import DataError, NetforgeError
from netforge.layers.base import Layer, register_layer, slots
from netforge.schema import resolve_path

CAFFE_AXES = 4


@register_layer("HDF5Data", settings="hdf5_data_param")
class HDF5Data(Layer):
    """Rows of datasets: each top is named after a dataset, which all files of the list have; values become float32.

    `source` is a text file with the path of one HDF5 file on each line. Batches run on across the ends of files and
    epochs. With `shuffle` each epoch has its own order of files and of the rows within each, drawn from the seed and
    the layer's name. One file at a time is in memory.
    """

    bottoms = slots()
    tops = slots("dataset (batch_size, ...)", more="dataset (batch_size, ...)")
    differentiable = False
    replayable = True
    _rows: Hdf5Rows | None = None

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Open the list, and look at the shapes of its files."""
        settings, context = self.settings, self.context
        for name in ("source", "batch_size"):
            if not getattr(settings, name):
                mend = f"write {name} in hdf5_data_param"
                raise self.fail(f"{name} is missing", setting="hdf5_data_param", mend=mend)
        if self.definition.has("transform_param"):
            mend = "write the datasets as the net is to see them, and remove it"
            raise self.fail("transform_param is not for HDF5Data", setting="transform_param", mend=mend)
        stream = RandomStream(context.seed, f"{self.name}.rows") if settings.shuffle else None
        try:
            files = listed_files(resolve_path(settings.source, context.folder))
            rows = Hdf5Rows(files, self.definition.message.top, shuffle=stream, header_only=context.plan_only)
        except NetforgeError as error:
            raise error.at(self.definition.locate("hdf5_data_param.source"), self.label) from error.__cause__
        self._shapes = rows.shapes
        self._rows = None if context.plan_only else rows

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The first file gives the shapes."""
        for blob, shape in zip(top, self._shapes, strict=True):
            blob.reshape(self.settings.batch_size, *shape)

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Bring the next rows."""
        if self._rows is None:
            raise self.fail("this net was built for its shapes only and has no data", error=DataError)
        size = self.settings.batch_size
        for blob, values in zip(top, self._rows.read(self.random.position * size, size), strict=True):
            blob.data[...] = self.xp.asarray(values)
        self.random.position += 1

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """`feed` wrote the values."""


@register_layer("HDF5Output", settings="hdf5_output_param")
class HDF5Output(Layer):
    """Writes its bottoms to the datasets "data" and "label" of an HDF5 file, with four axes at least.

    The first pass makes the file, in place of an older one; each further pass adds its items. A path is meant from the
    current folder on. `netforge check` writes nothing.
    """

    bottoms = slots("data (N, ...)", "labels (N, ...)")
    tops = slots()
    differentiable = False
    _file: Any = None

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check that there is a name."""
        if not self.settings.file_name:
            mend = 'write file_name: "out.h5" in hdf5_output_param'
            raise self.fail("file_name is missing", setting="hdf5_output_param", mend=mend)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """As many items in both."""
        data, labels = bottom
        if not data.shape or not labels.shape or data.shape[0] != labels.shape[0]:
            raise self.fail(
                f'"{data.name}" {data.shape} and "{labels.name}" {labels.shape} do not hold as many items',
                mend="give a label, or a row of them, for each item",
            )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Add the items to the file."""
        import h5py

        try:
            if self._file is None:
                self._file = h5py.File(Path(self.settings.file_name), "w")
            self._append({"data": self._values_of(bottom[0]), "label": self._values_of(bottom[1])})
            self._file.flush()
        except (OSError, RuntimeError) as error:
            raise self.fail(
                f'"{self.settings.file_name}" cannot be written: {error}',
                setting="hdf5_output_param.file_name",
                error=DataError,
                mend="check the folder, its rights, and that no other program has the file open",
            ) from error

    def _values_of(self, blob: Blob) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self.device.to_host(blob.data)
        return values.reshape(values.shape + (1,) * (CAFFE_AXES - values.ndim))

    def _append(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Add the items to the datasets, which the first ones make."""
        if not len(self._file):
            for name, values in arrays.items():
                self._file.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]))
            return
        for name, values in arrays.items():
            found, expected = values.shape[1:], self._file[name].shape[1:]
            if found != expected:
                raise self.fail(
                    f'"{name}" in the file has items of shape {expected}, these have {found}',
                    mend="write batches of one shape to a file",
                )
        for name, values in arrays.items():
            dataset = self._file[name]
            before = dataset.shape[0]
            dataset.resize(before + len(values), axis=0)
            dataset[before:] = values

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
