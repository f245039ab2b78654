"""The Data layer: batches of images and labels from a source."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.batches import Batches, BatchReader, HostBatches
from netforge.data.label_queries import LabelQueries
from netforge.data.source import Indices
from netforge.data.uploads import DeviceBatches
from netforge.errors import DataError, NetforgeError, SettingsError
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.data_param import (
    batch_size_of,
    check_data_param,
    make_noise,
    make_sampler,
    open_for,
    transformer_for,
)
from netforge.layers.data_selection import check_selection
from netforge.schema import LayerDefinition


@register_layer("Data", settings="data_param")
class Data(Layer):
    """Images and labels from a source: the image database, or an LMDB of Caffe's Datums.

    With images_per_blob 2 each item is a pair, its two images stacked along the channels. With balance_matches the
    items alternate, counted over the whole run: the partner is of the same class (never the image itself, unless it is
    the only one of its class), then of another class (or the noise image, with enable_noise_for_nonmatch). The label is
    1 for the same class and 0 for two classes, or both labels with output_all_labels.

    With batch_classes and batch_images each batch holds so many different images of each of so many classes, class by
    class, for losses that compare the items of a batch. With balance_labels every label is drawn equally often; with
    superboost_probability that share of the draws goes to images with a boost above 0; with enable_pair_selection every
    second image is the one behind the last. What else these settings draw, they draw as without them: at random without
    replacement, or in stored order. With quarter_turns each image comes upright and turned by one,
    two and three quarters, under labels of their own.

    Which images a batch holds, and how they are warped, cropped and mirrored, depends on the seed, the layer's name and
    the number of the batch alone. A background thread makes `prefetch` batches ahead. A GPU keeps the images of a
    source that fits; it crops, mirrors and scales them and takes off the mean itself.

    queries: in phase TRAIN, how often each label was drawn.
    """

    bottoms = slots()
    tops = slots(
        "data (N, C * images_per_blob, H, W)",
        optional=(
            "label (N,), or (N, 2) with output_all_labels",
            "index (N,) or (N, 2), number of each image in its source, with output_image_index",
        ),
    )
    also_reads = ("transform_param",)
    differentiable = False
    replayable = True
    _batches: Batches | None = None
    queries: LabelQueries | None = None

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Open the source and check the settings against it."""
        check_data_param(self, len(top))
        context, settings = self.context, self.settings
        self.source = open_for(self.definition, context.folder, header_only=context.plan_only, fail=self.fail)
        check_selection(self, self.source)
        self.transformer = transformer_for(
            self.definition,
            self.source,
            phase=self.phase,
            seed=context.seed,
            folder=context.folder,
            plan_only=context.plan_only,
            fail=self.fail,
        )
        if not context.plan_only:
            sampler, noise = make_sampler(self, self.source), make_noise(self, self.source)
            reader = BatchReader(self.source, sampler, self.transformer, batch_size_of(settings), noise=noise)
            self._batches = self._make_batches(reader)
            self.label_queries = LabelQueries(self.source) if self.phase == "TRAIN" else None
            if len(top) > 1:
                top[1].data_storage.limit = cache(self._labels_below)

    def _make_batches(self, reader: BatchReader) -> Batches:
        transfers, ahead = self.device.transfers(), self.settings.prefetch
        label_of = partial(_label, self.settings)  # not a method: a thread must not keep the layer, nor its net
        if transfers is None:
            return HostBatches(reader, label_of, ahead)
        return DeviceBatches(self.device, transfers, reader, label_of, ahead)

    def _labels_below(self) -> int | None:
        """One more than the largest label there can be; None where some may be negative, or a long search is needed."""
        if self.settings.images_per_blob == 2 and not self.settings.output_all_labels:
            return 2
        if not self.source.labels_are_cheap:
            return None
        labels = self.source.labels
        extreme = [int(labels.min()), int(labels.max()), max(0, self.settings.forced_primary_label)]
        if self.settings.enable_noise_for_nonmatch:
            extreme.append(self.settings.data_noise_param.noise_data_label)
        return max(extreme) + 1 if min(extreme) >= 0 else None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The header of the source gives the shape."""
        channels, height, width = self.transformer.shape
        images, size = self.settings.images_per_blob, batch_size_of(self.settings)
        top[0].reshape(size, channels * images, height, width)
        if len(top) > 1:
            top[1].reshape((size, 2) if self.settings.output_all_labels else (size,))
        if len(top) > 2:
            top[2].reshape((size, images) if images > 1 else (size,))

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Bring the next batch."""
        if self._batches is None:
            raise self.fail("this net was built for its shapes only and has no data", error=DataError)
        arrays = [blob.data for blob in top]  # memory first: a batch that does not fit is refused before it is read
        images, labels = self._batches.feed(self.random.position, arrays)
        if self.label_queries is not None:
            self.label_queries.add(images, labels)
        self.random.position += 1

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make input of it, where the device does that."""
        assert self._batches is not None
        self._batches.forward([blob.data for blob in top])

    def state(self) -> dict[str, Any]:
        """The number of the next batch, and how often each label was drawn."""
        return super().state() | (self.label_queries.state() if self.label_queries is not None else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        super().restore(state)
        if self.label_queries is not None:
            self.label_queries.restore(state)

    @property
    def residence(self) -> str:
        """Where the images lie, where that is not the host alone."""
        return "" if self._batches is None else self._batches.residence

    def close(self) -> None:
        """End the background thread."""
        if self._batches is not None:
            self._batches.close()

    @classmethod
    def image_shape(cls, definition: LayerDefinition, folder: Path | None) -> tuple[int, ...] | None:
        """The shape of one image after its transformation."""

        def fail(found: str, *, setting: str, mend: str | None = None) -> NetforgeError:
            return SettingsError(found, where=definition.locate(setting), mend=mend)

        source = open_for(definition, folder, header_only=True, fail=fail)
        transformer = transformer_for(definition, source, phase="RUN", seed=0, folder=folder, plan_only=True, fail=fail)
        return transformer.shape


def _label(settings: Any, labels: Indices) -> npt.NDArray[Any]:
    """The label top: (N,) labels, (N, 2) labels, or (N,) 1 for pairs of one class and 0 for others."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    if not settings.output_all_labels:
        return np.equal(labels[:, 0], labels[:, 1])
    forced = settings.forced_primary_label
    if forced < 0:
        return labels
    return np.stack([np.full(len(labels), forced), labels[:, 1]], axis=1)
