"""Stored images to a net's input on a GPU (kernels/transform.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.launch import AT_ONCE, BLOCK
from netforge.device.operations.transform import ImageTransform

Array = Any  # a CuPy array

NO_MASK = (0, -1, 0, -1)
BLOCK_PIXELS = 4 * AT_ONCE * BLOCK
"""Most pixels of a plane that one block makes: enough to be worth its start, and few enough that blocks fill a GPU."""


class CudaTransform(CudaCore):
    """`TransformOps` by kernels."""

    def transform_images(
        self, images: Array, noise: Array | None, choices: Array, mean: Array | None, t: ImageTransform, out: Array
    ) -> None:
        """out[i] = (window of image choices[i, 0] - mean) * scale, in float32, whatever the type of out."""
        count, channels, rows, columns = out.shape
        planes = count * channels
        if not out.size:
            return
        name = "transform_bytes" if images.dtype == np.uint8 else "transform_pixels"
        arrays, steps = (images, noise, choices, mean, out), mean_steps(mean)
        sizes = (planes, channels, rows, columns, *images.shape[1:], t.first_channel, t.channel_step, *steps)
        splits = -(-rows * columns // BLOCK_PIXELS)
        self.launch.grid(name, out.dtype, (planes, splits), *arrays, *sizes, t.scale, *(t.mask or NO_MASK))


def mean_steps(mean: Array | None) -> tuple[int, int]:
    """How far the next channel and the next pixel of a mean are: none, one number, one a channel, or a whole image."""
    if mean is None or mean.size == 1:
        return 0, 0
    return (1, 0) if mean.shape[1:] == (1, 1) else (mean[0].size, 1)
