"""What layers have in common that draw batches of images and labels from a source."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.batches.reader import Batches, BatchReader, HostBatches
from netforge.data.batches.uploads import DeviceBatches
from netforge.data.labels.label_queries import LabelQueries
from netforge.data.source import Indices, Source
from netforge.data.transforms.transformer import Transformer
from netforge.errors import DataError
from netforge.layers.base import Layer, slots
from netforge.layers.data_param import open_for, transformer_for
from netforge.schema import LayerDefinition


class BatchLayer(Layer):
    """Hands out batches that a background thread makes ahead; which ones depends on their numbers alone.

    A GPU keeps the images of a source that fits; it crops, mirrors and scales them and takes off the mean itself.

    source: the images. transformer: what is done to them. reader: says which images a batch holds; None in a net of
    shapes only. label_queries: in phase TRAIN, how often each label was drawn.
    """

    bottoms = slots()
    also_reads = ("transform_param",)
    differentiable = False
    replayable = True
    source: Source
    transformer: Transformer
    reader: BatchReader | None = None
    _batches: Batches | None = None
    label_queries: LabelQueries | None = None

    def open(self) -> None:
        """Open the source, and read transform_param for its images."""
        context = self.context
        self.source = open_for(self.definition, context.folder, header_only=context.plan_only, fail=self.fail)
        self.transformer = transformer_for(
            self.definition,
            self.source,
            phase=self.phase,
            seed=context.seed,
            folder=context.folder,
            plan_only=context.plan_only,
            fail=self.fail,
        )

    def start(
        self, top: list[Blob], reader: BatchReader, label_of: Callable[[Indices], npt.NDArray[Any]], ahead: int
    ) -> None:
        """Begin to make batches, `ahead` of them before they are asked for.

        label_of: labels (N, images_per_item) to those of the top; called by a thread, which must not keep the layer.
        """
        self.reader = reader
        transfers = self.device.transfers()
        if transfers is None:
            self._batches = HostBatches(reader, label_of, ahead)
        else:
            self._batches = DeviceBatches(self.device, transfers, reader, label_of, ahead)
        self.label_queries = LabelQueries(reader.source) if self.phase == "TRAIN" else None
        if len(top) > 1:
            top[1].data_storage.limit = cache(self.labels_below)

    def labels_below(self) -> int | None:
        """One more than the largest label there can be; None where some may be negative, or a long search is needed."""
        if not self.source.labels_are_cheap:
            return None
        labels = self.source.labels
        return int(labels.max()) + 1 if labels.min() >= 0 else None

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
        fail = definition.fail
        source = open_for(definition, folder, header_only=True, fail=fail)
        transformer = transformer_for(definition, source, phase="RUN", seed=0, folder=folder, plan_only=True, fail=fail)
        return transformer.shape
