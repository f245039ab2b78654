"""Loss of quality compared with loops over pixels."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netforge.data.sampling import below, random_words
from netforge.data.transforms.distortion import fractions
from netforge.data.transforms.noise import NoiseSteps, PixelNoise
from netforge.data.transforms.transformer import Transformer
from netforge.device.random import RandomStream

STREAM = RandomStream(11, "data.transform.noise")
STEPS = NoiseSteps()


def images(count: int, channels: int, height: int = 4, width: int = 5, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, channels, height, width), np.uint8)


def noisy(pixels: np.ndarray, steps: NoiseSteps, position: int = 0, order: str = "RGB") -> np.ndarray:
    return PixelNoise(*pixels.shape[2:], steps, order, STREAM)(pixels, position)


def inside(place: int, side: int) -> int:
    """The pixel that stands for one beyond the ends, mirrored about the outermost ones."""
    while side > 1 and not 0 <= place < side:
        place = -place if place < 0 else 2 * (side - 1) - place
    return place if side > 1 else 0


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_blur(height: int, width: int, seed: int) -> None:
    pixels = images(1, 2, height, width, seed)
    bell = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-3, 4)]
    bell = [b / sum(bell) for b in bell]
    expected = np.zeros(pixels.shape)
    for c in range(2):
        for y in range(height):
            for x in range(width):
                for dy in range(-3, 4):
                    for dx in range(-3, 4):
                        value = float(pixels[0, c, inside(y + dy, height), inside(x + dx, width)])
                        expected[0, c, y, x] += bell[dy + 3] * bell[dx + 3] * value
    found = noisy(pixels, replace(STEPS, gauss_blur=True))
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.501)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_decolorize(order: str) -> None:
    pixels = images(2, 3)
    red, green, blue = np.moveaxis(pixels.astype(float), 1, 0)[:: 1 if order == "RGB" else -1]
    expected = np.rint(0.299 * red + 0.587 * green + 0.114 * blue)
    found = noisy(pixels, replace(STEPS, decolorize=True), order=order)
    np.testing.assert_array_equal(found, np.repeat(expected[:, None], 3, 1))


def test_brightness_is_spread() -> None:
    pixels = images(3, 1) // 4 + 90
    pixels[2] = 17  # one brightness stays
    found = noisy(pixels, replace(STEPS, hist_eq=True))
    for image, got in zip(pixels.reshape(3, -1), found.reshape(3, -1), strict=True):
        darkest = sum(v == image.min() for v in image)
        for value, new in zip(image, got, strict=True):
            as_dark = sum(v <= value for v in image)
            expected = value if darkest == 20 else round((as_dark - darkest) * 255 / (20 - darkest))
            assert new == expected
    assert found[0].min() == 0 and found[0].max() == 255


def test_colours_keep_their_differences_where_brightness_is_spread() -> None:
    pixels = images(1, 3) // 16 + 120
    found = noisy(pixels, replace(STEPS, hist_eq=True)).astype(int)
    moved = found - pixels
    held = (found == 0) | (found == 255)
    for y in range(4):
        for x in range(5):
            free = moved[0, ~held[0, :, y, x], y, x]
            assert len(set(free.tolist())) <= 1
    assert moved.max() > 90 and moved.min() < -90


@pytest.mark.parametrize(("channels", "order"), [(1, "RGB"), (3, "RGB"), (3, "BGR")])
def test_jpeg(channels: int, order: str) -> None:
    pixels = images(2, channels, 16, 24)
    expected = []
    for image in pixels[:, :: 1 if order == "RGB" else -1]:
        file = io.BytesIO()
        Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0)).save(file, "JPEG", quality=30)
        decoded = np.asarray(Image.open(file))
        expected.append(decoded[None] if channels == 1 else decoded.transpose(2, 0, 1)[:: 1 if order == "RGB" else -1])
    found = noisy(pixels, replace(STEPS, jpeg=30), order=order)
    np.testing.assert_array_equal(found, expected)
    assert (found != pixels).mean() > 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_erosion(height: int, width: int, seed: int) -> None:
    pixels = images(2, 2, height, width, seed)
    found = noisy(pixels, replace(STEPS, erode=True))
    for y in range(height):
        for x in range(width):
            near = [(y, x), (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            values = [pixels[:, :, a, b] for a, b in near if 0 <= a < height and 0 <= b < width]
            np.testing.assert_array_equal(found[:, :, y, x], np.min(values, 0))


def test_four_values_remain_and_dark_becomes_bright() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    four = noisy(pixels, replace(STEPS, posterize=True)).ravel()
    assert four.tolist() == [32] * 64 + [96] * 64 + [160] * 64 + [224] * 64
    assert noisy(pixels, replace(STEPS, inverse=True)).ravel().tolist() == list(range(255, -1, -1))


@pytest.mark.parametrize("salt", [(), (9,), (9, 8, 7)])
def test_salt_and_pepper(salt: tuple[int, ...]) -> None:
    pixels = np.full((50, 3, 4, 5), 100, np.uint8)
    found = noisy(pixels, replace(STEPS, saltpepper=0.24, salt=salt), 6)
    words = random_words(STREAM, 6, 50 * 5).reshape(50, 5)[:, 1:]  # 4 of 20 pixels, after the word for the image
    expected = pixels.copy()
    for image, drawn in zip(expected, words, strict=True):
        for word in drawn:
            row, column = divmod(int(below(word[None], 20)[0]), 5)
            image[:, row, column] = salt or (255 if int(word) & 1 else 0)
    np.testing.assert_array_equal(found, expected)
    assert set(found.ravel()) == {100, *(salt or (0, 255))}


def test_images_are_drawn_one_by_one() -> None:
    pixels = images(2000, 1, 2, 2)
    found = noisy(pixels, NoiseSteps(prob=0.3, inverse=True), 4)
    chosen = fractions(random_words(STREAM, 4, 2000)) < 0.3
    assert 0.27 < chosen.mean() < 0.33
    np.testing.assert_array_equal(found, np.where(chosen[:, None, None, None], 255 - pixels, pixels))


def test_only_changed_images_are_rounded_and_the_given_ones_stay() -> None:
    pixels = np.array([-3.0, 7.4, 7.6, 300.0], np.float32).repeat(8).reshape(4, 8, 1, 1).transpose(1, 0, 2, 3)
    before = pixels.copy()
    found = noisy(pixels, NoiseSteps(prob=0.5, inverse=True), 2)
    rows = {tuple(row) for row in found[:, :, 0, 0].tolist()}
    assert rows == {tuple(np.float32([-3, 7.4, 7.6, 300]).tolist()), (255.0, 248.0, 247.0, 0.0)}
    np.testing.assert_array_equal(pixels, before)


def test_steps_follow_each_other() -> None:
    pixels = images(2, 3, 8, 8)
    names = {"decolorize": True, "gauss_blur": True, "hist_eq": True, "jpeg": 40, "erode": True, "posterize": True}
    names |= {"inverse": True}
    one_by_one = pixels
    for name, value in names.items():
        one_by_one = noisy(one_by_one, replace(STEPS, **{name: value}))
    np.testing.assert_array_equal(noisy(pixels, replace(STEPS, **names)), one_by_one)


def test_noise_comes_after_the_mask_and_before_the_mean() -> None:
    noise = PixelNoise(3, 3, replace(STEPS, inverse=True), "RGB", STREAM)
    transformer = Transformer((1, 3, 3), stream=STREAM, noise=noise, mask=(0, 0, 0, 2), mean=np.full((1, 1, 1), 5.0))
    found = transformer(np.full((1, 1, 3, 3), 10, np.uint8), 0)
    np.testing.assert_array_equal(found[0, 0], [[250, 240, 240]] * 3)
    assert transformer.host_only == "noise_param"


def test_no_step_is_no_noise() -> None:
    assert not NoiseSteps() and not NoiseSteps(prob=0, inverse=True) and NoiseSteps(saltpepper=0.1)
