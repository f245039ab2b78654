"""A table of running centroids, one for each class: what layers that keep one share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netforge.blob import Blob
from netforge.layers.axes import bad_label, check_labels, known_below, labelled_batch
from netforge.layers.base import Layer

MOST_CLASSES = 1 << 20
"""Labels from here on are taken for damaged data: a row of centroids for each smaller one would have to be made."""


class CentroidLayer(Layer):
    """What Decode and AccuracyEncoding share: weights that hold a running centroid of each class.

    Weights, which no solver touches: [0] centroids (L, D), [1] status (L,), 1 for a class that has seen more items than
    the horizon, [2] enc_counts (L,), items seen. L is the number of classes where the source of the labels knows it.
    Otherwise it starts at 2 and grows with the largest label, for which the host has to read every batch of labels;
    rows are kept.

    The n-th item x of a class moves its centroid by (x - centroid) / min(n, horizon): the first item is copied, then
    follows the exact mean, and beyond `horizon` items an exponential average over about the newest ones. The horizon
    is decode_param.recent_items, or N * cache_size where that is 0, as MyCaffe has it. While the weights of the net
    move, a short horizon keeps the centroids near to where the net now puts their class.
    """

    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the weights."""
        self.decode = self.definition.settings("decode_param")
        if self.decode.cache_size < 1:
            raise self.fail("cache_size is 0", setting="decode_param.cache_size", mend="use 1 or more")
        if not bottom[0].shape:
            raise self.fail(f'embedding "{bottom[0].name}" is a scalar', mend="give (N, D)")
        self.size = math.prod(bottom[0].shape[1:])
        self.horizon = self.decode.recent_items or max(1, bottom[0].shape[0]) * self.decode.cache_size
        labels = self.learned_labels(bottom)
        self.known_classes = 0 if labels is None else labels.data_storage.below or 0
        if self.known_classes > MOST_CLASSES:
            self.known_classes = 0  # the label at fault is named when it comes
        self.dynamic_shape = labels is not None and not self.known_classes
        self.replayable = self.replayable and not self.dynamic_shape
        classes = max(self.first_classes(), self.known_classes)
        for shape in ((classes, self.size), (classes,), (classes,)):
            self.add_weight(shape, learnable=False, resizable=True)
        self.ignored, self.absent = self.buffer("ignored"), self.buffer("absent")

    def first_classes(self) -> int:
        """Number of classes before any label was seen, where nothing is known about the labels."""
        return 2

    def learned_labels(self, bottom: list[Blob]) -> Blob | None:
        """The labels whose largest decides how many classes there are; None where the table does not grow."""
        return bottom[1]

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make room for all classes that the labels are known to have, where a file of weights brought fewer."""
        if self.known_classes > self.classes:
            self.grow(self.known_classes)

    @property
    def classes(self) -> int:
        """Number of classes that there is room for."""
        return self.weights[0].shape[0]

    def _check(self, bottom: list[Blob]) -> None:
        """Embeddings must keep their size, and labels come one row for each of them."""
        labelled_batch(self, bottom)
        if math.prod(bottom[0].shape[1:]) != self.size:
            raise self.fail(
                f'embedding "{bottom[0].name}" has shape {bottom[0].shape}, the centroids {self.size} elements'
            )
        if self.weights[0].count != self.classes * self.size:
            raise self.fail(f"centroids have shape {self.weights[0].shape}, embeddings {self.size} elements")

    def _table(self) -> tuple[Any, Any, Any]:
        """Centroids (L, D), counts (L,) and status (L,)."""
        centroids, status, counts = (blob.data for blob in self.weights[:3])
        return centroids.reshape(self.classes, self.size), counts.reshape(-1), status.reshape(-1)

    def _ignored_classes(self) -> Any:
        """1 for each class that must never win, or None."""
        if not self.decode.ignore_label:
            return None
        if self.ignored.count != self.classes:
            flags = np.isin(np.arange(self.classes), self.decode.ignore_label).astype(self.dtype)
            self.ignored.reshape(self.classes)
            self.ignored.data[...] = self.device.from_host(flags)
        return self.ignored.data

    def _absent_classes(self) -> Any:
        """1 for each class that no centroid stands for yet, and for each that must never win."""
        _, counts, status = self._table()
        self.ops.absent_classes(counts, status, self._ignored_classes(), self.absent.data)
        return self.absent.data

    def _admit(self, labels: Blob) -> bool:
        """Make room for labels beyond the classes seen so far; returns whether there were any.

        The host has to see the labels for that, unless the layer that writes them says that there is room for all.
        Raises DataError for labels that are no class numbers.
        """
        if known_below(labels, self.classes):
            check_labels(self, labels, self.classes)
            return False
        if self.ops.check_labels(labels.data, self.classes) < 0:
            return False
        values = self.device.to_host(labels.data).reshape(-1)
        wrong = np.flatnonzero(~((values >= 0) & (values == np.floor(values)) & (values < MOST_CLASSES)))
        if len(wrong):
            raise bad_label(self, labels, MOST_CLASSES, int(wrong[0]), float(values[wrong[0]]))
        self.grow(int(values.max()) + 1)
        return True

    def grow(self, classes: int) -> None:
        """Make room for `classes` classes and keep the rows of those that are there."""
        for blob in self.weights:
            kept = self.device.to_host(blob.data).copy()
            blob.reshape((classes, *blob.shape[1:]))
            blob.data[...] = 0
            blob.data[: len(kept)] = self.device.from_host(kept)
