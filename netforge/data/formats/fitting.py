"""Bringing pictures to another size when they are imported: one geometry for pixels and for the boxes drawn on them.

What `transform_param` does to the size of images while a net reads them is in `resizing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Fit = Literal["stretch", "crop", "pad"]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Placement:
    """What of a picture is kept, and where it goes.

    taken: left, top, right and bottom of what is kept, in pixels of the picture; fractions of a pixel are possible.
    placed: the same of where it goes, in whole pixels of the made image; what lies outside of it is black. picture,
    made: (height, width) of the two.
    """

    taken: Rectangle
    placed: tuple[int, int, int, int]
    picture: tuple[int, int]
    made: tuple[int, int]

    def moved(self, corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Corners (n, 4) in shares of the picture's sides, as shares of the made image's sides; not clipped."""
        out = np.empty_like(corners)
        for axis, (source, target) in enumerate(zip(self.picture[::-1], self.made[::-1], strict=True)):
            first, last = self.taken[axis], self.taken[axis + 2]
            start, end = self.placed[axis], self.placed[axis + 2]
            pixels = corners[:, axis::2] * source
            out[:, axis::2] = (start + (pixels - first) * ((end - start) / (last - first))) / target
        return out


def place(picture: tuple[int, int], made: tuple[int, int], fit: Fit) -> Placement:
    """How a picture (height, width) fits into an image (height, width).

    "stretch" changes the proportions; "crop" keeps as much of the middle as has the image's; "pad" keeps all and puts
    it into the middle.
    """
    height, width = picture
    taken: Rectangle = (0.0, 0.0, float(width), float(height))
    placed = (0, 0, made[1], made[0])
    ratio = made[1] / made[0]
    is_wide = width / height > ratio
    if fit == "crop":
        kept_width, kept_height = (ratio * height, float(height)) if is_wide else (float(width), width / ratio)
        left, top = (width - kept_width) / 2, (height - kept_height) / 2
        taken = (left, top, left + kept_width, top + kept_height)
    elif fit == "pad":
        new_width = made[1] if is_wide else max(1, round(width / height * made[0]))
        new_height = max(1, round(height / width * made[1])) if is_wide else made[0]
        left_edge, top_edge = (made[1] - new_width) // 2, (made[0] - new_height) // 2
        placed = (left_edge, top_edge, left_edge + new_width, top_edge + new_height)
    return Placement(taken, placed, picture, made)


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
