"""The MemoryData layer: arrays that Python hands over."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.source import ArraySource
from netforge.errors import DataError
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.data_param import transformer_for


@register_layer("MemoryData", settings="memory_data_param")
class MemoryData(Layer):
    """Data and labels that Python hands over with `set_input_arrays` or `add_images`; batches wrap around."""

    bottoms = slots()
    tops = slots("data (batch_size, channels, height, width)", "label (batch_size,)")
    also_reads = ("transform_param",)
    differentiable = False
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check that all four sizes are given."""
        for name in ("batch_size", "channels", "height", "width"):
            if getattr(self.settings, name) < 1:
                raise self.fail(
                    f"{name} is missing", setting="memory_data_param", mend=f"write {name} in memory_data_param"
                )
        self._shape = (self.settings.channels, self.settings.height, self.settings.width)
        self._data: npt.NDArray[Any] | None = None
        self._labels: npt.NDArray[Any] | None = None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The settings give the shape."""
        top[0].reshape(self.settings.batch_size, *self._shape)
        top[1].reshape(self.settings.batch_size)

    def set_input_arrays(self, data: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Serve these arrays from the next forward on, as they are: transform_param plays no part.

        data: (n, channels, height, width), n a multiple of batch_size. labels: n numbers. Arrays that have the net's
        type already are not copied. Raises DataError where the shapes do not fit.
        """
        values = np.ascontiguousarray(data, self.dtype)
        targets = np.ascontiguousarray(labels, self.dtype).reshape(-1)
        if values.ndim != 4 or values.shape[1:] != self._shape:
            raise self.fail(
                f"data has shape {values.shape}, expected (n, {', '.join(map(str, self._shape))})", error=DataError
            )
        if len(values) == 0 or len(values) % self.settings.batch_size:
            mend = f"give a multiple of batch_size, {self.settings.batch_size}"
            raise self.fail(f"{len(values)} items do not fill whole batches", error=DataError, mend=mend)
        if len(targets) != len(values):
            raise self.fail(f"{len(values)} items have {len(targets)} labels", error=DataError)
        self._data, self._labels = values, targets
        self.random.position = 0

    def add_images(self, images: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Serve these images after the transformation that transform_param describes.

        images: (n, C, H, W) of pixel values, n a multiple of batch_size; what is left after the crop must have the
        layer's shape. labels: n integers. Raises DataError or SettingsError where something does not fit.
        """
        pixels = np.asarray(images)
        source = ArraySource(self.label, pixels, np.asarray(labels).reshape(-1), color_order="BGR")
        context = self.context
        transformer = transformer_for(
            self.definition,
            source,
            phase=self.phase,
            seed=context.seed,
            folder=context.folder,
            plan_only=False,
            fail=self.fail,
        )
        self.set_input_arrays(transformer(pixels, 0), source.labels)

    def feed(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Copy the next batch."""
        if self._data is None or self._labels is None:
            raise self.fail(
                "no data was handed over", error=DataError, mend="call set_input_arrays(data, labels) of the layer"
            )
        size = self.settings.batch_size
        start = self.random.position * size % len(self._data)
        self.random.position += 1
        top[0].data[...] = self.xp.asarray(self._data[start : start + size])
        top[1].data[...] = self.xp.asarray(self._labels[start : start + size])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """`feed` wrote the values."""
