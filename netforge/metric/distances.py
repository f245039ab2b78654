"""Squared Euclidean distances between many points, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from netforge.metric.arrays import Floats, as_points, check_size

BLOCK_BYTES = 64 << 20
"""Memory for one block of distances; work on a block takes a small multiple of it."""


def squared_distances(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """d[i, j] = |a_i - b_j|^2 as float64, (n, m), of points a (n, D) and b (m, D).

    Computed as |a|^2 + |b|^2 - 2 a.b about a point near the mean of b, block by block: beside the result, memory stays
    within a few `BLOCK_BYTES`. Rounding leaves an error of about 1e-15 times the squared extent of the points; between
    points of small whole numbers (pixels, codes) there is none, so that equal distances are equal.

    Raises ShapeError where the shapes do not fit, DataError for points that are not finite.
    """
    first, second = as_points(a, "a"), as_points(b, "b")
    distances = np.empty((len(first), len(second)))
    for rows, block in distance_blocks(first, second):
        distances[rows] = block
    return distances


def distance_blocks(
    a: npt.ArrayLike, b: npt.ArrayLike, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[tuple[slice, Floats]]:
    """The rows of `squared_distances(a, b)`, as many at a time as fit into `block_bytes`, at least one.

    Yields (rows, block): which points of a, and their distances (rows, m) to all of b. The block may be kept or
    overwritten.
    """
    first, second = as_points(a, "a"), as_points(b, "b")
    check_size(first, second, ("a", "b"))
    centre = _near_mean(second)
    turned = (second - centre).T
    norms = np.einsum("dm,dm->m", turned, turned)
    step = max(1, block_bytes // (8 * len(second)))
    for start in range(0, len(first), step):
        rows = slice(start, min(start + step, len(first)))
        part = first[rows] - centre
        block = part @ turned
        block *= -2
        block += norms
        block += np.einsum("nd,nd->n", part, part)[:, None]
        yield rows, np.maximum(block, 0, out=block)


def _near_mean(points: Floats) -> Floats:
    """The mean of points (m, D), rounded to a few bits of their extent, so that subtracting it from them is exact."""
    mean: Floats = points.mean(axis=0)
    extent = float(np.abs(points - mean).max())
    if not extent:
        return mean
    step = 2.0 ** max(np.ceil(np.log2(extent)), -1000.0)
    rounded: Floats = np.rint(mean / step) * step
    return rounded
