"""Weights and state in HDF5, laid out as Caffe does.

Weights: /data/LAYER/INDEX, and /diff/LAYER/INDEX with snapshot_diff; a layer name with slashes becomes nested groups,
and a weight that layers share is written with the first of them only. State: iter, current_step, learned_net,
history/INDEX.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import SnapshotError
from netforge.snapshot.stored import StoredBlob, StoredLayer

DEFLATE_LIMIT = 1032  # a deflated stream grows by no more than this factor


@contextmanager
def opened(path: Path, mode: str = "r") -> Iterator[Any]:
    """An h5py.File; what h5py raises about a damaged file becomes a SnapshotError."""
    import h5py

    try:
        with h5py.File(path, mode) as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if mode != "r" and isinstance(error, OSError | RuntimeError):  # a full disk may show only when h5py closes
            raise OSError(f"h5py: {error}") from error
        raise SnapshotError(
            f"the HDF5 file is damaged or cut short: {error}",
            where=str(path),
            mend="copy it again, or use an older snapshot",
        ) from error


def read_layers(path: Path) -> list[StoredLayer]:
    """The layers with weights of a .caffemodel.h5; every array is in memory afterwards."""
    import h5py

    layers: dict[str, dict[int, StoredBlob]] = {}
    with opened(path) as file:

        def visit(name: str, item: Any) -> None:
            layer, _, index = name.rpartition("/")
            if isinstance(item, h5py.Dataset) and layer and index.isdecimal():
                layers.setdefault(layer, {})[int(index)] = _stored(item, path)

        file["data"].visititems(visit)
    return [StoredLayer(name, blobs) for name, blobs in layers.items()]


def _stored(dataset: Any, path: Path) -> StoredBlob:
    values = read_array(dataset, path)
    return StoredBlob(values.shape, lambda: values)


def read_array(dataset: Any, path: Path) -> npt.NDArray[Any]:
    """A dataset's numbers, of any shape; raises SnapshotError where it claims more of them than its file can hold."""
    limit = path.stat().st_size * (DEFLATE_LIMIT if dataset.compression else 1)
    if dataset.dtype.kind not in "fiu" or dataset.nbytes > limit:
        raise SnapshotError(
            f'"{dataset.name}" claims {dataset.size} values of type {dataset.dtype}, which its file cannot hold',
            where=str(path),
            mend="the file is damaged: copy it again",
        )
    return np.asarray(dataset[()])


def write_layers(net: Any, path: Path, diffs: bool) -> None:
    """Write a net's weights; raises SnapshotError where layer names cannot stand side by side in HDF5."""
    written: set[int] = set()
    with opened(path, "w") as file:
        for layer in net.layers:
            try:
                _write_layer(file, layer, net.device, diffs, written)
            except (ValueError, TypeError) as error:
                raise SnapshotError(
                    f"its name cannot stand beside the others in an HDF5 file: {error}",
                    where=str(path),
                    layer=layer.label,
                    mend="rename the layer, or set snapshot_format: BINARYPROTO",
                ) from error


def _write_layer(file: Any, layer: Any, device: Any, diffs: bool, written: set[int]) -> None:
    """Write the weights whose memory (by id) is not among `written` yet."""
    data = file.require_group(f"data/{layer.name}")
    diff = file.require_group(f"diff/{layer.name}") if diffs else None
    for index, blob in enumerate(layer.weights):
        if id(blob.data_storage) in written:
            continue
        written.add(id(blob.data_storage))
        data.create_dataset(str(index), data=device.to_host(blob.data))
        if diff is not None and blob.learnable:
            diff.create_dataset(str(index), data=device.to_host(blob.diff))


def write_text(file: Any, name: str, text: str) -> None:
    """A string as Caffe reads it: of fixed length, with a zero byte at its end."""
    raw = text.encode()
    file.create_dataset(name, data=np.array(raw, f"S{len(raw) + 1}"))


def read_text(dataset: Any) -> str:
    """A string of fixed or variable length."""
    value = dataset[()]
    return value.decode() if isinstance(value, bytes) else str(value)
