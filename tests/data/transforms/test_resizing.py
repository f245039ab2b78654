"""Changes of size compared with loops over pixels, in which each kernel is written out as its definition says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.sampling import below, random_words
from netforge.data.transforms.resizing import METHODS, PADS, POLICIES, Resizing, Size, find_taps
from netforge.data.transforms.transformer import Transformer
from netforge.device.random import RandomStream

STREAM = RandomStream(11, "data.transform.resize")


def cubic(x: float, a: float = -0.75) -> float:
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def lanczos(x: float) -> float:
    if abs(x) >= 4:
        return 0.0
    return 1.0 if x == 0 else 4 * math.sin(math.pi * x) * math.sin(math.pi * x / 4) / (math.pi * x) ** 2


KERNELS: dict[str, Callable[[float], float]] = {
    "LINEAR": lambda x: max(0.0, 1 - abs(x)),
    "CUBIC": cubic,
    "LANCZOS4": lanczos,
}


def line(values: list[float], after: int, method: str) -> list[float]:
    """A line of pixels brought to another length."""
    before = len(values)
    if method == "NEAREST":
        return [values[int(i * before / after)] for i in range(after)]
    out = []
    for i in range(after):
        if method == "AREA":
            start, end = i * before / after, (i + 1) * before / after
            shares = [max(0.0, min(end, k + 1) - max(start, k)) for k in range(before)]
            out.append(sum(s * v for s, v in zip(shares, values, strict=True)) / sum(shares))
            continue
        centre = (i + 0.5) * before / after - 0.5
        places = range(math.floor(centre) - 5, math.floor(centre) + 7)
        weights = [KERNELS[method](centre - k) for k in places]
        ends = [values[min(max(k, 0), before - 1)] for k in places]
        out.append(sum(w * v for w, v in zip(weights, ends, strict=True)) / sum(weights))
    return out


def loop(plane: np.ndarray, rows: int, columns: int, method: str) -> np.ndarray:
    """A plane (H, W) brought to another size: along the columns, then along the rows."""
    tall = np.array([line(column.tolist(), rows, method) for column in plane.T]).T
    return np.array([line(row.tolist(), columns, method) for row in tall])


@settings(max_examples=30, deadline=None)
@given(st.data())
@pytest.mark.parametrize("method", METHODS)
def test_sizes_agree_with_a_loop(method: str, data: st.DataObject) -> None:
    height, width, rows, columns = (data.draw(st.integers(1, 9)) for _ in range(4))
    pixels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (2, 2, height, width), np.uint8)
    found = Resizing(height, width, Size(rows, columns), [method], STREAM)(pixels, 0)
    expected = [[loop(plane, rows, columns, method) for plane in image] for image in pixels]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_weights_sum_to_one(method: str) -> None:
    for before, after in ((1, 7), (7, 1), (28, 32), (500, 300), (3, 1000)):
        taps = find_taps(before, after, method)
        assert taps.index.shape == taps.weights.shape and taps.index.min() >= 0 and taps.index.max() < before
        np.testing.assert_allclose(taps.weights.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_changes_nothing(method: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 5, 7), np.uint8)
    assert Resizing(5, 7, Size(5, 7), [method], STREAM)(pixels, 0) is pixels


@pytest.mark.parametrize(
    ("policy", "shape", "content"),
    [
        ("WARP", (300, 300), (300, 300)),
        ("FIT_SMALL_SIZE", (300, 450), (300, 450)),
        ("FIT_LARGE_SIZE_AND_PAD", (300, 300), (200, 300)),
    ],
)
def test_what_becomes_of_a_landscape(policy: str, shape: tuple[int, int], content: tuple[int, int]) -> None:
    size = Size(300, 300, policy)
    assert size.content(400, 600) == content
    assert Resizing(400, 600, size, ["LINEAR"], STREAM).shape == shape


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60))
def test_forms_are_kept(height: int, width: int, rows: int, columns: int) -> None:
    """As well as whole numbers allow: one side is met, the other lies less than a pixel below the exact one."""
    for policy in POLICIES[1:]:
        found = Size(rows, columns, policy).content(height, width)
        fits = policy == "FIT_LARGE_SIZE_AND_PAD"
        scale = (min if fits else max)(rows / height, columns / width)
        for side, exact, wanted in zip(found, (height * scale, width * scale), (rows, columns), strict=True):
            assert exact - 1 < side <= max(1, exact + 1e-9)
            assert side <= wanted if fits else side >= wanted


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize(("height", "width"), [(3, 6), (6, 3), (2, 7), (1, 6)])
def test_the_rest_is_filled_up(pad: str, height: int, width: int) -> None:
    """Images fit as they are, so that what surrounds them is all that there is to see."""
    side = max(height, width)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, height, width), np.uint8)
    size = Size(side, side, "FIT_LARGE_SIZE_AND_PAD", pad, (3.0, 4.5))
    found = Resizing(height, width, size, ["LINEAR"], STREAM)(pixels, 0)
    top, left = (side - height) // 2, (side - width) // 2
    for y in range(side):
        for x in range(side):
            inside = top <= y < top + height and left <= x < left + width
            expected = np.tile([3.0, 4.5], (2, 1))
            if pad != "CONSTANT" or inside:
                row, column = (reflected if pad == "MIRRORED" else repeated)(y - top, height), 0
                column = (reflected if pad == "MIRRORED" else repeated)(x - left, width)
                expected = pixels[:, :, row, column]
            np.testing.assert_array_equal(found[:, :, y, x], expected)


def repeated(place: int, side: int) -> int:
    return min(max(place, 0), side - 1)


def reflected(place: int, side: int) -> int:
    while side > 1 and not 0 <= place < side:
        place = -place if place < 0 else 2 * (side - 1) - place
    return place if side > 1 else 0


def test_each_image_draws_one_of_several_methods() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3000, 1, 2, 2), np.uint8)
    methods = ["LINEAR", "NEAREST", "AREA"]
    found = Resizing(2, 2, Size(3, 3), methods, STREAM)(pixels, 7)
    drawn = below(random_words(STREAM, 7, 3000), 3)
    for number, method in enumerate(methods):
        chosen = drawn == number
        assert 0.3 < chosen.mean() < 0.37
        only = Resizing(2, 2, Size(3, 3), [method], STREAM)(pixels[chosen], 0)
        np.testing.assert_array_equal(found[chosen], only)


def test_a_mean_changes_as_images_do() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, 6, 9), np.uint8)
    size = Size(5, 5, "FIT_LARGE_SIZE_AND_PAD", pad_value=(7.0,))
    methods = ["LINEAR", "AREA", "CUBIC"]
    over_all = np.mean([Resizing(6, 9, size, [m], STREAM)(pixels, 0) for m in methods], (0, 1))
    mean = Resizing(6, 9, size, methods, STREAM).average(pixels.mean(0, dtype=np.float32)[None])
    np.testing.assert_allclose(mean[0], over_all, atol=1e-3)


def test_sizes_change_before_images_are_warped_cropped_and_flipped_and_after_the_mask() -> None:
    pixels = np.full((2, 1, 4, 4), 8, np.uint8)
    resizing = Resizing(4, 4, Size(8, 8), ["NEAREST"], STREAM)
    mean = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    transformer = Transformer((1, 4, 4), stream=STREAM, resizing=resizing, mask=(0, 1, 0, 3), mean=mean, crop=6)
    whole = np.where(np.arange(8) < 4, 0, 8) - mean[0]
    np.testing.assert_array_equal(transformer(pixels, 0)[1, 0], whole[1:7, 1:7])
    assert transformer.shape == (1, 6, 6) and transformer.host_only == "resize_param"


def test_values_by_hand() -> None:
    plane = np.array([[[[0, 50, 200], [90, 10, 30]]]], np.uint8)
    expected = {
        "LINEAR": [[12.5, 162.5], [70.0, 25.0]],
        "AREA": [[25 / 1.5, 225 / 1.5], [95 / 1.5, 35 / 1.5]],
        "NEAREST": [[0.0, 50.0], [90.0, 10.0]],
    }
    for method, values in expected.items():
        found = Resizing(2, 3, Size(2, 2), [method], STREAM)(plane, 0)
        np.testing.assert_allclose(found[0, 0], values, rtol=1e-6)
