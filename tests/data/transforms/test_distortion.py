"""Distortions compared with a loop over pixels, in which saturation and hue are changed by way of HSV."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.sampling import random_words
from netforge.data.transforms.distortion import Distortion, DistortionRanges, fractions
from netforge.data.transforms.transformer import Transformer
from netforge.device.random import RandomStream

STREAM = RandomStream(11, "data.transform.distortion")
HUES = RandomStream(11, "data.transform.distortion.hue")


def images(count: int, channels: int, height: int = 3, width: int = 4) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, channels, height, width), np.uint8)


def saturated(colour: list[float], factor: float) -> list[float]:
    hue, saturation, brightness = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    return [c * 255 for c in colorsys.hsv_to_rgb(hue, min(1.0, saturation * factor), brightness)]


def turned(colour: list[float], degrees: float) -> list[float]:
    hue, saturation, brightness = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    return [c * 255 for c in colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, brightness)]


def loop(pixels: np.ndarray, ranges: DistortionRanges, position: int) -> np.ndarray:
    """What the ranges say, one pixel after the other."""
    count, _, height, width = pixels.shape
    drawn = fractions(random_words(STREAM, position, 7 * count)).reshape(count, 7)
    turns = fractions(random_words(HUES, position, 2 * count)).reshape(count, 2)
    out = np.empty(pixels.shape)
    for i, (lighter, shift, starker, contrast, stronger, saturation, order) in enumerate(drawn):
        contrast = ranges.contrast_lower + (ranges.contrast_upper - ranges.contrast_lower) * contrast
        saturation = ranges.saturation_lower + (ranges.saturation_upper - ranges.saturation_lower) * saturation
        for y in range(height):
            for x in range(width):
                colour = [float(c) for c in pixels[i, :, y, x]]
                if lighter < ranges.brightness_prob:
                    colour = [min(255, max(0, c + ranges.brightness_delta * (2 * shift - 1))) for c in colour]
                for early in (True, False):
                    now = early == (order < ranges.random_order_prob)
                    if now and stronger < ranges.saturation_prob:
                        colour = saturated(colour, saturation)
                    if now and turns[i, 0] < ranges.hue_prob:
                        colour = turned(colour, 2 * ranges.hue_delta * (2 * turns[i, 1] - 1))
                    if early and starker < ranges.contrast_prob:
                        colour = [min(255, c * contrast) for c in colour]
                out[i, :, y, x] = colour
    return out


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_distortions_agree_with_a_loop(data: st.DataObject) -> None:
    often = st.sampled_from([0.0, 0.5, 1.0])
    colour = data.draw(st.booleans())
    ranges = DistortionRanges(
        brightness_prob=data.draw(often),
        brightness_delta=data.draw(st.sampled_from([10.0, 200.0])),
        contrast_prob=data.draw(often),
        contrast_lower=0.25,
        contrast_upper=data.draw(st.sampled_from([0.75, 3.0])),
        saturation_prob=data.draw(often) if colour else 0.0,
        saturation_lower=0.0,
        saturation_upper=data.draw(st.sampled_from([1.0, 4.0])),
        random_order_prob=data.draw(often),
        hue_prob=data.draw(often) if colour else 0.0,
        hue_delta=data.draw(st.sampled_from([3.0, 90.0])),
    )
    pixels, position = images(5, 3 if colour else 1), data.draw(st.integers(0, 10**9))
    pixels[0, :, 0] = 0
    pixels[1, :, 0] = 77
    before = pixels.copy()
    out = Distortion(ranges, STREAM)(pixels, position)
    np.testing.assert_allclose(out, loop(pixels, ranges, position), atol=0.01)
    np.testing.assert_array_equal(pixels, before)
    assert out.dtype == np.float32


def test_changes_are_as_frequent_as_asked_for() -> None:
    pixels = np.full((4000, 1, 1, 1), 100, np.uint8)
    ranges = DistortionRanges(brightness_prob=0.3, brightness_delta=50)
    values = Distortion(ranges, STREAM)(pixels, 0).ravel()
    changed = values[values != 100]
    assert len(changed) / 4000 == pytest.approx(0.3, abs=0.03)
    assert 50 <= changed.min() < 52 and 148 < changed.max() <= 150
    assert changed.mean() == pytest.approx(100, abs=3)


def test_distortions_never_change() -> None:
    """A distortion that changes with a new version of netforge or NumPy would break the resuming of old runs."""
    ranges = DistortionRanges(1, 40, 1, 0.5, 1.5, 1, 0.5, 1.5)
    colours = np.array([[[[200]], [[100]], [[50]]], [[[20]], [[30]], [[40]]]], np.uint8)
    changed = Distortion(ranges, STREAM)(colours, 1)[:, :, 0, 0]
    np.testing.assert_allclose(changed, [[252.17, 90.39, 9.5], [31.94, 38.17, 44.4]], atol=0.01)


def test_hues_by_hand() -> None:
    """Turned by 120 degrees to either side at most, red becomes another pure colour and greys stay."""
    reds = np.zeros((900, 3, 1, 2), np.uint8)
    reds[:, 0, 0, 0], reds[:, :, 0, 1] = 240, 90
    values = Distortion(DistortionRanges(hue_prob=1, hue_delta=60), STREAM)(reds, 0)
    assert (values[:, :, 0, 1] == 90).all()
    assert (values[:, :, 0, 0].max(1) == 240).all() and (values[:, :, 0, 0].min(1) == 0).all()
    green, blue = ((values[:, c, 0, 0] > 0).mean() for c in (1, 2))
    assert 0.45 < green < 0.55 and 0.45 < blue < 0.55
    share = (values[:, 0, 0, 0] == 240).mean()  # those that were turned by less than 60 degrees
    assert 0.45 < share < 0.55


def test_hues_leave_the_other_draws_as_they_were() -> None:
    ranges = DistortionRanges(0.5, 40, 0.5, 0.5, 1.5, 0.5)
    before = Distortion(ranges, STREAM)(images(9, 3), 1)
    after = Distortion(replace(ranges, hue_prob=1.0), STREAM)(images(9, 3), 1)
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_a_mask_comes_after_the_distortion() -> None:
    ranges = DistortionRanges(brightness_prob=1, brightness_delta=100)
    pixels = np.full((9, 1, 3, 3), 120, np.uint8)
    transformer = Transformer((1, 3, 3), stream=STREAM, distortion=Distortion(ranges, STREAM), mask=(0, 1, 0, 1))
    out = transformer(pixels, 0)
    assert not out[:, :, :2, :2].any() and (out[:, :, 2] != 120).all()
    assert transformer.host_only == "distortion_param"


def test_no_change_is_no_distortion() -> None:
    assert not DistortionRanges(brightness_delta=5) and DistortionRanges(contrast_prob=0.1)
