"""Images brought to another size while they are read, with OpenCV's rules of interpolation.

Pixel i of a side of n pixels covers [i, i + 1), so that its centre is i + 1/2; a side of m pixels has its centres at
(i + 1/2) n / m of the other. Each value is a weighted sum of a few pixels, the taps, of its column, then of its row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import below, random_words
from netforge.data.source import Indices
from netforge.device.random import RandomStream

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

METHODS = ("LINEAR", "AREA", "NEAREST", "CUBIC", "LANCZOS4")
POLICIES = ("WARP", "FIT_SMALL_SIZE", "FIT_LARGE_SIZE_AND_PAD")

# How np.pad calls what fills up.
PADS = {"CONSTANT": "constant", "MIRRORED": "reflect", "REPEAT_NEAREST": "edge"}

# Steepness of the cubic kernel at 1 (Keys 1981 recommends -0.5); OpenCV's, which trained nets have seen.
CUBIC_SLOPE = -0.75


# Images are worked on so many values at a time that they stay in the processor's cache.
PIECE_VALUES = 1 << 14


@dataclass(frozen=True)
class Taps:
    """Which pixels of a line make each pixel of another one: sum over k of weights[i, k] * line[index[i, k]].

    index: (pixels, taps) integers. weights: (pixels, taps) float32.
    """

    index: Indices
    weights: Floats

    def along(self, values: npt.NDArray[Any], axis: int) -> Floats:
        """The sums along an axis of `values`, float32."""
        shape = [1] * values.ndim
        shape[axis] = len(self.index)
        total: Floats | None = None
        for index, weights in zip(self.index.T, self.weights.T, strict=True):
            part = values.take(index, axis, mode="clip").astype(np.float32, copy=False)
            part *= weights.reshape(shape)
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total


def find_taps(before: int, after: int, method: str) -> Taps:
    """How `after` pixels are made of a side of `before` pixels by one of METHODS.

    Beyond the ends of the side its outermost pixels are repeated. AREA is the average over what a pixel covers.
    """
    if method == "AREA":
        return _areas(before, after)
    if method == "NEAREST":
        nearest = np.arange(after) * before // after
        return Taps(nearest[:, None], np.ones((after, 1), np.float32))
    centre = (np.arange(after) + 0.5) * before / after - 0.5
    reach = {"LINEAR": 1, "CUBIC": 2, "LANCZOS4": 4}[method]
    index = np.floor(centre)[:, None] + np.arange(1 - reach, reach + 1)
    distance = np.abs(centre[:, None] - index)
    weights = {"LINEAR": _linear, "CUBIC": _cubic, "LANCZOS4": _lanczos}[method](distance)
    weights /= weights.sum(1, keepdims=True)
    return Taps(index.clip(0, before - 1).astype(np.int64), weights.astype(np.float32))


def _linear(distance: Doubles) -> Doubles:
    return 1 - distance


def _cubic(distance: Doubles) -> Doubles:
    a, d = CUBIC_SLOPE, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d <= 1, near, far)


def _lanczos(distance: Doubles) -> Doubles:
    return np.sinc(distance) * np.sinc(distance / 4)


def _areas(before: int, after: int) -> Taps:
    scale = before / after
    edges = np.arange(after + 1) * before / after
    start, end = edges[:-1, None], edges[1:, None]
    index = np.floor(start).astype(np.int64) + np.arange(math.ceil(scale) + 1)
    covered = np.minimum(end, index + 1) - np.maximum(start, index)
    weights = np.where(index < before, covered.clip(0, None), 0) / scale
    return Taps(index.clip(0, before - 1), weights.astype(np.float32))


@dataclass(frozen=True)
class Size:
    """What images are brought to.

    height, width: pixels. policy: one of POLICIES: "WARP" stretches; "FIT_SMALL_SIZE" keeps the form and covers the
    size, larger on one side; "FIT_LARGE_SIZE_AND_PAD" keeps the form, fits into the size and is filled up evenly on two
    sides. pad: one of PADS. pad_value: what CONSTANT fills with, one number, or one per channel.
    """

    height: int
    width: int
    policy: str = "WARP"
    pad: str = "CONSTANT"
    pad_value: tuple[float, ...] = (0.0,)

    def content(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns that the content of images of this size is brought to."""
        if self.policy == "WARP":
            return self.height, self.width
        flat = width * self.height > height * self.width  # flatter than what it is brought to
        if flat == (self.policy == "FIT_LARGE_SIZE_AND_PAD"):
            return max(1, self.width * height // width), self.width
        return self.height, max(1, self.height * width // height)


class Resizing:
    """Brings images (n, C, H, W) to another size; values stay unrounded.

    height, width: of the images. size: what they are brought to. methods: some of METHODS, of which each image draws
    one, all equally likely. stream: what they are drawn from.

    shape: (height, width) afterwards.
    """

    def __init__(self, height: int, width: int, size: Size, methods: Sequence[str], stream: RandomStream) -> None:
        self._size = size
        self._stream = stream
        self._content = size.content(height, width)
        rows, columns = self._content
        self._same = (rows, columns) == (height, width)
        self._piece = max(1, PIECE_VALUES // (max(height, rows) * max(width, columns)))
        self._taps = [(find_taps(height, rows, m), find_taps(width, columns, m)) for m in methods]
        padded = size.policy == "FIT_LARGE_SIZE_AND_PAD"
        self.shape = (size.height, size.width) if padded else self._content

    def __call__(self, pixels: npt.NDArray[Any], position: int) -> npt.NDArray[Any]:
        """The images in their new size; image i draws part i of draw number `position` of the stream."""
        return self._padded(pixels if self._same else self._resized(pixels, position))

    def average(self, pixels: npt.NDArray[Any]) -> Floats:
        """What the images become on average over all methods: the mean of images becomes the mean of these."""
        share = np.float32(1 / len(self._taps))
        return self._padded(
            sum((self._with(pixels, m) for m in range(1, len(self._taps))), self._with(pixels, 0)) * share
        )

    def _resized(self, pixels: npt.NDArray[Any], position: int) -> Floats:
        if len(self._taps) == 1:
            return self._with(pixels, 0)
        drawn = below(random_words(self._stream, position, len(pixels)), len(self._taps))
        out = np.empty((*pixels.shape[:2], *self._content), np.float32)
        for method in np.unique(drawn):
            chosen = drawn == method
            out[chosen] = self._with(pixels[chosen], method)
        return out

    def _with(self, pixels: npt.NDArray[Any], method: int) -> Floats:
        rows, columns = self._taps[method]
        out = np.empty((*pixels.shape[:2], *self._content), np.float32)
        for start in range(0, len(pixels), self._piece):
            part = slice(start, start + self._piece)
            lying = np.ascontiguousarray(rows.along(pixels[part], 2).swapaxes(2, 3))
            out[part] = columns.along(lying, 2).swapaxes(2, 3)
        return out

    def _padded(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        missing = [wanted - found for wanted, found in zip(self.shape, values.shape[2:], strict=True)]
        if not any(missing):
            return values
        (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in missing)
        if self._size.pad != "CONSTANT":
            widths = ((0, 0), (0, 0), (top, bottom), (left, right))
            return np.pad(values, widths, mode=PADS[self._size.pad])  # type: ignore[call-overload, no-any-return]
        out = np.empty((*values.shape[:2], *self.shape), np.float32)
        out[...] = np.array(self._size.pad_value, np.float32)[:, None, None]
        out[:, :, top : top + values.shape[2], left : left + values.shape[3]] = values
        return out
