"""Warps compared with a loop over pixels, and with what turns, shifts and zooms do to known images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from netforge.data.sampling import random_words
from netforge.data.transforms import warp as module
from netforge.data.transforms.transformer import Transformer
from netforge.data.transforms.warp import Warp, WarpRanges, interpolate, smoothing, uniform
from netforge.device.random import RandomStream

STREAM = RandomStream(11, "data.transform.warp")
ALL = WarpRanges(rotation=25, shift=1.5, shear=20, zoom=0.3, elastic_alpha=9, elastic_sigma=1.7)


def images(count: int, channels: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, channels, height, width), np.uint8)


def value_at(plane: np.ndarray, y: float, x: float) -> float:
    """Bilinear between four pixels; 0 outside."""
    height, width = plane.shape
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def grid_points(side: int, sigma: float) -> list[float]:
    step = max(1.0, sigma)
    return [step * i for i in range(-3, math.ceil((side - 1) / step) + 4)]


def weight(distance: float, sigma: float) -> float:
    step = max(1.0, sigma)
    total = sum(math.exp(-((k * step / sigma) ** 2) / 2) for k in range(-10, 11))
    return math.exp(-((distance / sigma) ** 2) / 2) / (total * math.sqrt(step))


def loop(pixels: np.ndarray, ranges: WarpRanges, position: int) -> np.ndarray:
    """What the ranges say, one pixel after the other."""
    count, channels, height, width = pixels.shape
    rows, columns = (
        grid_points(side, ranges.elastic_sigma) if ranges.elastic_alpha else [] for side in (height, width)
    )
    amounts = uniform(random_words(STREAM, position, count * (3 + len(rows) * len(columns)))).reshape(count, -1)
    out = np.empty(pixels.shape)
    for i in range(count):
        turn, slant = (
            math.radians(r) * a for r, a in zip((ranges.rotation, ranges.shear), amounts[i, :2], strict=True)
        )
        rotate = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        there = rotate @ np.array([[1, math.tan(slant)], [0, 1]]) * (1 + ranges.zoom * amounts[i, 2])
        noise = amounts[i, 6:].reshape(2, len(rows), len(columns))
        for y in range(height):
            for x in range(width):
                centre = np.array([(width - 1) / 2, (height - 1) / 2])
                shift = ranges.shift * np.array([amounts[i, 4], amounts[i, 3]])
                from_x, from_y = np.linalg.solve(there, np.array([x, y]) - centre - shift) + centre
                for r, row in enumerate(rows):
                    for c, column in enumerate(columns):
                        near = weight(y - row, ranges.elastic_sigma) * weight(x - column, ranges.elastic_sigma)
                        from_y += ranges.elastic_alpha * near * noise[0, r, c]
                        from_x += ranges.elastic_alpha * near * noise[1, r, c]
                for channel in range(channels):
                    out[i, channel, y, x] = value_at(pixels[i, channel], from_y, from_x)
    return out


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_warps_agree_with_a_loop(data: st.DataObject) -> None:
    """Each part alone and all together, in pieces of one image and in one piece."""
    every = {"rotation": 180, "shift": 2.5, "shear": 40, "zoom": 0.6, "elastic_alpha": 12}
    chosen = data.draw(st.sets(st.sampled_from(sorted(every)), min_size=1))
    sigma = data.draw(st.sampled_from([0.7, 2.0, 3.3]))
    ranges = WarpRanges(**{name: every[name] for name in chosen}, elastic_sigma=sigma)
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)))
    pixels, position = images(*shape), data.draw(st.integers(0, 10**9))
    before = pixels.copy()
    out = Warp(*shape[2:], ranges, STREAM)(pixels, position)
    np.testing.assert_allclose(out, loop(pixels, ranges, position), atol=0.02)
    np.testing.assert_array_equal(pixels, before)
    assert out.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_interpolation_agrees_with_a_loop(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)))
    pixels = images(*shape)
    if data.draw(st.booleans()):
        pixels = (pixels / np.float32(7) - 9).astype(np.float32)
    where = st.floats(-3, 8, width=32) | st.integers(-2, 6).map(float) | st.sampled_from([-1e9, 1e9])
    count, _, height, width = shape
    places = data.draw(st.lists(where, min_size=2 * count * height * width, max_size=2 * count * height * width))
    y, x = np.array(places, np.float32).reshape(2, count, height, width)
    out = np.empty(shape, np.float32)
    interpolate(pixels, y.copy(), x.copy(), out)
    for i, c, row, column in np.ndindex(*shape):
        expected = value_at(pixels[i, c], float(y[i, row, column]), float(x[i, row, column]))
        assert out[i, c, row, column] == pytest.approx(expected, abs=1e-3)


def warped(pixels: np.ndarray, **ranges: float) -> np.ndarray:
    """The images changed by the largest amounts in the positive direction."""
    ones = np.ones((len(pixels), 6), np.float32)
    y, x = Warp(*pixels.shape[2:], WarpRanges(**ranges), STREAM).origins(ones)
    out = np.empty(pixels.shape, np.float32)
    interpolate(pixels, y, x, out)
    return out


def test_known_changes() -> None:
    pixels = images(2, 3, 6, 6)
    np.testing.assert_allclose(warped(pixels, rotation=90), np.rot90(pixels, -1, axes=(2, 3)), atol=1e-2)
    np.testing.assert_allclose(warped(pixels, rotation=180), pixels[:, :, ::-1, ::-1], atol=1e-2)
    shifted = np.zeros_like(pixels)
    shifted[:, :, 2:, 2:] = pixels[:, :, :-2, :-2]
    np.testing.assert_allclose(warped(pixels, shift=2), shifted, atol=1e-2)
    flat = np.zeros((1, 1, 5, 5), np.uint8)
    flat[0, 0, 1:4, 1:4] = 100
    half_seen = warped(flat, zoom=2 / 3)[0, 0]
    assert half_seen[0, 0] == pytest.approx(64) and half_seen[2, 2] == half_seen[1, 1] == pytest.approx(100)
    column = np.zeros((1, 1, 5, 5), np.uint8)
    column[0, 0, :, 2] = 100
    np.testing.assert_allclose(warped(column, shear=45)[0, 0], 100 * np.eye(5), atol=1e-2)


@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.5, 6.0])
def test_the_displacement_has_the_variance_that_noise_in_every_pixel_has(sigma: float) -> None:
    reach = range(-60, 61)
    gauss = np.exp(-((np.arange(-60, 61) / sigma) ** 2) / 2)
    gauss /= gauss.sum()
    expected = (gauss**2).sum()
    assert (smoothing(9, sigma) ** 2).sum(1) == pytest.approx(expected, rel=3e-4)
    neighbours = smoothing(9, sigma)[3] @ smoothing(9, sigma)[5]
    shifted = sum(gauss[60 + k] * gauss[60 + k + 2] for k in reach if k + 2 in reach)
    assert neighbours == pytest.approx(shifted, rel=2e-2, abs=1e-6)


def test_amounts_are_even_and_image_by_image() -> None:
    amounts = uniform(random_words(STREAM, 0, 50_000))
    assert -1 <= amounts.min() < -0.999 and 0.999 < amounts.max() < 1
    assert abs(amounts.mean()) < 0.01 and amounts.var() == pytest.approx(1 / 3, rel=0.02)
    assert abs(np.corrcoef(amounts[::2], amounts[1::2])[0, 1]) < 0.02


@given(st.integers(1, 9), st.integers(0, 99))
def test_a_warp_is_a_function_of_seed_position_and_place_in_the_batch(first: int, position: int) -> None:
    pixels, change = images(9, 1, 5, 7), Warp(5, 7, ALL, STREAM)
    change(pixels, 3)
    whole = change(pixels, position)
    np.testing.assert_allclose(change(pixels[:first], position), whole[:first], atol=1e-3)
    np.testing.assert_array_equal(Warp(5, 7, ALL, STREAM)(pixels, position), whole)
    assert (change(pixels, position + 1) != whole).any()


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = images(7, 2, 5, 6)
    whole = Warp(5, 6, ALL, STREAM)(pixels, 4)
    monkeypatch.setattr(module, "PIECE_BYTES", 2 * 4 * 30)
    np.testing.assert_allclose(Warp(5, 6, ALL, STREAM)(pixels, 4), whole, atol=1e-3)


@pytest.mark.parametrize("side", [28, 105, 224])
def test_the_number_of_threads_changes_no_bit(side: int) -> None:
    pixels, change = images(6, 1, side, side), Warp(side, side, WarpRanges(elastic_alpha=30), STREAM)
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.append(change(pixels, 1).tobytes())
    assert found[0] == found[1] == found[2]


def test_warps_never_change() -> None:
    """A warp that changes with a new version of netforge or NumPy would break the resuming of old runs."""
    pixels = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4) * 10
    change = Warp(4, 4, WarpRanges(10, 0.5, 10, 0.1, 6, 2), STREAM)
    expected = [[0, 0, 0, 0], [0, 1.49, 12.2, 26.46], [0, 20.58, 42.1, 72.71], [0, 53.47, 82.76, 113.43]]
    np.testing.assert_allclose(change(pixels, 2)[0, 0], expected, atol=0.02)


def test_the_order_is_mask_warp_mean_crop_scale() -> None:
    """A shift to the right and down by one, for sure: the same amounts whatever is drawn."""
    pixels = np.full((1, 1, 4, 4), 50, np.uint8)

    class Shift(Warp):
        def origins(self, amounts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            y, x = np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij")
            return (y[None] - 1).astype(np.float32), (x[None] - 1).astype(np.float32)

    change = Shift(4, 4, WarpRanges(shift=1), STREAM)
    mean = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    transformer = Transformer((1, 4, 4), stream=STREAM, warp=change, mean=mean, mask=(0, 1, 0, 1), crop=2, scale=2)
    assert transformer.host_only == "warp_param"
    out = transformer(pixels, 0)
    assert out[0, 0].tolist() == [[2 * (0 - 5), 2 * (0 - 6)], [2 * (0 - 9), 2 * (0 - 10)]]
    whole = Transformer((1, 4, 4), stream=STREAM, warp=change, mean=mean, mask=(0, 1, 0, 1))(pixels, 0)
    assert whole[0, 0].tolist() == [[0, -1, -2, -3], [-4, -5, -6, 43], [-8, -9, -10, 39], [-12, 37, 36, 35]]


def test_no_change_is_no_warp() -> None:
    assert not WarpRanges() and not WarpRanges(elastic_sigma=7) and WarpRanges(shift=0.5)
