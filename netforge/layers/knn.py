"""The Knn layer: how near each class is, by the newest embeddings of the training."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from netforge.blob import Blob
from netforge.layers.axes import bad_label, check_labels, labelled_batch, rows, same_batch
from netforge.layers.base import Layer, register_layer, slots


@register_layer("Knn", settings="knn_param")
class Knn(Layer):
    """A score in [0, 1] for each class by its k nearest among stored embeddings; the largest names the class.

    In TRAIN the embeddings and labels of the newest max_stored_batches batches are kept. The distance to a class is the
    mean of the k smallest squared distances to its stored items (of all, where there are fewer), scaled over the
    classes to [0, 1] for each item, and taken from 1; classes without stored items score 0. In TRAIN a batch is
    compared with those before it, so that no item finds itself. No gradient.

    Weights, which no solver touches: [0] embeddings (slots, D), [1] labels (slots, 1), [2] the next slot and the number
    of filled ones (2,).
    """

    bottoms = slots("embedding (N, D...)", optional=("labels (N, 1 or more), of which the first counts; for TRAIN",))
    tops = slots("scores (N, num_output)")
    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the settings, and declare the store."""
        if self.phase == "TRAIN" and len(bottom) < 2:
            raise self.fail("labels are missing", mend="in TRAIN, give the labels as the second bottom")
        same_batch(self, bottom)
        self.size = math.prod(bottom[0].shape[1:])
        stored = max(1, bottom[0].shape[0]) * self.settings.max_stored_batches
        for shape in ((stored, self.size), (stored, 1), (2,)):
            self.add_weight(shape, learnable=False, resizable=True)
        self.column = self.buffer("column")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One score for each class."""
        labelled_batch(self, bottom)
        size, stored = math.prod(bottom[0].shape[1:]), self.weights[0]
        if size != self.size or stored.count != stored.shape[0] * size:
            raise self.fail(
                f'embedding "{bottom[0].name}" has {size} values an item, the stored ones have shape {stored.shape}'
            )
        if len(bottom) > 1:
            self.column.reshape(bottom[1].shape[0], 1)
        top[0].reshape(bottom[0].shape[0], self.settings.num_output)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Compare with what is stored, then in TRAIN store the batch."""
        x = rows(bottom[0].data)
        embeddings, labels, cursor = (blob.data for blob in self.weights)
        self.ops.nearest_scores(x, embeddings, labels, cursor, top[0].data, self.settings.k)
        if self.phase == "TRAIN":
            self._store(x, bottom[1], embeddings, labels, cursor)

    def _store(self, x: Any, given: Blob, embeddings: Any, labels: Any, cursor: Any) -> None:
        self.ops.copy_columns(rows(given.data), 0, self.column.data, 0, 1)
        classes = self.settings.num_output
        check_labels(self, self.column, classes, explain=partial(bad_label, self, given, classes))
        self.ops.ring_store(x, embeddings, cursor)
        self.ops.ring_store(self.column.data, labels, cursor)
        self.ops.ring_advance(cursor, len(x), len(embeddings))
