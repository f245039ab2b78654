"""From stored pixels to network input: (pixel - mean) * scale, with crop and mirror, for a whole batch at once.

Caffe's order and rules: the mean is indexed at the uncropped pixel, the scale comes after the mean, crops are random in
TRAIN and central otherwise, and mirroring is a coin flip per image in every phase. What else there is comes before: the
channels, distortion and mask on stored pixels, the size, noise, the warp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import below, random_words
from netforge.data.source import Indices, Pixels
from netforge.data.transforms.colour import Recolour
from netforge.data.transforms.distortion import Distortion
from netforge.data.transforms.noise import PixelNoise
from netforge.data.transforms.resizing import Resizing
from netforge.data.transforms.warp import Warp
from netforge.device.operations.transform import ImageTransform
from netforge.device.random import RandomStream
from netforge.errors import ShapeError

Floats = npt.NDArray[np.float32]


class Transformer:
    """Turns images (n, C, H, W) into float32 input.

    shape: (C, H, W) of the images. recolour: what is done to their channels. scale: factor after the mean was
    subtracted. mean: None, or of the images before they are cropped: (C, H, W), (C, 1, 1) or (1, 1, 1). crop: side of
    the square to cut out, 0 for none; mirror: flip every other image at random; train: random crops. mask: (left,
    right, top, bottom) of a rectangle of stored pixels to set to zero, borders included. distortion: changes of colour,
    for images after `recolour`. resizing, noise, warp: changes of size, quality and form, the last two for images of
    the new size. stream: what random choices are drawn from, three words an image; the others have their own.

    Raises ShapeError where crop, mask or mean do not fit the shape.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        stream: RandomStream,
        scale: float = 1.0,
        mean: npt.NDArray[Any] | None = None,
        crop: int = 0,
        mirror: bool = False,
        train: bool = False,
        recolour: Recolour | None = None,
        mask: tuple[int, int, int, int] | None = None,
        distortion: Distortion | None = None,
        resizing: Resizing | None = None,
        noise: PixelNoise | None = None,
        warp: Warp | None = None,
    ) -> None:
        self._stored = shape
        self._recolour = recolour or Recolour(shape[0])
        self._channels = self._recolour.given
        self._size = height, width = resizing.shape if resizing else shape[1:]
        self._stream = stream
        self._scale = np.float32(scale)
        self._crop = crop
        self._mirror = mirror
        self._random_crop = bool(crop) and train and crop < max(height, width)
        spare = (height - crop, width - crop) if crop else (0, 0)
        self._central = (spare[0] // 2, spare[1] // 2)
        # First row, first column and flip: so many ways each, counted from the fixed ones on.
        self._fixed = np.array([(0, 0, 0) if self._random_crop else (*self._central, 0)]).T
        self._ways = np.array([*(side + 1 if self._random_crop else 1 for side in spare), 2 if mirror else 1])
        self._mask = mask
        self._distortion = distortion
        self._resizing = resizing
        self._noise = noise
        self._warp = warp
        self.shape = (self._channels, crop or height, crop or width)
        self._mean = self._fit_mean(mean)
        self._check()

    def _fit_mean(self, mean: npt.NDArray[Any] | None) -> Floats | None:
        if mean is None:
            return None
        channels, height, width = self._channels, *self._size
        if mean.shape not in ((channels, height, width), (channels, 1, 1), (1, 1, 1)):
            raise ShapeError(
                f"the mean has shape {mean.shape}, but the images have shape {(channels, height, width)}",
                mend="use the mean of these images; it must have the size of the uncropped image",
            )
        return np.ascontiguousarray(mean, np.float32)

    def _check(self) -> None:
        height, width = self._size
        if self._crop > min(height, width):
            raise ShapeError(
                f"crop_size {self._crop} is larger than the images, {height} x {width} pixels",
                mend=f"crop at most {min(height, width)} pixels",
            )
        if self._mask:
            left, right, top, bottom = self._mask
            _, rows, columns = self._stored
            if not (0 <= left <= right and 0 <= top <= bottom):
                raise ShapeError(
                    f"the mask left {left}, right {right}, top {top}, bottom {bottom} is no rectangle",
                    mend="left must not be more than right, top not more than bottom, none below 0",
                )
            if left >= columns or top >= rows:
                raise ShapeError(
                    f"the mask from column {left} and row {top} on lies beside the images, {rows} x {columns} pixels",
                    mend="columns and rows count from 0",
                )

    def __call__(self, pixels: Pixels, position: int) -> Floats:
        """The input made of `pixels` (n, C, H, W); random choices are those of draw number `position`."""
        pixels = self._recolour(pixels)
        if self._distortion is not None:
            pixels = self._distortion(pixels, position)
        pixels = self._masked(pixels)
        if self._resizing is not None:
            pixels = self._resizing(pixels, position)
        if self._noise is not None:
            pixels = self._noise(pixels, position)
        if self._warp is not None:
            pixels = self._warp(pixels, position)
        values = self._centre(pixels)
        first_row, first_column, flipped = self._picks(position, len(values))
        out = self._cut_out(values, first_row, first_column)
        if self._scale != 1:
            out *= self._scale
        if self._mirror:
            mirrored = np.flatnonzero(flipped)
            out[mirrored] = out[mirrored][..., ::-1]
        return out

    @property
    def host_only(self) -> str | None:
        """The setting because of which only `__call__` can do the work; None where `on_device` says it all."""
        steps = {
            "distortion_param": self._distortion,
            "resize_param": self._resizing,
            "noise_param": self._noise,
            "warp_param": self._warp,
            "force_gray": self._channels == 1 < self._recolour.stored or None,
        }
        return next((setting for setting, step in steps.items() if step is not None), None)

    @property
    def on_device(self) -> ImageTransform:
        """What `transform_images` has to do to every image, with `mean` and the `choices` of a draw, in its place."""
        step = 0 if self._recolour.stored < self._channels else -1 if self._recolour.swaps else 1
        first = 2 if step == -1 else 0
        return ImageTransform(float(self._scale), first, step, self._mask)

    @property
    def mean(self) -> Floats | None:
        """What is taken off: (C, H, W), (C, 1, 1) or (1, 1, 1)."""
        return self._mean

    def choices(self, position: int, count: int) -> npt.NDArray[np.int32]:
        """First row, first column and flip (0 or 1) of `count` images in draw number `position`, shape (count, 3)."""
        return self._picks(position, count).T.astype(np.int32)

    def _picks(self, position: int, count: int) -> Indices:
        """First row, first column and flip (0 or 1) of each image, (3, count); all windows are equally likely."""
        if not (self._random_crop or self._mirror):
            return np.broadcast_to(self._fixed, (3, count))
        words = random_words(self._stream, position, 3 * count).reshape(-1, 3)
        return self._fixed + below(words, self._ways).T

    def _masked(self, pixels: Pixels) -> Pixels:
        """The pixels as if those of the mask had been stored as zeros."""
        if not self._mask:
            return pixels
        left, right, top, bottom = self._mask
        pixels = pixels.copy()
        pixels[:, :, top : bottom + 1, left : right + 1] = 0
        return pixels

    def _centre(self, pixels: Pixels) -> Floats:
        """The pixels minus the mean, a new array."""
        if self._mean is None:
            return pixels.astype(np.float32)
        return np.subtract(pixels, self._mean, dtype=np.float32)

    def _cut_out(self, values: Floats, y: Indices, x: Indices) -> Floats:
        """The square of side `crop` out of each image: anywhere, or its centre."""
        if not self._crop:
            return values
        if not self._random_crop:
            y0, x0 = self._central
            return np.ascontiguousarray(values[:, :, y0 : y0 + self._crop, x0 : x0 + self._crop])
        return cut(values, y, x, self._crop)


def cut(images: Floats, y: Indices, x: Indices, side: int) -> Floats:
    """The window (C, side, side) of each image (n, C, H, W) whose first row and column are y[i] and x[i]."""
    images = np.ascontiguousarray(images)
    count, channels, height, width = images.shape
    # All windows of all images, without a copy; NumPy's sliding_window_view takes longer than the cutting itself.
    windows: Floats = np.ndarray(
        (count, height - side + 1, width - side + 1, channels, side, side),
        images.dtype,
        images,
        strides=tuple(images.strides[axis] for axis in (0, 2, 3, 1, 2, 3)),
    )
    return windows[np.arange(count), y, x]
