"""Batches: what a Data layer puts into its tops, as a pure function of the batch number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.batches.prefetch import Prefetcher
from netforge.data.source import LARGEST_LABEL, Indices, Pixels, Source
from netforge.data.transforms.transformer import Transformer
from netforge.errors import DataError

Array = Any  # an array of a device
Drawn = tuple[Indices, Indices]  # of a batch: numbers of its images and their labels, (N, images_per_item) each


class Sampler(Protocol):
    """Says which images a batch holds; may be asked by several threads at once."""

    images_per_item: int

    def draw(self, batch: int, size: int) -> Indices:
        """The images of one batch, shape (size, images_per_item); -1 stands for the noise image."""


@dataclass(frozen=True)
class Batch:
    """data: (N, C * images_per_item, H, W) float32. labels, indices: (N, images_per_item) labels and image numbers."""

    data: npt.NDArray[np.float32]
    labels: Indices
    indices: Indices


@dataclass(frozen=True)
class Noise:
    """The image (C, H, W), in pixel values, that stands in for images of other classes, and the label it carries."""

    image: npt.NDArray[Any]
    label: int


class BatchReader:
    """Reads batch after batch of `size` items; its methods may be called from any thread.

    size: items of a batch. images: how many images a batch has.
    """

    def __init__(
        self, source: Source, sampler: Sampler, transformer: Transformer, size: int, *, noise: Noise | None = None
    ) -> None:
        self.source = source
        self.transformer = transformer
        self.images = size * sampler.images_per_item
        self._sampler = sampler
        self.size = size
        self._noise = noise

    def read(self, number: int) -> Batch:
        """Batch `number`, counted from 0. Raises DataError where a record is damaged or a label is too large."""
        indices = self.draw(number)
        data, labels = self.make(number, indices.reshape(-1))
        channels, height, width = self.transformer.shape
        stacked = data.reshape(self.size, channels * self._sampler.images_per_item, height, width)
        return Batch(stacked, labels.reshape(indices.shape), indices)

    def draw(self, number: int) -> Indices:
        """The images of batch `number`, shape (size, images_per_item); -1 stands for the noise image."""
        return self._sampler.draw(number, self.size)

    def make(self, number: int, indices: Indices) -> tuple[npt.NDArray[np.float32], Indices]:
        """The input that batch `number` makes of images `indices` (n,), and their labels (n,)."""
        pixels, labels = self.fetch(indices)
        if self._noise is not None:
            pixels = pixels.astype(np.float32)
            pixels[indices < 0] = self._noise.image
        return self.transformer(pixels, number), labels

    def fetch(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Images `indices` (n,) as they are stored, and their labels; at -1 any image with the label of the noise."""
        pixels, labels = self.source.read(np.maximum(indices, 0))
        return pixels, self._checked(labels, indices)

    def labels_of(self, indices: Indices) -> Indices:
        """The labels (n,) of images `indices` (n,), without a look at the images."""
        return self._checked(self._all_labels[np.maximum(indices, 0)], indices)

    @cached_property
    def _all_labels(self) -> Indices:
        return self.source.labels

    @property
    def noise_image(self) -> npt.NDArray[np.float32] | None:
        """What image -1 stands for, shape (C, H, W)."""
        return None if self._noise is None else np.ascontiguousarray(self._noise.image, np.float32)

    def _checked(self, labels: Indices, indices: Indices) -> Indices:
        if self._noise is not None:
            labels[indices < 0] = self._noise.label
        if max(-int(np.minimum.reduce(labels)), int(np.maximum.reduce(labels))) > LARGEST_LABEL:
            raise DataError(
                f"a label is larger than {LARGEST_LABEL}, which a blob cannot hold exactly",
                where=self.source.name,
                mend="number the classes from 0",
            )
        return labels


class Batches(Protocol):
    """The batches of a Data layer, on their way to its tops.

    residence: where the images lie, for people; empty where there is nothing to say.
    """

    @property
    def residence(self) -> str:
        """Where the images lie."""

    def feed(self, position: int, tops: Sequence[Array]) -> Drawn:
        """Do the host's work for batch `position`; returns which images it holds.

        tops: arrays of the device, images (N, C, H, W) and, where there is a second one, labels (N, ...).
        """

    def forward(self, tops: Sequence[Array]) -> None:
        """Do the device's work for that batch; afterwards it lies in `tops`, arrays (N, ...) that `feed` was given."""

    def close(self) -> None:
        """End the background thread."""


class HostBatches:
    """Batches that are used where they are made.

    label_of: labels (N, images_per_item) to those of the top. depth: batches that a background thread makes ahead.
    """

    residence = ""

    def __init__(self, reader: BatchReader, label_of: Callable[[Indices], npt.NDArray[Any]], depth: int) -> None:
        self._ahead = Prefetcher(reader.read, depth, helping=True)
        self._label_of = label_of

    def feed(self, position: int, tops: Sequence[Array]) -> Drawn:
        """Copy batch `position` to the tops."""
        batch = self._ahead.get(position)
        found: tuple[npt.NDArray[Any], ...] = (batch.data, self._label_of(batch.labels), batch.indices)
        for top, values in zip(tops, found, strict=False):
            top[...] = values.reshape(top.shape)
        return batch.indices, batch.labels

    def forward(self, tops: Sequence[Array]) -> None:
        """`feed` wrote the values."""

    def close(self) -> None:
        """End the background thread."""
        self._ahead.close()
