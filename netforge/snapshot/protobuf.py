"""Arrays and layers in protobuf: BlobProto and NetParameter, as Caffe writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from netforge.errors import SchemaError, SnapshotError
from netforge.schema import messages, parse_binary
from netforge.snapshot.stored import StoredBlob, StoredLayer

MESSAGE_LIMIT_BYTES = 2**31 - 1

# Field numbers of BlobProto, and the wire type of packed data.
_FIELDS = {("data", 4): 5, ("diff", 4): 6, ("data", 8): 8, ("diff", 8): 9}
_LENGTH_DELIMITED = 2

M = TypeVar("M", bound=Message)


def encode_blob(data: npt.NDArray[Any], diff: npt.NDArray[Any] | None = None) -> Any:
    """A BlobProto with the shape and values of a float32 or float64 array, and a gradient (the same shape) if given."""
    blob = messages.BlobProto()
    blob.shape.dim.extend(data.shape)
    for kind, array in (("data", data), ("diff", diff)):
        if array is not None and array.size:
            blob.MergeFromString(_packed(_FIELDS[kind, array.dtype.itemsize], array))
    return blob


def _packed(field: int, array: npt.NDArray[Any]) -> bytes:
    """The wire form of a packed field: what protobuf would make of the numbers, without a Python object for each."""
    raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return bytes(_varint(field << 3 | _LENGTH_DELIMITED)) + bytes(_varint(len(raw))) + raw


def _varint(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def decode_blob(blob: Any, where: str, what: str) -> StoredBlob:
    """The values of a BlobProto: float or double, packed or not, with a shape of today or the old 4-axis one.

    Raises SnapshotError where the shape does not go with the number of values; `what` names the blob.
    """
    legacy = ("num", "channels", "height", "width")
    if any(blob.HasField(name) for name in legacy):
        shape = tuple(getattr(blob, name) for name in legacy)
    else:
        shape = tuple(blob.shape.dim)
    field = "double_data" if len(blob.double_data) else "data"
    count = len(getattr(blob, field))
    if any(d < 0 for d in shape) or math.prod(shape) != count:
        raise SnapshotError(
            f"{what} has shape {shape} but {count} values", where=where, mend="the file is damaged: copy it again"
        )
    return StoredBlob(shape, lambda: _values(blob, field, count).reshape(shape))


def _values(blob: Any, field: str, count: int) -> npt.NDArray[Any]:
    """One repeated field as an array: serialised alone, its packed values are the last bytes."""
    alone = messages.BlobProto()
    getattr(alone, field).MergeFrom(getattr(blob, field))
    raw = alone.SerializeToString()
    dtype = np.dtype("<f8" if field == "double_data" else "<f4")
    return np.frombuffer(raw, dtype, count, len(raw) - count * dtype.itemsize)


def read_message(cls: type[M], path: Path) -> M:
    """A file as a message of type `cls`; raises SnapshotError where it is damaged or cut short."""
    try:
        return parse_binary(cls, path.read_bytes(), str(path))
    except OSError as error:
        raise SnapshotError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except SchemaError as error:
        raise SnapshotError(
            "the file is damaged or was cut short", where=str(path), mend="copy it again, or use an older snapshot"
        ) from error


def write_message(message: Any, path: Path) -> None:
    """Write a message; raises SnapshotError where it is larger than protobuf admits."""
    if message.ByteSize() > MESSAGE_LIMIT_BYTES:
        raise SnapshotError(
            "protobuf files end at 2 GiB", where=str(path), mend="set snapshot_format: HDF5, which has no such limit"
        )
    path.write_bytes(message.SerializeToString())


def read_layers(path: Path) -> list[StoredLayer]:
    """The layers with weights of a .caffemodel, of today's form or of the older V1 and V0 ones."""
    message: Any = read_message(messages.NetParameter, path)
    found = []
    for layer in (*message.layers, *message.layer):
        old = layer.layer if isinstance(layer, messages.V1LayerParameter) and layer.HasField("layer") else layer
        blobs = {
            index: decode_blob(blob, str(path), f'weight {index} of layer "{old.name}"')
            for index, blob in enumerate(old.blobs)
        }
        if blobs:
            found.append(StoredLayer(old.name, blobs))
    return found


def write_layers(net: Any, path: Path, diffs: bool) -> None:
    """Write a net with its weights; weights that layers share are written with each of them, as Caffe does."""
    message = messages.NetParameter()
    message.CopyFrom(net.definition.message)
    to_host = net.device.to_host
    for layer in net.layers:
        written = message.layer.add()
        written.CopyFrom(layer.definition.message)
        del written.blobs[:]
        written.blobs.extend(
            encode_blob(to_host(blob.data), to_host(blob.diff) if diffs and blob.learnable else None)
            for blob in layer.weights
        )
    write_message(message, path)
