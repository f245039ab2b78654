"""Hues that people can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from netforge.inspect.palette import DARK_PAPER, HUES, LIGHT_PAPER, SHAPES, blend, hue, rgb, shape

Colours = npt.NDArray[np.float64]
VISION = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colours: list[str]) -> Colours:
    values = np.array([rgb(colour) for colour in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(light: Colours) -> Colours:
    cones = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
    axes = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
    return np.cbrt(np.clip(light, 0, 1) @ cones.T) @ axes.T


@pytest.mark.parametrize("vision", VISION)
def test_hues_are_far_apart(vision: str) -> None:
    seen = oklab(linear(list(HUES)) @ VISION[vision].T)
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.11


def test_hues_stand_out_from_both_papers() -> None:
    luminance = linear([*HUES, LIGHT_PAPER, DARK_PAPER]) @ [0.2126, 0.7152, 0.0722] + 0.05
    hues, light, dark = luminance[:-2], luminance[-2], luminance[-1]
    assert (light / hues).min() > 1.8
    assert (hues / dark).min() > 2.5


def test_more_classes_repeat_hues_with_other_shapes() -> None:
    looks = [(hue(number), shape(number)) for number in range(len(HUES) * len(SHAPES))]
    assert len(set(looks)) == len(looks)
    assert (hue(10), shape(10)) == (HUES[0], SHAPES[1])


def test_blend() -> None:
    assert blend("#000000", "#ff8040", 0.5) == "#804020"
    assert blend("#102030", "#ff8040", 0) == "#102030"
