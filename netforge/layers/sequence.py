"""Pairs and triplets of images out of batches of single ones."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from netforge.blob import Blob
from netforge.device.operations.sequence import Partner
from netforge.errors import DataError
from netforge.layers.axes import check_labels, rows
from netforge.layers.base import Layer, register_layer, slots

MOST_PLACES = 1 << 24
"""Most images that the caches of all labels may hold: float32 counts no further."""
MOST_BYTES = 8 << 30
"""The largest memory that they may take; a state for an exact resume is as large."""


@register_layer("DataSequence", settings="data_sequence_param")
class DataSequence(Layer):
    """Puts an image of the same label, or of another one, beside each image of a batch. No gradient.

    k = 0: tops are the batch (anchors) and one partner for each: in turns an image of the anchor's label (items 0, 2,
    4 ...) and of another one with balance_matches, else always of another one. k >= 1: anchors, positives (of the same
    label) and k negatives (of other labels); balance_matches does not matter. With output_labels the last top holds the
    labels of all images of an item, the anchor's first.

    Partners come from caches on the device, which hold the newest cache_size images of each label, those of the batch
    among them: a label is drawn among those that have images, each as likely, then one of its images, each as likely,
    but never the anchor itself. Each phase has caches of its own; a state for an exact resume holds them.

    Labels run from label_start over label_count numbers. label_count 0: as many as the source of the labels is known to
    have, else those from the smallest to the largest of the first batch.

    Raises DataError for labels beyond, and where there is no image that could be a partner: the first batch must hold
    each label twice, or not at all, and two labels.
    """

    bottoms = slots("images (N, ...)", "labels, N of them")
    tops = slots("anchors, as the images", "partners, or positives", more="negatives, labels (N, 2 + k, 1, 1)")
    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Count the tops, and make room for draws."""
        s = self.settings
        self.partners = 1 + s.k
        self.partner: Partner = "SAME" if s.k else "ALTERNATING" if s.balance_matches else "OTHER"
        needed = 1 + self.partners + s.output_labels
        if len(top) != needed:
            raise self.fail(
                f"there are {len(top)} tops, k: {s.k} gives {needed - s.output_labels}"
                + " and the labels" * s.output_labels,
                setting="data_sequence_param",
                mend=f"name {needed} tops",
            )
        if s.output_labels:
            top[-1].data_storage.limit = partial(self._labels_below, bottom[1])
        names = ("cache", "counts", "places", "chosen", "classes", "shifted")
        self.cache, self.counts, self.places, self.chosen, self.classes, self.shifted = map(self.buffer, names)
        self.position = self.buffer("position", np.uint64)  # of the next draw: on the device, which moves it on
        self.position.reshape(1)
        self.first_label = int(s.label_start)
        self.item_shape = bottom[0].shape[1:]
        if s.label_count:
            self._make_caches(s.label_count)

    def _labels_below(self, labels: Blob) -> int | None:
        """What is known about the largest label: all others than label_start and label_count allow are errors."""
        known, first, count = labels.data_storage.below, int(self.settings.label_start), int(self.settings.label_count)
        if not count or first < 0:
            return known
        return first + count if known is None else min(known, first + count)

    def _make_caches(self, labels: int) -> None:
        """Give each of `labels` labels an empty cache."""
        capacity = self.settings.cache_size
        bytes_of_one = max(1, math.prod(self.item_shape) * self.dtype.itemsize)
        most = min(MOST_PLACES, MOST_BYTES // bytes_of_one)
        if labels * capacity > most:
            raise self.fail(
                f"{labels} labels with cache_size: {capacity} make {labels * capacity:,} images, which take "
                f"{labels * capacity * bytes_of_one / 2**30:.1f} GiB",
                setting="data_sequence_param.cache_size",
                mend=f"use {most // labels} or less" if labels <= most else "use smaller images, or fewer labels",
            )
        self.counts.reshape(labels)
        self.cache.reshape((labels, capacity, *self.item_shape))

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """All image tops have the shape of the images."""
        images, labels = bottom
        items = images.shape[0] if images.shape else 0
        if not images.shape or labels.count != items:
            raise self.fail(f'"{labels.name}" {labels.shape} does not hold one label for each of {images.shape}')
        if images.shape[1:] != self.item_shape:
            raise self.fail(f"images of shape {images.shape[1:]} follow such of {self.item_shape}, which are cached")
        for blob in top[: 1 + self.partners]:
            blob.reshape(images.shape)
        if self.settings.output_labels:
            top[-1].reshape((items, 1 + self.partners, 1, 1))
        self.places.reshape(items)
        self.shifted.reshape(items if self.first_label else 0)
        self.chosen.reshape((self.partners, items))
        self.classes.reshape((items, 1 + self.partners))

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Take the batch into the caches, then draw partners from them."""
        if not self.counts.count:
            self._discover(bottom[1])
        labels = self._class_numbers(bottom[1])
        images, cache, counts = rows(bottom[0].data), self.cache.data, self.counts.data
        capacity = cache.shape[1]
        self.ops.sequence_store(images, labels, cache.reshape(*cache.shape[:2], -1), counts, self.places.data)
        self._choose(labels, counts, capacity)
        self.ops.copy(bottom[0].data, top[0].data)
        stored = cache.reshape(len(counts) * capacity, -1)
        for index, blob in zip(self.chosen.data, top[1:], strict=False):
            self.ops.gather_rows(stored, index, rows(blob.data))
        if self.settings.output_labels:
            self.ops.copy(self.classes.data.reshape(top[-1].shape), top[-1].data)

    def _choose(self, labels: Any, counts: Any, capacity: int) -> None:
        report = self.report("missing partner")
        report.explain = self._explain_missing
        arrays = (labels, self.places.data, counts, capacity, self.chosen.data, self.classes.data)
        drawing = (self.first_label, self.partner, self.random, self.position.data, report.array)
        if self.ops.sequence_choose(*arrays, *drawing) >= 0:
            report.settle()
        self.ops.advance(self.position.data)

    def _discover(self, labels: Blob) -> None:
        """Find the labels that there are; this once, the host may have to read a batch."""
        known = labels.data_storage.below
        if known is not None and known > self.first_label:
            self._make_caches(known - self.first_label)
            return
        values = self.device.to_host(labels.data).reshape(-1)
        whole = values[np.isfinite(values) & (values == np.floor(values))]
        if not self.settings.HasField("label_start"):
            self.first_label = int(whole.min(initial=0 if not len(whole) else whole[0]))
            self.shifted.reshape(labels.count if self.first_label else 0)
        self._make_caches(max(1, int(whole.max(initial=self.first_label)) + 1 - self.first_label))

    def _class_numbers(self, blob: Blob) -> Any:
        """The labels counted from the first one; raises for those beyond."""
        count = self.counts.count
        labels = blob.data.reshape(-1)
        checked = blob
        if self.first_label:
            self.ops.power_forward(labels, self.shifted.data, 1.0, 1.0, -self.first_label)
            labels, checked = self.shifted.data, self.shifted
        check_labels(self, checked, count, explain=partial(self._explain_label, blob.name))
        return labels

    def _explain_label(self, name: str, index: int, value: float) -> Exception:
        first, count = self.first_label, self.counts.count
        found = "data_sequence_param" if self.settings.label_count else "the first batch or the source"
        return self.fail(
            f'label {value + first:g} at index {index} of "{name}" is none of the labels {first} to '
            f"{first + count - 1}, which {found} gives",
            error=DataError,
            mend="give label_start and label_count so that they cover all labels of the source",
        )

    def _explain_missing(self, index: int, value: float) -> Exception:
        item, column = divmod(index, 1 + self.partners)
        same = column == 1 and (self.partner == "SAME" or (self.partner == "ALTERNATING" and item % 2 == 0))
        if same and self.settings.cache_size < 2:
            return self.fail(
                f"label {value:g} of item {item} has no second image to be its positive: the cache keeps 1 of each",
                error=DataError,
                setting="data_sequence_param.cache_size",
                mend="use about 4 times as many as a batch has of a label, 2 or more",
            )
        if same:
            found = f"label {value:g} of item {item} has no second image to be its positive, in this batch or before"
        else:
            found = f"all images have label {value:g}, in this batch and before, so that item {item} gets no negative"
        return self.fail(
            found,
            error=DataError,
            mend="make the batch larger (about 10 images of each label), or let it hold several images of each of "
            "several labels: data_param { batch_classes: 10 batch_images: 10 }",
        )

    def state(self) -> dict[str, Any]:
        """The draws made, the caches, and the first of their labels."""
        to_host = self.device.to_host
        state: dict[str, Any] = {"position": int(to_host(self.position.data)[0])}
        if self.counts.count:
            state["first_label"] = self.first_label
            state["counts"] = np.array(to_host(self.counts.data))
            state["cache"] = np.array(to_host(self.cache.data))
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave; without caches in it, those here are emptied."""
        self.position.data[...] = int(state["position"])
        if "cache" not in state:
            if self.counts.count:
                self.counts.data[...] = 0
            return
        counts, cache = np.asarray(state["counts"]), np.asarray(state["cache"])
        wanted = (self.settings.label_count or len(counts), self.settings.cache_size, *self.item_shape)
        if cache.shape != wanted:
            raise self.fail(
                f"the state holds caches of shape {cache.shape}, the layer has {wanted}",
                error=DataError,
                mend="go on with the net that the state was written for, or start from its weights alone",
            )
        self.first_label = int(state["first_label"])
        self.counts.reshape(counts.shape)
        self.cache.reshape(cache.shape)
        self.shifted.reshape(self.places.count if self.first_label else 0)
        for blob, values in ((self.counts, counts), (self.cache, cache)):
            blob.data[...] = self.device.from_host(values.astype(self.dtype))
