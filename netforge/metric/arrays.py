"""What all measures ask of the arrays they are given: one home for their checks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError, ShapeError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def as_points(values: npt.ArrayLike, name: str = "embeddings") -> Floats:
    """`values` as points (n, D) in float64, later axes flattened.

    Raises ShapeError where there are no points or no numbers, DataError for NaN and infinity.
    """
    array = np.asarray(values)
    if array.ndim < 2 or not array.size or array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} have shape {array.shape} and type {array.dtype}, expected numbers (n, D)")
    points: Floats = array.reshape(len(array), -1).astype(np.float64)
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{name}[{int(np.argmin(finite))}] holds NaN or infinity", mend="look at the weights that made it"
        )
    return points


def as_labels(values: npt.ArrayLike, count: int, name: str = "labels") -> Integers:
    """`values` as `count` integers, at least one; raises ShapeError for another number, DataError for fractions."""
    array = np.asarray(values)
    if not count or array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} have shape {array.shape} and type {array.dtype}, expected ({count},) integers")
    labels = array.reshape(-1).astype(np.int64)
    if not np.array_equal(labels, array.reshape(-1)):
        raise DataError(f"{name} are no whole numbers", mend="number the classes 0, 1, 2, ...")
    return labels


def check_size(a: Floats, b: Floats, names: tuple[str, str]) -> None:
    """Raise ShapeError where two sets of points have another number of dimensions."""
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"{names[0]} have {a.shape[1]} dimensions, {names[1]} {b.shape[1]}")


def check_least(name: str, value: int, least: int = 1) -> None:
    """Raise SettingsError where a setting is below `least`."""
    if value < least:
        raise SettingsError(f"{name} is {value}", mend=f"give {least} or more")
