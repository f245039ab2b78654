"""Images of one size made from images of another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def resized(images: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Images (n, C, H, W) brought to `size`, (height, width), stretched where the shape differs.

    Bilinear; where an image shrinks, every pixel of it counts, so that fine lines do not flicker.
    """
    from PIL import Image

    count, channels = images.shape[:2]
    if images.shape[2:] == size:
        return images
    out = np.empty((count * channels, *size), np.uint8)
    for plane, made in zip(images.reshape(-1, *images.shape[2:]), out, strict=True):
        made[...] = Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return out.reshape(count, channels, *size)
