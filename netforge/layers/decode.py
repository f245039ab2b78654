"""From embeddings to classes: distances to the centroid of each class, and the accuracy of the nearest one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.layers.accuracy import ignored_labels, plain_accuracy
from netforge.layers.axes import check_labels, rows, scalar
from netforge.layers.base import register_layer, slots
from netforge.layers.centroids import CentroidLayer

PATIENCE = 100
"""Passes after which a class that was not seen is told."""
MOST_BYTES = 8 << 30
"""The largest memory that the embeddings which KNN stores may take."""


@register_layer("Decode", settings="decode_param")
class Decode(CentroidLayer):
    """Squared distances of an embedding to every class; the smallest names the predicted class. No gradient.

    target CENTROID: to the class's running centroid, which follows the embeddings in TRAIN unless
    enable_centroid_update is false: the mean of the first recent_items items of the class, from there an exponential
    average over about the newest recent_items of them (0: batch size * cache_size, as in MyCaffe). A small number
    keeps up with moving weights. PREGEN: to fixed targets, drawn before the first pass so that each pair is at least
    2 pregen_alpha apart (squared). KNN: the mean of the k smallest distances to the newest recent_items
    embeddings of the class, zeros until every class has k of them.

    Weights, which no solver touches: centroids (classes, D), status (classes,): 1 once a class has seen more than
    recent_items items, items seen (classes,), and for KNN the embeddings. There is a row for every class where a Data
    layer knows all labels; otherwise the table grows with the largest label.

    Labels (only column 0 counts) are needed in TRAIN, and not used elsewhere. Classes in ignore_label, and those of
    which no item was seen, are never the nearest: their distance is FLT_MAX. The second top gives the centroids after
    centroid_output_iteration TRAIN passes, once all classes have status 1, and zeros before.
    """

    bottoms = slots("embedding (N, D...)", optional=("labels (N, 1 or more), needed in TRAIN",))
    tops = slots("distances (N, classes)", optional=("centroids (classes, D)",))

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the target and the labels."""
        s = self.settings
        self.target = s.Target.Name(s.target)
        if self.target == "PREGEN" and s.pregen_label_count < 1:
            raise self.fail(
                "PREGEN needs the number of classes", setting="decode_param.target", mend="give pregen_label_count"
            )
        if self.phase == "TRAIN" and len(bottom) < 2:
            raise self.fail("labels are missing", mend="in TRAIN, give the labels as the second bottom")
        super().setup(bottom, top)
        if self.target == "KNN":
            if self.horizon < s.k:
                raise self.fail(f"k {s.k} is above the {self.horizon} stored items", setting="decode_param.k")
            self._check_store(self.classes)
            self.add_weight((self.classes, self.horizon, self.size), learnable=False, resizable=True)
        if self.target == "PREGEN":
            self.weights[0].data_storage.fill = self._draw_targets
            self.weights[1].data_storage.fill = lambda status: self.ops.fill(status, 1.0)
        self.passes = self.buffer("passes", np.uint64)  # of TRAIN: on the device, which counts them
        self.passes.reshape(1)

    def first_classes(self) -> int:
        """PREGEN knows its classes."""
        return int(self.settings.pregen_label_count) if self.target == "PREGEN" else 2

    def learned_labels(self, bottom: list[Blob]) -> Blob | None:
        """Labels matter in TRAIN, but PREGEN only checks them."""
        return bottom[1] if self.phase == "TRAIN" and self.target != "PREGEN" else None

    def _check_store(self, classes: int) -> None:
        """Refuse stored embeddings that would take too much memory: a label that is damaged asks for many classes."""
        needed = classes * self.horizon * self.size * self.dtype.itemsize
        if needed > MOST_BYTES:
            raise self.fail(
                f"KNN would store {self.horizon:,} embeddings of each of {classes:,} classes, which take "
                f"{needed / 2**30:.1f} GiB",
                setting="decode_param.recent_items",
                mend="write a smaller recent_items, or correct the largest label of the data source",
            )

    def grow(self, classes: int) -> None:
        """Make room for `classes` classes and keep the rows of those that are there."""
        if self.target == "KNN":
            self._check_store(classes)
        super().grow(classes)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One distance for each class."""
        self._check(bottom)
        self.absent.reshape(self.classes)
        top[0].reshape((bottom[0].shape[0], self.classes))
        if len(top) > 1:
            top[1].reshape((self.classes, self.size))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """In TRAIN take the batch in, then measure distances."""
        x = rows(bottom[0].data)
        if self.phase == "TRAIN":
            self._learn(x, bottom, top)
        centroids, counts, status = self._table()
        ignored = self._ignored_classes()
        if self.target == "KNN":
            cache = self.weights[3].data
            self.ops.nearest_cached_distances(x, cache, counts, top[0].data, ignored, self.settings.k)
        else:
            self.ops.centroid_distances(x, centroids, top[0].data, self._absent_classes())
        if len(top) > 1:
            waits = self.phase == "TRAIN" and self.target != "PREGEN"
            least = self.settings.centroid_output_iteration if waits else 0
            self.ops.centroid_output(centroids, status, ignored, self.passes.data, least, top[1].data)

    def _learn(self, x: Any, bottom: list[Blob], top: list[Blob]) -> None:
        self.ops.advance(self.passes.data)
        if self.target == "PREGEN":
            check_labels(self, bottom[1], self.classes)
            return
        if self._admit(bottom[1]):
            self.reshape(bottom, top)
        centroids, counts, status = self._table()
        labels = rows(bottom[1].data)
        if self.target == "KNN":
            self.ops.cache_encodings(x, labels, self.weights[3].data, counts)
            self.ops.threshold_forward(counts, status, self.settings.k - 0.5)  # counts are whole numbers
        elif self.settings.enable_centroid_update:
            self.ops.centroid_update(x, labels, centroids, counts, status, self._ignored_classes(), self.horizon)
        else:
            self.ops.fill(status, 1.0)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """Classes that never come, and so keep the second top, or the distances of KNN, at zero for ever."""
        passes = int(self.device.to_host(self.passes.data)[0])
        waits = self.target == "KNN" or (self.target == "CENTROID" and len(top) > 1)
        if not waits or passes < PATIENCE:
            return None
        counts = self.device.to_host(self.weights[2].data).reshape(-1)
        missing = [str(c) for c in np.flatnonzero(counts == 0) if c not in self.settings.ignore_label]
        if not missing:
            return None
        named = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        what = "distances" if self.target == "KNN" else "centroids"
        return (
            f"after {passes} passes no item was seen of class {named}: the {what} stay 0 until every class is there; "
            f"write decode_param {{ ignore_label: {missing[0]} }}, once for each class that has no items"
        )

    def _draw_targets(self, centroids: Any) -> None:
        """Fill the weights with fixed targets when they are first touched."""
        shape = (centroids.size // self.size, self.size)
        targets = spread_targets(*shape, self.settings.pregen_alpha, self.random.generator())
        centroids[...] = self.device.from_host(targets.reshape(-1).astype(self.dtype))

    def state(self) -> dict[str, Any]:
        """The number of TRAIN passes, from the device, besides the draws."""
        return {**super().state(), "passes": int(self.device.to_host(self.passes.data)[0])}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        super().restore(state)
        self.passes.data[...] = int(state["passes"])


def spread_targets(classes: int, size: int, alpha: float, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """`classes` points of `size` dimensions, each pair with a squared distance of at least 2 alpha.

    Starts at zero and moves every point that lies too near to an earlier one by uniform noise in [0, alpha / 2) in each
    dimension, until none does.
    """
    points = np.zeros((classes, size))
    least = 2 * alpha
    while True:
        distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        crowded = (np.tril(distances < least, -1)).any(axis=1)
        if not crowded.any():
            return points
        points[crowded] += generator.uniform(0, least / 4, (int(crowded.sum()), size))


@register_layer("AccuracyEncoding", settings="accuracy_param")
class AccuracyEncoding(CentroidLayer):
    """The share of items whose nearest centroid is that of their own class. No gradient.

    The layer keeps centroids of its own, as Decode does (decode_param gives recent_items or cache_size), and takes
    every batch in before it measures, in whatever phase it runs. So its figures are optimistic; those of Decode and
    AccuracyDecode are not.
    """

    also_reads = ("decode_param",)
    bottoms = slots("embedding (N, D...)", "labels (N, 1 or more), of which the first counts")
    tops = slots("accuracy scalar")

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Declare the centroids and make room for distances."""
        plain_accuracy(self)
        super().setup(bottom, top)
        self.ignore = ignored_labels(self)
        self.distances = self.buffer("distances")

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The accuracy is a scalar."""
        self._check(bottom)
        self.absent.reshape(self.classes)
        self.distances.reshape((bottom[0].shape[0], self.classes))
        top[0].reshape(())

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Take the batch in, then count the items whose own centroid is nearest."""
        if self._admit(bottom[1]):
            self.reshape(bottom, top)
        x, labels = rows(bottom[0].data), rows(bottom[1].data)
        centroids, counts, status = self._table()
        self.ops.centroid_update(x, labels, centroids, counts, status, self._ignored_classes(), self.horizon)
        self.ops.centroid_distances(x, centroids, self.distances.data, self._absent_classes())
        self.ops.nearest_accuracy(self.distances.data, labels, scalar(top[0].data), self.ignore)
