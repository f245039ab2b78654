"""How triplets of embeddings are judged: by distances and a margin, hard or soft.

A triplet costs f(z), z = margin + distance to the positive - distance to the negative, where f(z) is max(z, 0), or
log(1 + e^z) for the soft margin; it is active where z > 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any

TALLY = 7
COST, ACTIVE, COUNTED, POSITIVE_SUM, NEGATIVE_SUM, POSITIVES, NEGATIVES = range(TALLY)
"""Columns of a tally."""

LEAST_DISTANCE = 1e-8
"""The gradient of a Euclidean distance divides by no less than this: finite, and 0 at distance 0."""


@dataclass(frozen=True)
class TripletRule:
    """How distances are measured and triplets judged.

    margin: how much farther than the positive a negative should be; 0 with `soft`. soft: log(1 + e^z) in the place of
    max(z, 0). euclidean: the distance is the root of the sum of squares, not that sum. factor: on the sum of squares;
    1/2 makes it the cosine distance of vectors of length 1.
    """

    margin: float = 1.0
    soft: bool = False
    euclidean: bool = False
    factor: float = 1.0


def finish_distances(squares: Array, rule: TripletRule) -> None:
    """Turn sums of squares into distances, in place."""
    if rule.euclidean:
        np.sqrt(squares, out=squares)
    elif rule.factor != 1:
        squares *= rule.factor


def steepness(distances: Array, rule: TripletRule) -> Array:
    """The factor on x - y in the gradient of each distance by x."""
    if rule.euclidean:
        return (distances > 0) / np.maximum(distances, LEAST_DISTANCE)
    return np.full_like(distances, 2 * rule.factor)


def judge(z: Array, rule: TripletRule) -> tuple[Array, Array]:
    """Cost f(z) and slope f'(z)."""
    above = np.maximum(z, 0)
    if not rule.soft:
        return above, (z > 0).astype(z.dtype)
    power = np.exp(-np.abs(z))
    power += 1
    above += np.log(power)
    slope = 1 / power  # of |z|
    slope -= 0.5
    slope = np.copysign(slope, z)
    slope += 0.5
    return above, slope
