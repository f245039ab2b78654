"""Random changes of brightness, contrast, saturation and hue, each image its own (Howard 2013; Liu et al. 2016, "SSD").

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

# Units of hue_delta, of 2 degrees each, in a sixth of the circle of hues.
UNITS_PER_SIXTH = 30


@dataclass(frozen=True)
class DistortionRanges:
    """How probable changes are, and how large; amounts are drawn evenly.

    brightness: up to brightness_delta, in pixel values, is added or taken away. contrast: values are multiplied by
    contrast_lower to contrast_upper. saturation: that of colours (the S of HSV) is multiplied by saturation_lower to
    saturation_upper. hue: colours are turned on the circle of hues by up to hue_delta to either side, in units of 2
    degrees (the H of OpenCV's HSV). random_order_prob: how often saturation and hue are changed before contrast, not
    after it.
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
    hue_prob: float = 0.0
    hue_delta: float = 0.0

    def __bool__(self) -> bool:
        return any((self.brightness_prob, self.contrast_prob, self.saturation_prob, self.hue_prob))


class Distortion:
    """Changes the values of images (n, C, H, W); saturation and hue are those of colours, C = 3.

    stream: what the changes are drawn from; hues have a stream beside it.
    """

    def __init__(self, ranges: DistortionRanges, stream: RandomStream) -> None:
        self._ranges = ranges
        self._stream = stream
        self._hues = RandomStream(stream.seed, f"{stream.name}.hue")

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
        turned, turn = self._turns(position, len(pixels))
        early = drawn[:, 6] < ranges.random_order_prob
        values[lighter] = held(values[lighter] + shift[lighter])
        saturate(values, saturation, stronger & early)
        turn_hues(values, turn, turned & early)
        values[starker] = held(values[starker] * contrast[starker])
        saturate(values, saturation, stronger & ~early)
        turn_hues(values, turn, turned & ~early)
        return values

    def _turns(self, position: int, count: int) -> tuple[Mask, Floats]:
        """Which images (n,) change their hue, and by how much (n, 1, 1, 1), in sixths of the circle."""
        ranges = self._ranges
        if not ranges.hue_prob:
            return np.zeros(count, bool), np.zeros((count, 1, 1, 1), np.float32)
        drawn = fractions(random_words(self._hues, position, 2 * count)).reshape(-1, 2)
        largest = ranges.hue_delta / UNITS_PER_SIXTH
        return drawn[:, 0] < ranges.hue_prob, between(-largest, largest, drawn[:, 1])


def fractions(words: Words) -> npt.NDArray[np.float64]:
    """A number in [0, 1), a multiple of 2**-53, from each word (any shape)."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def between(lower: float, upper: float, share: npt.NDArray[np.float64]) -> Floats:
    """The number that lies at each share (n,) of the way from lower to upper, (n, 1, 1, 1)."""
    return (lower + (upper - lower) * share).astype(np.float32)[:, None, None, None]


def held(values: Floats) -> Floats:
    """The values (any shape), held between 0 and 255."""
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


def turn_hues(values: Floats, turn: Floats, chosen: Mask) -> None:
    """Turn the hues of the chosen images by `turn` (n, 1, 1, 1) sixths of the circle, in place.

    From red towards green where the channels are red, green, blue, the other way where they are blue, green, red: both
    ways are equally likely. Saturation and brightness (the S and V of HSV) stay. Each channel is a trapezium over the
    circle: the largest value for a third of it around the channel's own hue, the smallest for a third opposite.
    """
    if not chosen.any():
        return
    colours = values[chosen]
    largest, least = colours.max(1, keepdims=True), colours.min(1, keepdims=True)
    span = largest - least
    hue = sixths(colours, largest, span) + turn[chosen]
    for channel in range(3):
        away = np.abs((hue - np.float32(2 * channel) + 3) % 6 - 3)  # from the channel's own hue
        colours[:, channel : channel + 1] = least + span * np.clip(2 - away, 0, 1)
    values[chosen] = colours


def sixths(colours: Floats, largest: Floats, span: Floats) -> Floats:
    """The hue (n, 1, H, W) of colours (n, 3, H, W): 0 is the first channel's, 2 the second's, 4 the third's; 6 is 0.

    largest, span: of the three values, and between the largest and the least of them. Greys have hue 0.
    """
    first, second, third = (colours[:, c : c + 1] for c in range(3))
    width = np.where(span > 0, span, np.float32(1))
    hue = np.where(largest == third, 4 + (first - second) / width, 0)
    hue = np.where(largest == second, 2 + (third - first) / width, hue)
    hue = np.where(largest == first, (second - third) / width, hue)
    return np.asarray(hue, np.float32)
