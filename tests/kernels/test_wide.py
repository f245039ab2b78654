"""Kernels find their way in sources of 2^31 elements and more."""

from __future__ import annotations

import numpy as np
import pytest
from harness import Bench

from netforge.device.cuda_ops_transform import NO_MASK
from netforge.device.operations.transform import ImageTransform


@pytest.mark.usefixtures("needs_compiler")
def test_the_last_image_of_a_large_source_is_found() -> None:
    b = Bench("float32", "forward")
    side, count = 1 << 10, (1 << 11) + 3
    images = np.zeros((count, 1, side, side), np.uint8)  # no page of it is real before it is touched
    images[-1, 0, -1] = np.arange(side) % 251
    choices = np.array([[count - 1, side - 1, 5, 1]], np.int32)
    out, expected = b.dirty(1, 1, 1, 40), b.dirty(1, 1, 1, 40)
    b.ops.transform_images(images, None, choices, None, ImageTransform(), expected)
    b.launch(
        "transform_bytes",
        images,
        None,
        choices,
        None,
        out,
        1,
        *out.shape[1:],
        *images.shape[1:],
        0,
        1,
        0,
        0,
        1.0,
        *NO_MASK,
    )
    b.equal(out, expected, exact=True)
    np.testing.assert_array_equal(out.reshape(-1), np.arange(44, 4, -1))
