"""Blobs for the values of a net: who shares memory with whom.

An in-place layer works in the memory of its bottom where that harms nobody; where another layer still needs the old
values it gets memory of its own, which gives the same numbers. A value with several readers is seen by each reader
through a blob of its own, with the same data and a gradient of its own; the net adds the gradients up.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.device.base import Device
from netforge.net.wiring import Value, Wiring


@dataclass(frozen=True)
class Memory:
    """Blobs of a net.

    of: the blob of each value. bottoms, tops: per layer the blobs it is handed.
    readers: for each value with several readers, the blob through which each of them sees it.
    """

    of: dict[Value, Blob]
    bottoms: tuple[list[Blob], ...]
    tops: tuple[list[Blob], ...]
    readers: dict[Value, list[Blob]]


def lay_out(wiring: Wiring, weighted: Set[Value], device: Device, dtype: npt.DTypeLike = np.float32) -> Memory:
    """Make the blobs of a net; they have no shapes and no arrays yet. weighted: values that count towards the loss."""
    blob_of: dict[Value, Blob] = {}
    for value in wiring.values:
        if value.rewrites is not None and may_overwrite(value.rewrites, value.producer, wiring, weighted):
            blob_of[value] = blob_of[value.rewrites]
        else:
            blob_of[value] = Blob(device=device, dtype=dtype, name=value.name)
    readers = {value: _reader_blobs(value, blob_of[value], wiring) for value in wiring.values if len(value.readers) > 1}
    bottoms = tuple(
        [
            readers[value][value.readers.index((number, index))] if value in readers else blob_of[value]
            for index, value in enumerate(values)
        ]
        for number, values in enumerate(wiring.bottoms)
    )
    tops = tuple([blob_of[value] for value in values] for values in wiring.tops)
    return Memory(blob_of, bottoms, tops, readers)


def may_overwrite(value: Value, writer: int, wiring: Wiring, weighted: Set[Value]) -> bool:
    """Whether layer `writer` may work in the memory of `value` without changing what any other layer sees."""
    if not wiring.classes[writer].in_place:
        return False
    step: Value | None = value
    while step is not None:
        producer = wiring.classes[step.producer]
        if len(step.readers) != 1 or step in weighted or producer.backward_reads_top:
            return False
        step = step.rewrites
    return True


def _reader_blobs(value: Value, main: Blob, wiring: Wiring) -> list[Blob]:
    """A blob for each reader; the first one that can give a gradient writes it straight into the value's own diff."""
    blobs = []
    direct = next((n for n, (layer, _) in enumerate(value.readers) if wiring.classes[layer].differentiable), None)
    for number in range(len(value.readers)):
        blob = Blob(main.shape, device=main.device, dtype=main.dtype, name=value.name)
        blob.share_data(main)
        if number == direct:
            blob.share_diff(main)
        blobs.append(blob)
    return blobs
