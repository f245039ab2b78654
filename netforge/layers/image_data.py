"""The ImageData layer: batches of pictures that a text file lists."""

from __future__ import annotations

from netforge.blob import Blob
from netforge.data.batches.reader import BatchReader
from netforge.data.sampling import SingleSampler
from netforge.data.source import Indices
from netforge.layers.base import register_layer, slots
from netforge.layers.batch_layer import BatchLayer
from netforge.layers.data_selection import all_images

AHEAD = 4  # batches that are made ready ahead of time, as many as Data makes unless the net says otherwise


@register_layer("ImageData", settings="image_data_param")
class ImageData(BatchLayer):
    """Pictures and labels from a list, a text file with a path and a whole number on each line.

    Paths start in root_folder, else in the current folder or that of the list. Pictures are decoded whenever they are
    drawn: blue, green, red, or grey without is_color; upright as their EXIF data say. All are of one size, or are
    stretched to new_height x new_width with OpenCV's bilinear interpolation. They come in the order of the list, from
    one of its first rand_skip + 1 lines on; or, with shuffle, each epoch in an order of its own, drawn from the seed
    and the layer's name. For training many epochs `netforge data import images` decodes them once.
    """

    tops = slots("data (N, C, H, W)", optional=("label (N,)",))

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Open the list, and the first picture."""
        if self.settings.shuffle and self.settings.rand_skip:
            raise self.fail(
                "rand_skip goes with pictures in the order of the list only",
                setting="image_data_param.rand_skip",
                mend="remove it, or write shuffle: false",
            )
        self.open()
        if not self.context.plan_only:
            sampler = SingleSampler(all_images(self, self.source, shuffled=self.settings.shuffle))
            reader = BatchReader(self.source, sampler, self.transformer, self.settings.batch_size)
            self.start(top, reader, _label, AHEAD)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """The first picture, or the settings, give the shape."""
        top[0].reshape(self.settings.batch_size, *self.transformer.shape)
        if len(top) > 1:
            top[1].reshape(self.settings.batch_size)


def _label(labels: Indices) -> Indices:
    return labels[:, 0]
