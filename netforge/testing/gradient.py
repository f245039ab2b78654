"""Gradients of a layer against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.schema import LayerDefinition
from netforge.testing.cases import Array, LayerRun

SMALL = 100
"""Blobs with more elements than this are checked along random directions, not element by element."""
DIRECTIONS = 8
STEP = 1e-6


def check_gradient(
    layer: str | LayerDefinition,
    inputs: Sequence[npt.ArrayLike],
    *,
    phase: str = "TRAIN",
    tolerance: float = 1e-5,
    zero_gradient: tuple[int, ...] = (),
    seed: int = 1,
) -> None:
    """Compare a layer's gradients with central differences in float64.

    The objective is a sum of all top values, each with a random factor. For each bottom that can get a gradient and
    each learnable weight: max |analytic - numeric| <= tolerance * max |numeric|, so a backward that writes zeros fails.
    Elements are changed one by one, in blobs of more than 100 elements along random directions instead; where the
    differences to both sides disagree the point lies at a kink and is left out, up to a fifth of them.
    inputs: values of the bottoms, each of the shape (N, ...) that the layer takes. zero_gradient: bottoms whose
    gradient is zero by definition.
    Raises AssertionError with the blob and the worst element.
    """
    run = LayerRun(layer, inputs, phase=phase, seed=seed)
    rng = np.random.default_rng(seed)
    factors = [rng.uniform(0.5, 1.5, top.shape) * rng.choice([-1, 1], top.shape) for top in run.forward()]
    bottom_diffs, weight_diffs = run.backward(factors)

    def objective() -> float:
        return float(sum((factor * top).sum() for factor, top in zip(factors, run.forward(), strict=True)))

    for i, (blob, diff) in enumerate(zip(run.bottom, bottom_diffs, strict=True)):
        if diff is not None:
            _compare(objective, blob, diff, tolerance, rng, f'bottom {i} ("{blob.name}")', i in zero_gradient)
    for blob, diff in zip(run.learnable(), weight_diffs, strict=True):
        _compare(objective, blob, diff, tolerance, rng, f"weight {blob.name}", False)


def _compare(
    objective: Callable[[], float],
    blob: Blob,
    analytic: Array,
    tolerance: float,
    rng: np.random.Generator,
    what: str,
    zero: bool,
) -> None:
    """Compare one blob's gradient along each unit vector, or along random directions."""
    elementwise = blob.count <= SMALL
    directions = range(blob.count) if elementwise else range(DIRECTIONS)
    flat = analytic.reshape(-1)
    assert np.isfinite(flat).all(), f"{what}: backward gives NaN or infinity"
    slopes, kinks = [], 0
    for number in directions:
        direction = np.zeros(blob.count)
        if elementwise:
            direction[number] = 1
        else:
            direction = rng.standard_normal(blob.count)
        numeric, smooth = _slope(objective, blob, direction.reshape(blob.shape))
        kinks += not smooth
        if smooth:
            slopes.append((numeric, float(flat @ direction), number))
    assert kinks <= len(directions) / 5, (
        f"{what}: {kinks} of {len(directions)} points lie at a kink; choose other values"
    )
    largest = max((abs(numeric) for numeric, _, _ in slopes), default=0.0)
    if zero:
        assert largest < 1e-6 and not flat.any(), f"{what}: the gradient should be zero"
        return
    assert largest > 1e-6, f"{what}: the gradient is zero everywhere, which tests nothing; choose other values"
    error, numeric, got, number = max((abs(n - a), n, a, number) for n, a, number in slopes)
    place = np.unravel_index(number, blob.shape) if elementwise else f"direction {number}"
    assert error <= tolerance * largest, (
        f"{what} at {tuple(map(int, place)) if elementwise else place}: backward gives {got:.8g}, "
        f"finite differences {numeric:.8g} (largest gradient {largest:.3g})"
    )


def _slope(objective: Callable[[], float], blob: Blob, direction: Array) -> tuple[float, bool]:
    """The derivative along a direction, and whether both sides agree on it."""
    kept = blob.data.copy()
    step = STEP * max(1.0, float(np.abs(kept).max(initial=0)))
    values = []
    for shift in (-step, 0.0, step):
        blob.data[...] = kept + shift * direction
        values.append(objective())
        blob.data[...] = kept
    before, here, after = values
    left, right = (here - before) / step, (after - here) / step
    return (after - before) / (2 * step), abs(left - right) <= 1e-2 * max(abs(left), abs(right)) + 1e-3
