"""Unknown classes: from which distance on an image is of no class that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError, ShapeError
from netforge.metric.arrays import Floats, as_labels, as_points
from netforge.metric.curves import roc


@dataclass(frozen=True)
class Calibration:
    """A threshold on the distance to the nearest class, and what it does to the images it was found with.

    threshold: an image further away than this from every class is unknown. wanted_rate: the false-accept rate asked
    for. false_accepts: the share of impostors at or below the threshold, at most wanted_rate. true_accepts: the share
    of known images that are accepted. accuracy: the share of known images whose nearest class is their own.
    correct: the share that is accepted and right. auc: of nearest distances, known against impostors. known,
    impostors: numbers of images. simulated: whether the impostors are the known images without their own class.
    """

    threshold: float
    wanted_rate: float
    false_accepts: float
    true_accepts: float
    accuracy: float
    correct: float
    auc: float
    known: int
    impostors: int
    simulated: bool


def calibrate(
    distances: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_labels: npt.ArrayLike,
    *,
    unknown: npt.ArrayLike | None = None,
    false_accept_rate: float = 0.01,
) -> Calibration:
    """Find the threshold that accepts at most the given share of impostors, and as many known images as that allows.

    distances: (n, L) of known images to each class. labels: (n,) their classes. class_labels: (L,) the label of each
    column. unknown: (m, L) distances of images of no known class: an impostor is one of them, accepted where its
    nearest class is within the threshold. Without them, each known image plays an impostor with its own class taken
    away: it is accepted where the nearest *other* class is within the threshold. As training pushed just these classes
    apart, truly unknown images come nearer, and more of them will be accepted than the rate says.

    Raises DataError where labels name no column, where there are too few impostors to show such a rate, or no threshold
    separates anything.
    """
    table = as_points(distances, "distances")
    columns = as_labels(class_labels, table.shape[1], "class labels")
    truth = as_labels(labels, len(table))
    own = truth[:, None] == columns[None]
    if not own.any(axis=1).all():
        strange = int(truth[np.argmin(own.any(axis=1))])
        raise DataError(f"label {strange} is none of the known classes", mend="give such images as unknown ones")
    impostors = impostor_distances(table, own) if unknown is None else _nearest(unknown, table.shape[1])
    threshold = accepting_threshold(impostors, false_accept_rate)
    nearest = table.min(axis=1)
    right = np.take_along_axis(own, table.argmin(axis=1)[:, None], axis=1)[:, 0]
    accepted = nearest <= threshold
    if not accepted.any():
        raise DataError(
            f"at a false-accept rate of {false_accept_rate:g} no known image would be accepted either",
            mend="allow a higher rate, or train the net longer",
        )
    curve = roc(np.append(nearest, impostors), np.repeat([True, False], [len(nearest), len(impostors)]))
    return Calibration(
        threshold,
        false_accept_rate,
        float((impostors <= threshold).mean()),
        float(accepted.mean()),
        float(right.mean()),
        float((accepted & right).mean()),
        curve.auc,
        len(table),
        len(impostors),
        unknown is None,
    )


def impostor_distances(distances: Floats, own: npt.NDArray[np.bool_]) -> Floats:
    """The distance (n,) of each image to the nearest class other than its own; `own` (n, L) says which that is.

    Raises DataError where there is one class only.
    """
    if distances.shape[1] < 2:
        raise DataError(
            "with one known class no image can play an impostor", mend="give images of unknown classes as well"
        )
    nearest: Floats = np.where(own, np.inf, distances).min(axis=1)
    return nearest


def _nearest(unknown: npt.ArrayLike, classes: int) -> Floats:
    table = as_points(unknown, "distances of unknown images")
    if table.shape[1] != classes:
        raise ShapeError(f"unknown images have distances to {table.shape[1]} classes, known ones to {classes}")
    nearest: Floats = table.min(axis=1)
    return nearest


def accepting_threshold(impostors: Floats, rate: float) -> float:
    """The threshold that at most the share `rate` of the impostors' distances (n,) reach.

    It lies half way between the last distance that is accepted and the first that is not. Raises SettingsError where
    the rate is not between 0 and 1, DataError where n is too small to show it.
    """
    if not 0 < rate < 1:
        raise SettingsError(f"the false-accept rate is {rate:g}", mend="give a share between 0 and 1, such as 0.01")
    ordered = np.sort(impostors)
    admitted = int(np.floor(rate * len(ordered) + 1e-9))
    if not admitted:
        raise DataError(
            f"{len(ordered)} impostors cannot show a false-accept rate of {rate:g}",
            mend=f"give at least {int(np.ceil(1 / rate))} images, or a rate of {1 / len(ordered):.2g} or more",
        )
    refused = ordered[admitted]
    below = ordered[ordered < refused]
    if not len(below):
        raise DataError(
            f"more than {rate:.3g} of the impostors have the same distance {refused:g}, the smallest of all",
            mend="look whether all embeddings are alike: training may have collapsed",
        )
    return float((below[-1] + refused) / 2)
