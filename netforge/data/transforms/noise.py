"""Random loss of quality: blur, JPEG's artefacts, few values, false pixels and the like (Liu et al. 2016, "SSD").

Pixel values are rounded to whole numbers from 0 to 255 first, and stay such.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import Words, below, random_words
from netforge.data.transforms.colour import luma, to_bytes
from netforge.data.transforms.distortion import fractions
from netforge.data.transforms.resizing import Taps
from netforge.device.random import RandomStream

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# The Gaussian of the blur: standard deviation, and pixels to each side of the middle that it reaches.
SIGMA = 1.5
REACH = 3

# Values that the four classes of "posterize" have between them.
CLASS = 64


@dataclass(frozen=True)
class NoiseSteps:
    """What is done to an image that is drawn, in the order of the fields.

    prob: how probable it is that an image is drawn. decolorize: all channels become the brightness. gauss_blur: blur.
    hist_eq: brightness spread evenly over all values. jpeg: quality of a JPEG file on the way, 1 to 100; 0 for none.
    erode: the darkest of a pixel and its four neighbours. posterize: four values remain. inverse: dark becomes bright.
    saltpepper: share of the pixels that become `salt`: one value, or one per channel; half of them black and half white
    where there is none.
    """

    prob: float = 1.0
    decolorize: bool = False
    gauss_blur: bool = False
    hist_eq: bool = False
    jpeg: int = 0
    erode: bool = False
    posterize: bool = False
    inverse: bool = False
    saltpepper: float = 0.0
    salt: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        steps = (self.decolorize, self.gauss_blur, self.hist_eq, self.jpeg, self.erode, self.posterize, self.inverse)
        return self.prob > 0 and any((*steps, self.saltpepper))


class PixelNoise:
    """Takes quality from images (n, C, H, W).

    height, width: of the images, pixels. order: of three channels, "RGB" or "BGR". stream: what images and pixels are
    drawn from.
    """

    def __init__(self, height: int, width: int, steps: NoiseSteps, order: str, stream: RandomStream) -> None:
        self._steps = steps
        self._order = order
        self._stream = stream
        self._blur = (gaussian(height), gaussian(width))
        self._grains = int(steps.saltpepper * height * width)

    def __call__(self, pixels: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        """The changed images; image i is changed by part i of draw number `position` of the stream."""
        words = random_words(self._stream, position, len(pixels) * (1 + self._grains)).reshape(len(pixels), -1)
        chosen = fractions(words[:, 0]) < self._steps.prob
        if not chosen.any():
            return pixels
        pixels = pixels.copy()
        pixels[chosen] = self._changed(to_bytes(pixels[chosen]), words[chosen, 1:])
        return pixels

    def _changed(self, images: Bytes, words: Words) -> Bytes:
        """All images after all steps; words: (n, grains)."""
        steps = self._steps
        if steps.decolorize:
            images = np.repeat(to_bytes(luma(images, self._order)), 3, axis=1)
        if steps.gauss_blur:
            rows, columns = self._blur
            images = to_bytes(columns.along(rows.along(images, 2), 3))
        if steps.hist_eq:
            images = equalized(images, self._order)
        if steps.jpeg:
            images = through_jpeg(images, steps.jpeg, self._order)
        if steps.erode:
            images = eroded(images)
        if steps.posterize:
            images = images // CLASS * CLASS + CLASS // 2
        if steps.inverse:
            images = np.invert(images)
        return scattered(images, steps.salt, words) if self._grains else images


def gaussian(side: int) -> Taps:
    """The blur along a side of so many pixels, mirrored about its outermost ones."""
    offsets = np.arange(-REACH, REACH + 1)
    weights = np.exp(-((offsets / SIGMA) ** 2) / 2)
    index = np.pad(np.arange(side), REACH, mode="reflect")[np.arange(side)[:, None] + REACH + offsets]
    return Taps(index, np.tile((weights / weights.sum()).astype(np.float32), (side, 1)))


def equalized(images: Bytes, order: str) -> Bytes:
    """Brightness spread so that each value has as many pixels as its share of 0..255; all channels move by as much.

    The darkest value that occurs becomes 0, the brightest 255. Images of one brightness stay.
    """
    grey = images if images.shape[1] == 1 else to_bytes(luma(images, order))
    count, pixels = len(images), images[0, 0].size
    place = np.arange(count)[:, None] * 256 + grey.reshape(count, -1)
    histogram = np.bincount(place.reshape(-1), minlength=count * 256).reshape(count, 256)
    below_or_at = histogram.cumsum(1)
    darkest = histogram[np.arange(count), (histogram > 0).argmax(1)][:, None]
    spread = np.rint((below_or_at - darkest).clip(0, None) * 255 / np.maximum(pixels - darkest, 1))
    table = np.where(darkest == pixels, np.arange(256), spread).astype(np.int16)
    new = table.reshape(-1)[place].reshape(grey.shape)
    moved: Bytes = (images + (new - grey)).clip(0, 255).astype(np.uint8)
    return moved


def through_jpeg(images: Bytes, quality: int, order: str) -> Bytes:
    """The images as they come back from JPEG files of that quality (1 to 100)."""
    from PIL import Image

    out = np.empty_like(images)
    swap = slice(None, None, -1 if order == "BGR" and images.shape[1] == 3 else 1)
    for image, made in zip(images[:, swap].transpose(0, 2, 3, 1), out[:, swap].transpose(0, 2, 3, 1), strict=True):
        file = io.BytesIO()
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
        with Image.open(file) as picture:
            made[...] = np.asarray(picture).reshape(made.shape)
    return out


def eroded(images: Bytes) -> Bytes:
    """The least value of each pixel and of those above, below, left and right of it within the image."""
    out = images.copy()
    for axis in (2, 3):
        first, rest = (_cut(axis, slice(None, -1)), _cut(axis, slice(1, None)))
        np.minimum(out[first], images[rest], out=out[first])
        np.minimum(out[rest], images[first], out=out[rest])
    return out


def _cut(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if a == axis else slice(None) for a in range(4))


def scattered(images: Bytes, salt: tuple[int, ...], words: Words) -> Bytes:
    """The images in which each word (n, words) gives one pixel the value `salt`; without, black or white."""
    count, channels, height, width = images.shape
    out = images.reshape(count, channels, -1).copy()
    place = below(words, height * width)
    if salt:
        values = np.broadcast_to(np.array(salt, np.uint8), channels)[None, :, None]
    else:
        values = np.where(words & np.uint64(1), 255, 0).astype(np.uint8)[:, None]
    np.put_along_axis(out, place[:, None], np.broadcast_to(values, (count, channels, words.shape[1])), 2)
    return out.reshape(images.shape)
