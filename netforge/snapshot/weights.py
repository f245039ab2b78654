"""Files of weights: .caffemodel in protobuf or HDF5, matched with a net by the names of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from netforge.blob import Blob
from netforge.device.base import Device
from netforge.errors import SnapshotError, did_you_mean
from netforge.snapshot import files, hdf5, protobuf
from netforge.snapshot.stored import StoredBlob, StoredLayer


class NetWithWeights(Protocol):
    """What saving and loading ask of a net."""

    definition: Any
    device: Device
    layers: Any
    dtype: np.dtype[Any]


class LoadStatus(Enum):
    """What became of one layer."""

    LOADED = "loaded"
    SKIPPED = "skipped"  # in the file, not in the net
    MISSING = "missing"  # in the net, not in the file: keeps the values of its filler
    WRONG_SHAPE = "wrong shape"  # in both, but the shapes differ: keeps the values of its filler


@dataclass(frozen=True)
class LoadRow:
    """One layer of a `LoadReport`: shapes in the file and in the net (empty where it has none), and a remark."""

    layer: str
    status: LoadStatus
    in_file: tuple[tuple[int, ...], ...] = ()
    in_net: tuple[tuple[int, ...], ...] = ()
    remark: str = ""


@dataclass
class LoadReport:
    """What a file of weights did to a net: a row for each of the file's layers, then for those that it lacks."""

    source: Path
    rows: list[LoadRow] = field(default_factory=list)

    def of(self, status: LoadStatus) -> list[LoadRow]:
        """The rows with one status."""
        return [row for row in self.rows if row.status is status]

    @property
    def complete(self) -> bool:
        """Whether every weight of the net came from the file, and nothing of the file was left over."""
        return all(row.status is LoadStatus.LOADED for row in self.rows)


def is_hdf5_name(path: Path) -> bool:
    """Whether a file to be written is HDF5: its name ends in .h5."""
    return path.suffix.lower() == ".h5"


def save_weights(net: NetWithWeights, path: str | Path, *, diffs: bool = False) -> None:
    """Write a net and its weights, in HDF5 where the name ends in .h5; with their gradients if `diffs`.

    The file is replaced in one step. Raises SnapshotError where it cannot be written.
    """
    path = Path(path)
    write = hdf5.write_layers if is_hdf5_name(path) else protobuf.write_layers
    files.write_snapshot(path, lambda partial: write(net, partial, diffs))


def stored_layers(path: str | Path) -> list[StoredLayer]:
    """The layers of a file of weights, without a net; the format is told by the content.

    Raises SnapshotError where the file is damaged or of another kind.
    """
    path = Path(path)
    read = hdf5.read_layers if files.check_kind(path, files.WEIGHTS) else protobuf.read_layers
    return read(path)


def load_weights(net: NetWithWeights, path: str | Path, *, skip_wrong_shapes: bool = False) -> LoadReport:
    """Copy the weights of a file into the layers of the same names; the format is told by the content.

    Shapes must be equal but for leading ones (old files have four axes always); resizable weights take the file's
    shape. Nothing is copied where anything is wrong. Raises SnapshotError where the file is damaged or of another kind,
    where no layer matches, and where shapes differ unless `skip_wrong_shapes`, which leaves those layers as they are.
    """
    path = Path(path)
    stored = stored_layers(path)
    layers = {layer.name: layer for layer in net.layers if layer.weights}
    aliases = _aliases(net)
    report = LoadReport(path, [_compare(item, layers.get(item.name), aliases) for item in stored])
    matched = [item for item, row in zip(stored, report.rows, strict=True) if row.status is LoadStatus.LOADED]
    report.rows += _missing(layers, report, matched)
    if not skip_wrong_shapes:
        _refuse_wrong_shapes(report)
    if not matched and layers and not report.of(LoadStatus.WRONG_SHAPE):
        raise _nothing_matches(path, stored, layers)
    for item in matched:
        for index, blob in item.blobs.items():
            _copy(blob, layers[item.name].weights[index], net)
    return report


def _aliases(net: NetWithWeights) -> set[int]:
    """The weight blobs (by id) that use the memory of an earlier layer's, which brings their values."""
    owners: dict[int, Blob] = {}
    blobs = [blob for layer in net.layers for blob in layer.weights]
    return {id(blob) for blob in blobs if owners.setdefault(id(blob.data_storage), blob) is not blob}


def _compare(stored: StoredLayer, layer: Any, aliases: set[int]) -> LoadRow:
    in_file = tuple(blob.shape for _, blob in sorted(stored.blobs.items()))
    if layer is None:
        return LoadRow(stored.name, LoadStatus.SKIPPED, in_file)
    in_net = tuple(blob.shape for blob in layer.weights)
    needed = {index for index, blob in enumerate(layer.weights) if id(blob) not in aliases}
    remark = ""
    if not needed <= stored.blobs.keys() <= set(range(len(in_net))):
        remark = f"{len(in_file)} weights in the file, {len(in_net)} in the net"
    for index, blob in stored.blobs.items():
        if not remark and not _fits(blob.shape, layer.weights[index]):
            remark = f"weight {index} has shape {blob.shape} in the file, {in_net[index]} in the net"
    return LoadRow(stored.name, LoadStatus.WRONG_SHAPE if remark else LoadStatus.LOADED, in_file, in_net, remark)


def _fits(shape: tuple[int, ...], blob: Blob) -> bool:
    return blob.resizable or _without_leading_ones(shape) == _without_leading_ones(blob.shape)


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


def _missing(layers: dict[str, Any], report: LoadReport, matched: Sequence[StoredLayer]) -> list[LoadRow]:
    """Rows for the layers of the net that the file does not name, unless they share all they have with a loaded one."""
    loaded = {id(layers[item.name].weights[index].data_storage) for item in matched for index in item.blobs}
    named = {row.layer for row in report.rows}
    return [
        LoadRow(name, LoadStatus.MISSING, (), tuple(blob.shape for blob in layer.weights))
        for name, layer in layers.items()
        if name not in named and not all(id(blob.data_storage) in loaded for blob in layer.weights)
    ]


def _refuse_wrong_shapes(report: LoadReport) -> None:
    wrong = report.of(LoadStatus.WRONG_SHAPE)
    if not wrong:
        return
    more = f", and {len(wrong) - 1} more layers do not fit" if len(wrong) > 1 else ""
    raise SnapshotError(
        f"{wrong[0].remark}{more}",
        where=str(report.source),
        layer=f'"{wrong[0].layer}"',
        mend="make the shapes equal, or rename the layer in the net to train it afresh",
    )


def _nothing_matches(path: Path, stored: Sequence[StoredLayer], layers: dict[str, Any]) -> SnapshotError:
    if not stored:
        return SnapshotError(
            "no layer in this file has weights", where=str(path), mend="give a file written by a snapshot"
        )
    name = stored[0].name
    return SnapshotError(
        f'no layer of the net is called like one in this file; its first is "{name}"',
        where=str(path),
        mend=did_you_mean(name, layers) or "give the weights of this net, or use the same layer names",
    )


def _copy(stored: StoredBlob, blob: Blob, net: NetWithWeights) -> None:
    if blob.resizable and blob.shape != stored.shape:
        blob.reshape(stored.shape)
    blob.data[...] = net.device.from_host(stored.read().astype(net.dtype).reshape(blob.shape))
