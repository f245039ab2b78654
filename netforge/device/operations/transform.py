"""Operations: from stored images to a net's input, for images that lie where the net runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # a NumPy or a CuPy array

CHOICES = 4  # numbers that say how one image is taken: image, y, x, flipped


@dataclass(frozen=True)
class ImageTransform:
    """What is done to all images alike.

    scale: factor after the mean was taken off. first_channel, channel_step: channel c comes from stored channel
    first_channel + c * channel_step. mask: (left, right, top, bottom) of stored pixels that count as 0, borders
    included.
    """

    scale: float = 1.0
    first_channel: int = 0
    channel_step: int = 1
    mask: tuple[int, int, int, int] | None = None


class TransformOps:
    """NumPy reference of turning stored images into input."""

    def transform_images(
        self, images: Array, noise: Array | None, choices: Array, mean: Array | None, t: ImageTransform, out: Array
    ) -> None:
        """out[i] = (window of image choices[i, 0] - mean) * scale, in float32, whatever the type of out.

        images: (count, stored channels, height, width), uint8 or float32. noise: float32 image (stored channels,
        height, width) that image number -1 stands for. choices: int32 (n, 4): image, first row and first column of the
        window, and whether its columns are taken in reverse. mean: float32 (C, height, width), (C, 1, 1) or (1, 1, 1),
        indexed at the pixel before it is cut out. out: (n, C, rows, columns), whose size is the window's.
        """
        number, y, x, flipped = choices.T.reshape(CHOICES, -1, 1, 1, 1)
        channel = np.arange(out.shape[1])[:, None, None]
        stored = t.first_channel + t.channel_step * channel
        columns = np.arange(out.shape[3])
        rows, columns = y + np.arange(out.shape[2])[:, None], x + np.where(flipped, columns[::-1], columns)
        values = images[np.maximum(number, 0), stored, rows, columns].astype(np.float32)
        if noise is not None:
            values = np.where(number < 0, noise[stored, rows, columns], values)
        if t.mask:
            left, right, top, bottom = t.mask
            values[np.broadcast_to(_within(rows, top, bottom) & _within(columns, left, right), values.shape)] = 0
        if mean is not None:
            values -= np.broadcast_to(mean, (out.shape[1], *images.shape[2:]))[channel, rows, columns]
        np.multiply(values, np.float32(t.scale), out=out)


def _within(numbers: Array, first: int, last: int) -> Array:
    return (numbers >= first) & (numbers <= last)
