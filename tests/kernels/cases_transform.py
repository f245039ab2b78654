"""Stored images made into input: bit for bit what the reference and the host's transformer make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Bench, case

from netforge.device.cuda_ops_transform import NO_MASK, mean_steps
from netforge.device.operations.transform import ImageTransform


def stored_images(b: Bench, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    pixels = b.rng.integers(0, 256, shape)
    return pixels.astype(dtype) if dtype == "uint8" else (pixels / 7).astype(dtype)


def mean_of(b: Bench, kind: str | None, shape: tuple[int, int, int]) -> np.ndarray | None:
    sizes = {"number": (1, 1, 1), "channels": (shape[0], 1, 1), "image": shape}
    return None if kind is None else (b.rng.random(sizes[kind]) * 200).astype(np.float32)


@case(
    (("uint8", (5, 1, 6, 7)), (4, 1, 6, 7), ImageTransform(), None),
    (("uint8", (2, 1, 1, 1)), (3, 1, 1, 1), ImageTransform(0.5), "number"),
    (("uint8", (3, 3, 5, 4)), (0, 3, 5, 4), ImageTransform(), None),
    (("uint8", (9, 3, 11, 13)), (6, 3, 8, 8), ImageTransform(0.00390625, mask=(2, 9, 0, 4)), "image"),
    (("float32", (4, 3, 40, 37)), (5, 3, 31, 31), ImageTransform(-2.5, 2, -1), "channels"),
    (("uint8", (4, 4, 9, 9)), (4, 3, 7, 7), ImageTransform(3.0), "image"),
    (("float32", (4, 1, 9, 10)), (4, 3, 9, 10), ImageTransform(0.1, 0, 0, (3, 40, 4, 50)), "image"),
)
def transformed_images(b: Bench, size: Any) -> None:
    (dtype, stored), shape, t, kind = size
    images = stored_images(b, dtype, stored)
    count, channels, rows, columns = shape
    choices = np.stack([b.rng.integers(0, n, count) for n in (stored[0], 2, 2, 2)], axis=1).astype(np.int32)
    choices[:, 1] *= stored[2] - rows
    choices[:, 2] *= stored[3] - columns
    mean = mean_of(b, kind, (channels, *stored[2:]))
    for noise in (None, stored_images(b, "float32", stored[1:])):
        if noise is not None:
            choices[1::3, 0] = -1
        out, expected = b.dirty(*shape), b.dirty(*shape)
        b.ops.transform_images(images, noise, choices, mean, t, expected)
        name = "transform_bytes" if dtype == "uint8" else "transform_pixels"
        sizes = (count * channels, channels, rows, columns, *stored[1:], t.first_channel, t.channel_step)
        arguments = (images, noise, choices, mean, out, *sizes, *mean_steps(mean), t.scale, *(t.mask or NO_MASK))
        for grid in ((3, 1), (2, 2)):
            b.launch(name, *arguments, grid=grid)
            b.equal(out, expected, exact=True)
