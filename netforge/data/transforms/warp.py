"""Random small changes of form: turn, shift, slant, zoom and elastic distortion, each image its own.

The value of a pixel is found by going back to where it came from and interpolating there between four pixels; outside
of the image all pixels are 0. The elastic part is that of Simard, Steinkraus and Platt 2003, "Best Practices for
Convolutional Neural Networks Applied to Visual Document Analysis": each pixel is displaced by uniform noise from -1 to
1 in each direction, smoothed with a Gaussian of standard deviation sigma and multiplied by alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import Words, random_words
from netforge.data.source import Pixels
from netforge.device.random import RandomStream

Floats = npt.NDArray[np.float32]

# Standard deviations by which the grid of the noise reaches beyond the image; what lies farther off weighs below 0.01.
REACH = 3

# Uniform numbers that an affine change takes, one more than it uses: two come out of each 64-bit word.
AFFINE = 6

# Multiply-adds of a matrix product that is not worth a second thread; OpenBLAS takes one from four times as many on.
SMALL_PRODUCT = 1 << 16

# Images are worked on so many bytes at a time that their coordinates and weights stay in the processor's cache.
PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class WarpRanges:
    """How far images are changed; amounts are drawn evenly from both sides of "no change".

    rotation: largest turn, degrees. shift: largest shift along each axis, pixels. shear: largest slant of the columns,
    degrees. zoom: sizes are multiplied by 1 - zoom to 1 + zoom. elastic_alpha: factor of the smoothed noise, pixels.
    elastic_sigma: standard deviation of the Gaussian, pixels.
    """

    rotation: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 4.0

    def __bool__(self) -> bool:
        return any((self.rotation, self.shift, self.shear, self.zoom, self.elastic_alpha))


class Warp:
    """Changes the form of images (n, C, H, W), all channels alike.

    First the image is enlarged by the zoom, then slanted, turned about its centre, and shifted; then each pixel is
    displaced. The noise of the displacement is drawn on a grid with steps of sigma, not in every pixel, and scaled up
    to the variance that noise in every pixel has (its ripple is 1e-4 of it); steps are one pixel where sigma is less.

    height, width: of the images, pixels. stream: what the changes are drawn from.
    """

    def __init__(self, height: int, width: int, ranges: WarpRanges, stream: RandomStream) -> None:
        self._ranges = ranges
        self._stream = stream
        self._rows, self._columns = (np.arange(side) - (side - 1) / 2 for side in (height, width))
        self._smooth_rows, self._smooth_columns = (smoothing(side, ranges.elastic_sigma) for side in (height, width))
        self._smooth_rows *= np.float32(ranges.elastic_alpha)
        self._grid = (self._smooth_rows.shape[1], self._smooth_columns.shape[1]) if ranges.elastic_alpha else (0, 0)
        self._piece = max(1, PIECE_BYTES // (4 * height * width))

    def __call__(self, pixels: Pixels, position: int) -> Floats:
        """The changed images; image i is changed by part i of draw number `position` of the stream."""
        rows, columns = self._grid
        words = random_words(self._stream, position, len(pixels) * (AFFINE // 2 + rows * columns))
        amounts = uniform(words).reshape(len(pixels), -1)
        out = np.empty(pixels.shape, np.float32)
        for start in range(0, len(pixels), self._piece):
            part = slice(start, start + self._piece)
            y, x = self.origins(amounts[part])
            interpolate(pixels[part], y, x, out[part])
        return out

    def origins(self, amounts: Floats) -> tuple[Floats, Floats]:
        """Row and column, each (n, H, W), that the values of all pixels come from.

        amounts: numbers from -1 to 1, (n, AFFINE + those of the noise).
        """
        y, x = self._affine(amounts[:, :AFFINE].astype(np.float64))
        if self._ranges.elastic_alpha:
            lines = product(amounts[:, AFFINE:].reshape(-1, self._grid[1]), self._smooth_columns.T)
            moved = product(self._smooth_rows, lines.reshape(len(amounts), 2, self._grid[0], -1))
            y += moved[:, 0]
            x += moved[:, 1]
        return y, x

    def _affine(self, amounts: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
        """Where pixels come from without the elastic part: the inverse of zoom, slant, turn and shift."""
        ranges = self._ranges
        turn, slant = math.radians(ranges.rotation) * amounts[:, :1], math.radians(ranges.shear) * amounts[:, 1:2]
        size = 1 + ranges.zoom * amounts[:, 2:3]
        rows, columns = (self._rows - ranges.shift * amounts[:, 3:4], self._columns - ranges.shift * amounts[:, 4:5])
        sin, cos, tan = np.sin(turn) / size, np.cos(turn) / size, np.tan(slant)
        y = grid_sum(cos * rows - self._rows[0], -sin * columns)
        x = grid_sum((sin - tan * cos) * rows, (cos + tan * sin) * columns - self._columns[0])
        return y, x


def grid_sum(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Floats:
    """rows (n, H) plus columns (n, W) in every pixel, (n, H, W)."""
    return np.add(rows.astype(np.float32)[:, :, None], columns.astype(np.float32)[:, None, :])


def product(left: Floats, right: Floats) -> Floats:
    """The matrix product (n, k) x (k, m), made of blocks of rows so small that BLAS libraries give each to one thread.

    So the bits do not depend on the number of threads, which other parts of netforge change while this thread works.
    """
    rows = max(1, SMALL_PRODUCT // (left.shape[-1] * right.shape[-1]))
    blocks = [left[start : start + rows] @ right for start in range(0, len(left), rows)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-2)


def uniform(words: Words) -> Floats:
    """Two numbers in [-1, 1), multiples of 2**-23, from each word (n,): from its lower half, then its upper half."""
    halves = words.astype("<u8", copy=False).view("<u4")
    numbers = (halves >> np.uint32(8)).astype(np.float32)
    numbers *= np.float32(2.0**-23)
    numbers -= np.float32(1)
    return numbers


def smoothing(side: int, sigma: float) -> Floats:
    """The weight of each point of a line of noise in each of `side` pixels, (side, points).

    Points lie max(1, sigma) pixels apart, from REACH of these steps before the first pixel to as many behind the last.
    """
    step = max(1.0, sigma)
    points = step * np.arange(-REACH, math.ceil((side - 1) / step) + REACH + 1)
    around = step * np.arange(-10, 11)
    weights = np.exp(-(((np.arange(side)[:, None] - points) / sigma) ** 2) / 2)
    total = float(np.exp(-((around / sigma) ** 2) / 2).sum())
    return (weights / (total * math.sqrt(step))).astype(np.float32)


def interpolate(pixels: Pixels, y: Floats, x: Floats, out: Floats) -> None:
    """Write the values of images (n, C, H, W) at rows y and columns x, both (n, H, W), into `out` (n, C, H, W).

    Bilinear between the four pixels around; those outside of the image are 0. y and x are overwritten.
    """
    count, channels, height, width = pixels.shape
    framed = np.zeros((count, channels, height + 2, width + 2), np.float32)
    framed[:, :, 1:-1, 1:-1] = pixels
    stride, plane = width + 2, (height + 2) * (width + 2)
    top, down = floor_and_rest(y, height)
    left, right = floor_and_rest(x, width)
    place = top * np.int32(stride) + left + (np.arange(count) * (channels * plane))[:, None, None]
    flat = framed.reshape(-1)
    for channel in range(channels):
        upper, lower = (between(flat[start:], place, right) for start in (channel * plane, channel * plane + stride))
        lower -= upper
        lower *= down
        np.add(upper, lower, out=out[:, channel])


def floor_and_rest(position: Floats, side: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """The pixel of a framed line of `side` pixels that lies before each position (any shape), and how far before."""
    position += np.float32(1)
    np.clip(position, np.float32(0), np.nextafter(np.float32(side + 1), np.float32(0)), out=position)
    before = np.floor(position)
    position -= before
    return before.astype(np.int32), position


def between(flat: Floats, place: npt.NDArray[np.int64], share: Floats) -> Floats:
    """The value of `flat` (n,) at each place (any shape), moved towards the one behind it by `share`."""
    here, behind = np.take(flat, place, mode="clip"), np.take(flat[1:], place, mode="clip")
    behind -= here
    behind *= share
    behind += here
    return behind
