"""Random changes of brightness, contrast and saturation, each image its own (Howard 2013; Liu et al. 2016, "SSD").

Pixel values lie between 0 and 255, and are held there after each change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import Words, random_words
from netforge.data.source import Pixels
from netforge.device.random import RandomStream

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BRIGHTEST = np.float32(255)

# Words that an image takes: for each change whether and how much, and one for the order.
WORDS = 7


@dataclass(frozen=True)
class DistortionRanges:
    """How probable changes are, and how large; amounts are drawn evenly.

    brightness: up to brightness_delta, in pixel values, is added or taken away. contrast: values are multiplied by
    contrast_lower to contrast_upper. saturation: that of colours (the S of HSV) is multiplied by saturation_lower to
    saturation_upper. random_order_prob: how often saturation is changed before contrast, not after it.
    """

    brightness_prob: float = 0.0
    brightness_delta: float = 0.0
    contrast_prob: float = 0.0
    contrast_lower: float = 0.5
    contrast_upper: float = 1.5
    saturation_prob: float = 0.0
    saturation_lower: float = 0.5
    saturation_upper: float = 1.5
    random_order_prob: float = 0.0

    def __bool__(self) -> bool:
        return any((self.brightness_prob, self.contrast_prob, self.saturation_prob))


class Distortion:
    """Changes the values of images (n, C, H, W); saturation is that of colours, C = 3.

    stream: what the changes are drawn from.
    """

    def __init__(self, ranges: DistortionRanges, stream: RandomStream) -> None:
        self._ranges = ranges
        self._stream = stream

    def __call__(self, pixels: Pixels, position: int) -> Floats:
        """The changed images; image i is changed by part i of draw number `position` of the stream."""
        ranges = self._ranges
        drawn = fractions(random_words(self._stream, position, WORDS * len(pixels))).reshape(-1, WORDS)
        values = pixels.astype(np.float32)
        lighter, starker, stronger = (
            drawn[:, [0, 2, 4]] < (ranges.brightness_prob, ranges.contrast_prob, ranges.saturation_prob)
        ).T
        shift = between(-ranges.brightness_delta, ranges.brightness_delta, drawn[:, 1])
        contrast = between(ranges.contrast_lower, ranges.contrast_upper, drawn[:, 3])
        saturation = between(ranges.saturation_lower, ranges.saturation_upper, drawn[:, 5])
        early = drawn[:, 6] < ranges.random_order_prob
        values[lighter] = held(values[lighter] + shift[lighter])
        saturate(values, saturation, stronger & early)
        values[starker] = held(values[starker] * contrast[starker])
        saturate(values, saturation, stronger & ~early)
        return values


def fractions(words: Words) -> npt.NDArray[np.float64]:
    """A number in [0, 1), a multiple of 2**-53, from each word."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def between(lower: float, upper: float, share: npt.NDArray[np.float64]) -> Floats:
    """The number that lies at each share (n,) of the way from lower to upper, (n, 1, 1, 1)."""
    return (lower + (upper - lower) * share).astype(np.float32)[:, None, None, None]


def held(values: Floats) -> Floats:
    """The values, held between 0 and 255."""
    return np.clip(values, np.float32(0), BRIGHTEST, out=values)


def saturate(values: Floats, factor: Floats, chosen: Mask) -> None:
    """Multiply the saturation of the chosen images by `factor` (n, 1, 1, 1), to 1 at most, in place.

    Hue and brightness (the V of HSV, the largest of the three values) stay: so every value keeps its distance to the
    largest, times one number for all three. Where the smallest would fall below 0, that number is held back.
    """
    if not chosen.any():
        return
    colours = values[chosen]
    largest = colours.max(1, keepdims=True)
    span = largest - colours.min(1, keepdims=True)
    limit = np.divide(largest, span, out=np.ones_like(span), where=span > 0)
    colours -= largest
    colours *= np.minimum(factor[chosen], limit)
    colours += largest
    values[chosen] = colours
