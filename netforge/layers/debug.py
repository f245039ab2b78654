"""The Debug layer: keeps the newest embeddings and their labels, for looking at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.atomic import write_whole
from netforge.blob import Blob
from netforge.errors import SnapshotError
from netforge.layers.axes import rows, same_batch
from netforge.layers.base import Layer, register_layer, slots

MOST_BYTES = 2 << 30
"""The largest memory that stored embeddings and labels may take."""
MOST_SLOTS = 1 << 24
"""The place in a ring is counted in float32, which is exact up to here."""
MOST_STATE_BYTES = 32 << 20
"""A snapshot keeps the newest of the stored embeddings up to this size: it is written often, and by the way."""


@register_layer("Debug", settings="debug_param")
class Debug(Layer):
    """Hands its first bottom on, in place or as a copy, and keeps the newest items of it with their labels.

    max_stored_items items are kept, or, where that is 0, those of max_stored_batches batches of the size that the net
    was built with. item_index keeps one column of the labels (N, columns), -1 all of them. `stored` reads them back.
    They lie on the device, in memory that is taken at the first pass. A snapshot holds the newest of them, up to
    MOST_STATE_BYTES, in the .solverstate, from where `netforge inspect embeddings` reads them (and finds their images)
    and a resumed run goes on; `save` writes all to a file of their own. In phase RUN a net leaves the layer out, and
    its readers read its bottom.
    """

    bottoms = slots("x (N, ...)", "labels (N, ...)", optional=("labels to ignore, which are not used",))
    tops = slots("x, as it is")
    in_place = True
    blocked_bottoms = (1, 2)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Find how many items to keep."""
        same_batch(self, bottom[:2])
        self.slots = int(self.settings.max_stored_items)
        if not self.slots:
            self.slots = int(self.settings.max_stored_batches) * max(1, bottom[0].shape[0])
        self.column = self.buffer("column")
        self.rings = [self.buffer("items"), self.buffer("labels")]
        self.cursor = self.buffer("cursor")  # the next slot and the number of filled ones, on the device
        self.cursor.reshape(2)
        self._make_rings(self._size_of_one(bottom))

    def _size_of_one(self, bottom: list[Blob]) -> tuple[int, int]:
        """How many values and labels of each item are kept."""
        return math.prod(bottom[0].shape[1:]), self._labels_of_one(bottom[1])

    def _make_rings(self, size: tuple[int, int]) -> None:
        """Rings for items of this size; raises where they would take too much memory."""
        bytes_of_one = max(1, sum(size) * self.dtype.itemsize)
        if self.slots * bytes_of_one > MOST_BYTES or self.slots > MOST_SLOTS:
            which = "max_stored_items" if self.settings.max_stored_items else "max_stored_batches"
            raise self.fail(
                f"{self.slots} items of {size[0]} values and {size[1]} labels take "
                f"{self.slots * bytes_of_one / 2**30:.1f} GiB",
                setting=f"debug_param.{which}" if self.settings.HasField(which) else "debug_param",
                mend=f"give max_stored_items: {min(MOST_SLOTS, MOST_BYTES // bytes_of_one)} or less",
            )
        self.size = size
        for ring, values in zip(self.rings, size, strict=True):
            ring.reshape(self.slots, values)

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
        same_batch(self, bottom[:2])
        size = self._size_of_one(bottom)
        if size != self.size:
            if any(ring.data_storage.allocated for ring in self.rings):
                raise self.fail(
                    f"items of {size[0]} values and {size[1]} labels follow such of {self.size[0]} and "
                    f"{self.size[1]}, which are stored",
                    mend="give a blob whose items keep their shape",
                )
            self._make_rings(size)  # nothing is stored yet: tables of classes grow between building and training
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

    def state(self) -> dict[str, Any]:
        """The newest stored items, `embeddings` (n, D), and their `labels` (n, ...), besides the draws."""
        state = super().state()
        if not self.cursor.data_storage.allocated:  # nothing was stored yet, and no memory was taken
            return state
        items, labels = self.stored()
        most = MOST_STATE_BYTES // max(1, sum(self.size) * self.dtype.itemsize)
        start = max(0, len(items) - most)
        return {**state, "embeddings": items[start:], "labels": labels[start:]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; the newest of it where there is room for less."""
        super().restore(state)
        if not len(state.get("embeddings", ())):  # written before anything was stored
            return
        items, labels = (state[name].reshape(len(state[name]), -1)[-self.slots :] for name in ("embeddings", "labels"))
        if (items.shape[1], labels.shape[1]) != self.size:
            raise self.fail(
                f"the state holds items of {items.shape[1]} values and {labels.shape[1]} labels, the net gives "
                f"{self.size[0]} and {self.size[1]}",
                error=SnapshotError,
                mend="resume with the net that wrote it",
            )
        for values, ring in zip((items, labels), self.rings, strict=True):
            ring.data[: len(values)] = self.device.from_host(values.astype(self.dtype))
        self.cursor.data[...] = self.device.from_host(np.array([len(items) % self.slots, len(items)], self.dtype))

    def save(self, path: str | Path) -> None:
        """Write what `stored` gives as the arrays `embeddings` and `labels` of an .npz file.

        The file appears whole or not at all. Raises DataError where the disk refuses.
        """
        items, labels = self.stored()

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                np.savez(file, embeddings=items, labels=labels)

        write_whole(Path(path), write, what="the stored embeddings")
