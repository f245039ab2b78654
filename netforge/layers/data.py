"""The Data layer: batches of images and labels from a source."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.data.batches.reader import BatchReader
from netforge.data.source import Indices
from netforge.layers.base import register_layer, slots
from netforge.layers.batch_layer import BatchLayer
from netforge.layers.data_param import batch_size_of, check_data_param, make_noise, make_sampler
from netforge.layers.data_selection import check_selection


@register_layer("Data", settings="data_param")
class Data(BatchLayer):
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

    transform_param works in this order: force_color or force_gray, color_order, distortion_param, mask_param,
    resize_param, noise_param, warp_param, the mean, the crop, mirror, scale.
    """

    tops = slots(
        "data (N, C * images_per_blob, H, W)",
        optional=(
            "label (N,), or (N, 2) with output_all_labels",
            "index (N,) or (N, 2), number of each image in its source, with output_image_index",
        ),
    )

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Open the source and check the settings against it."""
        check_data_param(self, len(top))
        self.open()
        check_selection(self, self.source)
        if not self.context.plan_only:
            sampler, noise = make_sampler(self, self.source), make_noise(self, self.source)
            size, label_of = batch_size_of(self.settings), partial(_label, self.settings)
            reader = BatchReader(self.source, sampler, self.transformer, size, noise=noise)
            self.start(top, reader, label_of, self.settings.prefetch)

    def labels_below(self) -> int | None:
        """One more than the largest label there can be; None where some may be negative, or a long search is needed."""
        if self.settings.images_per_blob == 2 and not self.settings.output_all_labels:
            return 2
        below = super().labels_below()
        if below is None:
            return None
        noise: int = self.settings.data_noise_param.noise_data_label
        if self.settings.enable_noise_for_nonmatch:
            below = max(below, noise + 1) if noise >= 0 else None
        return below and max(below, int(self.settings.forced_primary_label) + 1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The header of the source gives the shape."""
        channels, height, width = self.transformer.shape
        images, size = self.settings.images_per_blob, batch_size_of(self.settings)
        top[0].reshape(size, channels * images, height, width)
        if len(top) > 1:
            top[1].reshape((size, 2) if self.settings.output_all_labels else (size,))
        if len(top) > 2:
            top[2].reshape((size, images) if images > 1 else (size,))


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
