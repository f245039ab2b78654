"""Blobs as pictures: weights as filters or heat maps, what layers make of one image as maps or bars."""

from __future__ import annotations

import numpy as np

from netforge.errors import counted
from netforge.inspect.pictures import (
    Array,
    Picture,
    colour,
    diverging,
    finite_range,
    grey,
    magnified,
    reduced,
    tiled,
    vector_bars,
)

TILE, MAP = 24, 320  # pixels: filters and heat maps are magnified to at least so many
MOST_MAPS, MOST_MAP_SIDE = 256, 256
LEAST_TILE, LEAST_IMAGE = 44, 160  # pixels, of maps of a top


def weight_picture(
    values: Array, order: str | None = None, *, filters: int = 96, inputs: int = 32, side: int = 512
) -> tuple[Picture, str]:
    """One weight blob (any shape) as a picture, and what it shows.

    Filters (O, I, H, W) are tiles, each stretched from its own smallest to its largest value; all else is a heat map
    around zero, or bars. order: of colours, "RGB" or "BGR", of filters on the three channels of images. filters,
    inputs, side: so many are shown of filters, of the planes of each, and of the rows and columns of a heat map.
    """
    shape = values.shape
    if len(shape) == 4 and shape[2] * shape[3] > 1:
        return _filters(values, order, filters, inputs)
    flat = values.reshape(shape[0], -1) if len(shape) > 1 else values.reshape(1, -1)
    if min(flat.shape) == 1:
        return vector_bars(flat.ravel()), f"{counted(flat.size, 'value')} as bars from zero"
    small = reduced(flat, side)
    text = f"{flat.shape[0]} rows, {flat.shape[1]} columns; blue below zero, red above"
    if small.shape != flat.shape:
        text += "; of neighbouring values the largest is shown"
    return magnified(diverging(small), MAP), text


def _filters(values: Array, order: str | None, most: int, most_inputs: int) -> tuple[Picture, str]:
    filters, inputs, height, width = values.shape
    kept = values[:most]
    part = f" (the first {len(kept)} of {filters})" if len(kept) < filters else ""
    if inputs == 1 or (inputs == 3 and order is not None):
        tiles = [colour(one, order or "RGB") if inputs == 3 else grey(one[0]) for one in kept]
        text = f"{counted(filters, 'filter')} of {height} x {width}{' in colours' if inputs == 3 else ''}{part}"
        return tiled([magnified(tile, 2 * TILE) for tile in tiles], gap=2), text
    seen = kept[:, :most_inputs]
    rows = []
    for one in seen:
        low, high = finite_range(one)
        rows.append(tiled([magnified(grey(plane, low, high), TILE) for plane in one], columns=len(one)))
    few = f" (the first {seen.shape[1]} of {inputs})" if seen.shape[1] < inputs else ""
    return np.concatenate(rows), f"a row for each of {counted(filters, 'filter')}{part}, {inputs} planes{few}"


def top_picture(values: Array, order: str | None = None) -> Picture:
    """A top (C, H, W) or (D,) of one image as a picture. order: of colours, where three channels are an image's."""
    if values.ndim != 3 or values.shape[1] * values.shape[2] == 1:
        return vector_bars(values.reshape(-1))
    if order is not None and len(values) == 3:
        return magnified(colour(values, order), LEAST_IMAGE)
    low, high = finite_range(values)
    least = LEAST_IMAGE if len(values) == 1 else LEAST_TILE
    maps = [magnified(grey(reduced(plane, MOST_MAP_SIDE), low, high), least) for plane in values[:MOST_MAPS]]
    return tiled(maps, gap=2)
