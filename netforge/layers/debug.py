"""The Debug layer: keeps the newest embeddings and their labels, for looking at them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.errors import DataError
from netforge.layers.axes import rows, same_batch
from netforge.layers.base import Layer, register_layer, slots

MOST_BYTES = 2 << 30
"""The largest memory that stored embeddings and labels may take."""
MOST_SLOTS = 1 << 24
"""The place in a ring is counted in float32, which is exact up to here."""


@register_layer("Debug", settings="debug_param")
class Debug(Layer):
    """Hands its first bottom on, in place or as a copy, and keeps the newest items of it with their labels.

    max_stored_items items are kept, or, where that is 0, those of max_stored_batches batches of the size that the net
    was built with. item_index keeps one column of the labels (N, columns), -1 all of them. `stored` reads them back.
    They lie on the device, in memory that is taken at the first pass; neither snapshots nor an exact resume hold
    them: `save` writes them to a file. In phase RUN a net leaves the layer out, and its readers read its bottom.
    """

    bottoms = slots("x (N, ...)", "labels (N, ...)")
    tops = slots("x, as it is")
    in_place = True
    blocked_bottoms = (1,)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Find how many items to keep."""
        s = self.settings
        same_batch(self, bottom)
        which, count = "max_stored_items", int(s.max_stored_items)
        if not count:
            which, count = "max_stored_batches", int(s.max_stored_batches) * max(1, bottom[0].shape[0])
        self.size = (math.prod(bottom[0].shape[1:]), self._labels_of_one(bottom[1]))
        needed = count * sum(self.size) * self.dtype.itemsize
        if needed > MOST_BYTES or count > MOST_SLOTS:
            fit = min(MOST_SLOTS, MOST_BYTES // max(1, sum(self.size) * self.dtype.itemsize))
            raise self.fail(
                f"{count} items of {self.size[0]} values and {self.size[1]} labels take {needed / 2**30:.1f} GiB",
                setting=f"debug_param.{which}" if s.HasField(which) else "debug_param",
                mend=f"give max_stored_items: {fit} or less",
            )
        self.slots = count
        self.column = self.buffer("column")
        self.rings = [self.buffer("items"), self.buffer("labels")]
        self.cursor = self.buffer("cursor")  # the next slot and the number of filled ones, on the device
        for ring, size in zip(self.rings, self.size, strict=True):
            ring.reshape(count, size)
        self.cursor.reshape(2)

    def _labels_of_one(self, labels: Blob) -> int:
        """How many labels of each item are kept; raises where item_index is beyond them."""
        columns = math.prod(labels.shape[1:])
        index = self.settings.item_index
        if index >= columns:
            raise self.fail(
                f'item_index is {index}, "{labels.name}" {labels.shape} holds {columns} labels an item',
                setting="debug_param.item_index",
                mend=f"use 0 to {columns - 1}, or -1 for all",
            )
        return columns if index < 0 else 1

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The top is like the bottom; items keep their size."""
        same_batch(self, bottom)
        size = (math.prod(bottom[0].shape[1:]), self._labels_of_one(bottom[1]))
        if size != self.size:
            raise self.fail(f"items of {size} values and labels follow such of {self.size}, which are stored")
        self.label_shape = bottom[1].shape[1:] if self.settings.item_index < 0 else ()
        self.column.reshape(bottom[1].shape[0], size[1])
        if top[0] is not bottom[0]:
            top[0].reshape(bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Keep the batch, and hand it on."""
        x, labels = rows(bottom[0].data), rows(bottom[1].data)
        if self.settings.item_index >= 0:
            self.ops.copy_columns(labels, self.settings.item_index, self.column.data, 0, 1)
            labels = self.column.data
        for values, ring in zip((x, labels), self.rings, strict=True):
            self.ops.ring_store(values, ring.data, self.cursor.data)
        self.ops.ring_advance(self.cursor.data, len(x), self.slots)
        if top[0] is not bottom[0]:
            self.ops.copy(bottom[0].data, top[0].data)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """The gradient passes as it is."""
        if propagate_down[0] and top[0] is not bottom[0]:
            self.ops.copy(top[0].diff, bottom[0].diff)

    def stored(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Copies of what is kept, the newest last: items (n, D), and their labels (n, ...), (n,) with item_index.

        The host waits for the device.
        """
        to_host = self.device.to_host
        following, filled = to_host(self.cursor.data).astype(np.int64).tolist()
        order = (np.arange(filled) + following - filled) % self.slots
        items, labels = (to_host(ring.data)[order] for ring in self.rings)
        return items, labels.reshape(filled, *self.label_shape)

    def save(self, path: str | Path) -> None:
        """Write what `stored` gives as the arrays `embeddings` and `labels` of an .npz file.

        The file appears whole or not at all. Raises DataError where the disk refuses.
        """
        items, labels = self.stored()
        target = Path(path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, embeddings=items, labels=labels)
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            found = f"cannot write {target}: {error.strerror or error}"
            raise self.fail(found, error=DataError, mend="give a file in a folder that can be written") from error
