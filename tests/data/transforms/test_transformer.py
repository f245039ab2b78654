"""The transformer compared with a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.sampling import below, random_words
from netforge.data.transforms.colour import Recolour
from netforge.data.transforms.transformer import Transformer
from netforge.device.operations import Ops
from netforge.device.operations.transform import CHOICES
from netforge.device.random import RandomStream
from netforge.errors import ShapeError

STREAM = RandomStream(11, "data.transform")


def loop(
    pixels: np.ndarray, position: int, *, scale: float, mean: np.ndarray | None, crop: int, mirror: bool, train: bool
):
    """What Caffe's reference says, one pixel after the other."""
    count, channels, height, width = pixels.shape
    rows, columns = crop or height, crop or width
    words = random_words(STREAM, position, 3 * count).reshape(count, 3)
    out = np.empty((count, channels, rows, columns), np.float32)
    for i in range(count):
        y0, x0 = (height - rows) // 2, (width - columns) // 2
        if train and crop:
            y0, x0 = int(below(words[i, :1], height - rows + 1)[0]), int(below(words[i, 1:2], width - columns + 1)[0])
        flip = mirror and words[i, 2] >> np.uint64(63)
        for c in range(channels):
            for y in range(rows):
                for x in range(columns):
                    value = np.float32(pixels[i, c, y0 + y, x0 + x])
                    if mean is not None:
                        value -= np.broadcast_to(mean, pixels.shape[1:])[c, y0 + y, x0 + x]
                    out[i, c, y, columns - 1 - x if flip else x] = value * np.float32(scale)
    return out


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_transformer_agrees_with_a_loop(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 6), st.integers(1, 6)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pixels = rng.integers(0, 256, (3, *shape), np.uint8)
    if data.draw(st.booleans()):
        pixels = pixels.astype(np.float32) / 7
    full, per_channel = rng.random(shape, np.float32) * 200, rng.random((shape[0], 1, 1), np.float32) * 200
    options = {
        "scale": data.draw(st.sampled_from([1.0, 0.00390625, -2.5])),
        "mean": data.draw(st.sampled_from([None, full, per_channel])),
        "crop": data.draw(st.integers(0, min(shape[1:]))),
        "mirror": data.draw(st.booleans()),
        "train": data.draw(st.booleans()),
    }
    position = data.draw(st.integers(0, 10**9))
    before = pixels.copy()
    transformer = Transformer(shape, stream=STREAM, **options)
    out = transformer(pixels, position)
    np.testing.assert_array_equal(out, loop(pixels, position, **options))
    np.testing.assert_array_equal(pixels, before)
    assert out.dtype == np.float32 and out.shape[1:] == transformer.shape


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_operation_of_devices_makes_the_same_bits(data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(3, 7), st.integers(3, 7)))
    stored, channels = data.draw(st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 3), (4, 3), (4, 4)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pixels = rng.integers(0, 256, (3, stored, height, width), np.uint8)
    if data.draw(st.booleans()):
        pixels = pixels.astype(np.float32) / 7
    means = [None, *((rng.random(s) * 200).astype(np.float32) for s in ((channels, height, width), (1, 1, 1)))]
    transformer = Transformer(
        (stored, height, width),
        stream=STREAM,
        scale=data.draw(st.sampled_from([1.0, 0.00390625, -2.5])),
        mean=data.draw(st.sampled_from([*means, np.full((channels, 1, 1), 9.5)])),
        crop=data.draw(st.integers(0, 3)),
        mirror=data.draw(st.booleans()),
        train=data.draw(st.booleans()),
        recolour=Recolour(
            stored, channels, wanted=data.draw(st.sampled_from(["RGB", "BGR"])) if channels == 3 else None
        ),
        mask=data.draw(st.sampled_from([None, (1, 2, 0, 1), (2, 90, 1, 90)])),
    )
    position = data.draw(st.integers(0, 10**9))
    chosen = np.empty((3, CHOICES), np.int32)
    chosen[:, 0], chosen[:, 1:] = np.arange(3), transformer.choices(position, 3)
    out = np.empty((3, *transformer.shape), np.float32)
    Ops().transform_images(pixels, None, chosen, transformer.mean, transformer.on_device, out)
    assert transformer.host_only is None
    np.testing.assert_array_equal(out, transformer(pixels, position))


def test_grey_from_colour_is_the_hosts_work() -> None:
    assert Transformer((3, 1, 1), stream=STREAM, recolour=Recolour(3, 1)).host_only == "force_gray"


def test_every_crop_and_flip_occurs() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4).repeat(2000, 0)
    out = Transformer((1, 3, 4), stream=STREAM, crop=2, mirror=True, train=True)(pixels, 0)
    firsts, counts = np.unique(out[:, 0, 0, 0], return_counts=True)
    assert len(firsts) == 8  # six corners, of which four can also be reached mirrored
    assert counts.sum() == 2000 and counts.min() > 100


def test_mask_is_inclusive_and_comes_before_the_mean() -> None:
    pixels = np.full((1, 1, 3, 4), 9, np.uint8)
    out = Transformer((1, 3, 4), stream=STREAM, mask=(1, 2, 0, 1), mean=np.full((1, 1, 1), 5.0))(pixels, 0)
    assert out[0, 0].tolist() == [[4, -5, -5, 4], [4, -5, -5, 4], [4, 4, 4, 4]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 6}, "crop_size 6 is larger than the images, 5 x 6 pixels"),
        ({"mean": np.zeros((1, 4, 4))}, r"the mean has shape \(1, 4, 4\), but the images have shape \(1, 5, 6\)"),
        ({"mask": (2, 1, 0, 1)}, "the mask left 2, right 1, top 0, bottom 1 is no rectangle"),
        ({"mask": (0, 1, 5, 9)}, "the mask from column 0 and row 5 on lies beside the images, 5 x 6 pixels"),
    ],
)
def test_settings_that_do_not_fit(options: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Transformer((1, 5, 6), stream=STREAM, **options)
