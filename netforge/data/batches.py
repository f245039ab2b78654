"""Batches: what a Data layer puts into its tops, as a pure function of the batch number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.source import Indices, Source
from netforge.data.transform import Transformer
from netforge.errors import DataError

# Labels travel in blobs of float32, which holds whole numbers exactly up to here.
LARGEST_LABEL = 1 << 24


class Sampler(Protocol):
    """Says which images a batch holds."""

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
    """Reads batch after batch of `size` items; `read` may be called from any one thread at a time."""

    def __init__(
        self, source: Source, sampler: Sampler, transformer: Transformer, size: int, *, noise: Noise | None = None
    ) -> None:
        self.source = source
        self._sampler = sampler
        self._transformer = transformer
        self._size = size
        self._noise = noise

    def read(self, number: int) -> Batch:
        """Batch `number`, counted from 0. Raises DataError where a record is damaged or a label is too large."""
        indices = self._sampler.draw(number, self._size)
        flat = indices.reshape(-1)
        pixels, labels = self.source.read(np.maximum(flat, 0))
        if self._noise is not None:
            pixels = pixels.astype(np.float32)
            pixels[flat < 0] = self._noise.image
            labels[flat < 0] = self._noise.label
        if max(-int(labels.min()), int(labels.max())) > LARGEST_LABEL:
            raise DataError(
                f"a label is larger than {LARGEST_LABEL}, which a blob cannot hold exactly",
                where=self.source.name,
                mend="number the classes from 0",
            )
        data = self._transformer(pixels, number)
        channels, height, width = self._transformer.shape
        stacked = data.reshape(self._size, channels * self._sampler.images_per_item, height, width)
        return Batch(stacked, labels.reshape(indices.shape), indices)
