"""What all measures ask of the arrays they are given: one home for their checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError, ShapeError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
LARGEST_NUMBER = float(1 << 53)  # up to here floats hold all whole numbers


def as_points(values: npt.ArrayLike, name: str = "embeddings") -> Floats:
    """`values` as points (n, D) in float64, later axes flattened.

    Raises ShapeError where there are no points or no numbers, DataError for NaN and infinity.
    """
    array = _as_array(values, name)
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
    """`values` as integers (count,), at least one; raises ShapeError for another number, DataError for fractions."""
    array = _as_array(values, name)
    if not count:
        raise ShapeError(f"there are no {name}")
    if array.shape not in ((count,), (count, 1)) or array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} have shape {array.shape} and type {array.dtype}, expected ({count},) integers")
    flat = array.reshape(-1)
    whole = (np.abs(flat) < LARGEST_NUMBER) & (flat == np.floor(flat)) if array.dtype.kind == "f" else flat == flat
    if not whole.all() or (array.dtype.kind == "u" and flat.max() > np.iinfo(np.int64).max):
        raise DataError(f"{name} are no whole numbers, or too large", mend="number the classes 0, 1, 2 and so on")
    return flat.astype(np.int64)


def as_numbers(values: npt.ArrayLike, limit: int, name: str) -> Integers:
    """`values` (p,) as numbers of items 0 .. limit - 1; raises DataError for others."""
    numbers = as_labels(values, np.size(values), name)
    if numbers.min() < 0 or numbers.max() >= limit:
        raise DataError(f"{name} holds numbers from {numbers.min()} to {numbers.max()}, expected 0 to {limit - 1}")
    return numbers


def _as_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"{name} are no array of numbers", mend="give rows of one length") from error


def check_size(a: Floats, b: Floats, names: tuple[str, str]) -> None:
    """Raise ShapeError where two sets of points (n, D) and (m, E) have another number of dimensions."""
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"{names[0]} have {a.shape[1]} dimensions, {names[1]} {b.shape[1]}")


def check_least(name: str, value: int, least: int = 1) -> None:
    """Raise SettingsError where a setting is below `least`."""
    if value < least:
        raise SettingsError(f"{name} is {value}", mend=f"give {least} or more")
