"""Drawing some of the images of each label: sub-sets, and the split of a set into training and testing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import permutation, random_words
from netforge.device.random import RandomStream
from netforge.errors import DataError, SettingsError


def draw(labels: npt.NDArray[np.int64], among: npt.NDArray[np.bool_], most: int, seed: int) -> npt.NDArray[np.bool_]:
    """Choose at most `most` of the images `among` of each label, all equally likely; a mask over all images (count,).

    Which ones depends on the seed, the label and the images of that label alone.
    """
    return _drawn(labels, among, seed, lambda size: most)


def split(name: str, labels: npt.NDArray[np.int64], testing: float, seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """Names of sources to the numbers of their images, of those with these labels (count,).

    testing: share of each label, rounded, that goes into NAME.testing, the others into NAME.training, drawn as `draw`
    does; with 0 all are in NAME.

    Raises DataError where no image is left for one of them, SettingsError where the share is none from 0 to below 1.
    """
    if not 0 <= testing < 1:
        raise SettingsError(f"testing is {testing}", mend="give a share from 0 to below 1")
    if not testing:
        return {name: np.arange(len(labels))}
    chosen = _drawn(labels, np.ones(len(labels), np.bool_), seed, lambda size: round(size * testing))
    parts = {f"{name}.training": np.flatnonzero(~chosen), f"{name}.testing": np.flatnonzero(chosen)}
    for part, rows in parts.items():
        if not len(rows):
            raise DataError(f'no image is left for source "{part}"', mend="choose another share")
    return parts


def _drawn(
    labels: npt.NDArray[np.int64], among: npt.NDArray[np.bool_], seed: int, size_of: Callable[[int], int]
) -> npt.NDArray[np.bool_]:
    """Choose `size_of` as many images as there are of a label."""
    rows = np.flatnonzero(among)
    rows = rows[np.argsort(labels[rows], kind="stable")]
    found, starts = np.unique(labels[rows], return_index=True)
    chosen = np.zeros(len(labels), np.bool_)
    stream = RandomStream(seed, "copy")
    for label, own in zip(found.tolist(), np.split(rows, starts[1:]), strict=True):
        drawn = permutation(random_words(stream, label % (1 << 32), len(own)))
        chosen[own[drawn[: size_of(len(own))]]] = True
    return chosen
