"""Unknown classes: from which distance on an image is of no class that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError, counted
from netforge.metric.arrays import Floats, as_labels, as_points, check_size
from netforge.metric.curves import roc


@dataclass(frozen=True)
class Calibration:
    """A threshold on the distance to the nearest class, and what it does to the images it was found with.

    threshold: an image further away than this from every class is unknown. wanted_rate: the false-accept rate asked
    for. false_accepts: the share of unknown images at or below the threshold, at most wanted_rate. true_accepts: the
    share of known images that are accepted. accuracy: the share of known images whose nearest class is their own.
    correct: the share of them that is accepted and right. auc: of nearest distances, known against unknown. known,
    unknown: numbers of images.
    """

    threshold: float
    wanted_rate: float
    false_accepts: float
    true_accepts: float
    accuracy: float
    correct: float
    auc: float
    known: int
    unknown: int


def calibrate(
    distances: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_labels: npt.ArrayLike,
    unknown: npt.ArrayLike,
    *,
    false_accept_rate: float = 0.01,
) -> Calibration:
    """Find the highest threshold that accepts at most the given share of unknown images.

    An image is accepted where the distance to its nearest class is at most the threshold. The false-accept rate is the
    share of the unknown images that are accepted, whatever they are taken for.

    distances: (n, L) of known images to each class. labels: (n,) their classes. class_labels: (L,) the label of each
    column. unknown: (m, L) distances of images of no known class.

    Raises DataError where labels name no column, where there are too few unknown images to show such a rate, or where
    no known image would be accepted.
    """
    table, strange = as_points(distances, "distances"), as_points(unknown, "distances of unknown images")
    check_size(strange, table, ("unknown images", "known ones"))
    columns = as_labels(class_labels, table.shape[1], "class labels")
    truth = as_labels(labels, len(table))
    own = truth[:, None] == columns[None]
    if not own.any(axis=1).all():
        label = int(truth[np.argmin(own.any(axis=1))])
        raise DataError(f"label {label} is none of the known classes", mend="give such images as unknown ones")
    nearest, nearest_unknown = table.min(axis=1), strange.min(axis=1)
    threshold = accepting_threshold(nearest_unknown, false_accept_rate)
    accepted = nearest <= threshold
    if not accepted.any():
        raise DataError(
            f"at a false-accept rate of {false_accept_rate:g} no known image would be accepted either",
            mend="allow a higher rate, or train the net longer",
        )
    right = own[np.arange(len(table)), table.argmin(axis=1)]
    is_known = np.repeat([True, False], [len(nearest), len(nearest_unknown)])
    return Calibration(
        threshold,
        false_accept_rate,
        float((nearest_unknown <= threshold).mean()),
        float(accepted.mean()),
        float(right.mean()),
        float((accepted & right).mean()),
        roc(np.append(nearest, nearest_unknown), is_known).auc,
        len(table),
        len(strange),
    )


def accepting_threshold(unknown: Floats, rate: float) -> float:
    """The threshold that at most the share `rate` of the nearest distances (m,) of unknown images reach.

    It lies half way between the last distance that is accepted and the first that is not. Raises SettingsError where
    the rate is not between 0 and 1, DataError where m is too small to show it, or too many distances are equal.
    """
    if not 0 < rate < 1:
        raise SettingsError(f"the false-accept rate is {rate:g}", mend="give a share between 0 and 1, such as 0.01")
    ordered = np.sort(unknown)
    admitted = int(np.floor(rate * len(ordered) + 1e-9))
    if not admitted:
        raise DataError(
            f"{counted(len(ordered), 'unknown image')} cannot show a false-accept rate of {rate:g}",
            mend=f"give at least {int(np.ceil(1 / rate)):,} of them"
            + (f", or a rate of {1 / len(ordered):.4g} or more" if len(ordered) > 1 else ""),
        )
    refused = ordered[admitted]
    below = ordered[ordered < refused]
    if not len(below):
        raise DataError(
            f"more than {rate:.3g} of the unknown images have the same distance {refused:g}, the smallest of all",
            mend="look whether all embeddings are alike: training may have collapsed",
        )
    return float((below[-1] + refused) / 2)
