"""Verification: are two images of one class? Measured on pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import ClassIndex, random_words
from netforge.device.random import RandomStream
from netforge.errors import DataError, SettingsError, ShapeError
from netforge.metric.arrays import Flags, Floats, Integers, as_labels, as_numbers, as_points, check_least
from netforge.metric.curves import Roc, as_flags, roc
from netforge.metric.distances import BLOCK_BYTES

MOST_PAIRS = 2_000_000


@dataclass(frozen=True)
class Pairs:
    """Pairs of images: their numbers (p,) and (p,), whether they are of one class (p,), and whether these are all."""

    first: Integers
    second: Integers
    same: Flags
    complete: bool


@dataclass(frozen=True)
class Verification:
    """What pairs show.

    roc, with auc, eer and eer_threshold: see `Roc`. threshold: the one given, or where most pairs are decided rightly.
    accuracy: the share of all pairs that are decided rightly there. true_accepts, false_accepts: the rates there.
    same, different: numbers of pairs.
    """

    roc: Roc
    threshold: float
    accuracy: float
    true_accepts: float
    false_accepts: float
    same: int
    different: int


def verification(distances: npt.ArrayLike, same: npt.ArrayLike, *, threshold: float | None = None) -> Verification:
    """Measure how well distances (p,) of pairs tell pairs of one class (`same` 1) from others (0).

    A pair is accepted where its distance is at most `threshold`. Raises DataError where all pairs are of one kind,
    SettingsError for a threshold that is not finite.
    """
    if threshold is not None and not np.isfinite(threshold):
        raise SettingsError(f"the threshold is {threshold}", mend="give a distance")
    curve = roc(distances, same)
    flags = as_flags(same, np.size(same))
    count, positive = len(flags), int(flags.sum())
    if threshold is None:
        right = curve.true_accepts * positive + (1 - curve.false_accepts) * (count - positive)
        threshold = _between(curve.thresholds, int(np.argmax(right)))
    true_accepts, false_accepts = curve.at(threshold)
    accuracy = (true_accepts * positive + (1 - false_accepts) * (count - positive)) / count
    return Verification(curve, threshold, accuracy, true_accepts, false_accepts, positive, count - positive)


def _between(thresholds: Floats, place: int) -> float:
    """Half way to the next distance, where there are distances on both sides."""
    if place == 0:
        return float(np.nextafter(thresholds[1], -np.inf))
    return float(thresholds[place : place + 2].mean())


def choose_pairs(labels: npt.ArrayLike, *, most: int = MOST_PAIRS, seed: int = 0) -> Pairs:
    """All pairs of images, or where that were more than `most`, that many of them at random.

    Then half are of one class and half of two, all equally likely, drawn with replacement; where there are fewer pairs
    of one class than that, each of them is taken once. The rates of `Verification` mean the same either way; accuracy
    is that of the pairs chosen.

    labels: (n,) integers. Raises DataError where all images are of one class, or no two are.
    """
    values = as_labels(labels, np.size(labels))
    check_least("the number of pairs", most, 2)
    classes = ClassIndex(values)
    if len(classes.labels) < 2 or int(classes.sizes.max()) < 2:
        found = "all images are of one class" if len(classes.labels) < 2 else "no two images are of one class"
        raise DataError(f"{found}, so pairs of one class and of two cannot be told apart")
    if len(values) * (len(values) - 1) // 2 <= most:
        first, second = np.triu_indices(len(values), 1)
        return Pairs(first, second, values[first] == values[second], True)
    stream = RandomStream(seed, "pairs")
    same = _same_pairs(classes, most // 2, stream)
    different = _draw(classes, (len(values) - classes.sizes)[classes.class_of], most - len(same[0]), stream, 2)
    flags = np.repeat([True, False], [len(same[0]), len(different)])
    other = classes.different(different, random_words(stream, 3, len(different)))
    return Pairs(np.append(same[0], different), np.append(same[1], other), flags, False)


def _same_pairs(classes: ClassIndex, most: int, stream: RandomStream) -> tuple[Integers, Integers]:
    """All pairs of one class, or `most` of them."""
    if int((classes.sizes * (classes.sizes - 1) // 2).sum()) <= most:
        parts = []
        for start, size in zip(classes.starts, classes.sizes, strict=True):
            first, second = np.triu_indices(size, 1)
            parts.append((classes.order[start + first], classes.order[start + second]))
        return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])
    drawn = _draw(classes, (classes.sizes - 1)[classes.class_of], most, stream, 0)
    return drawn, classes.same(drawn, random_words(stream, 1, most))


def _draw(classes: ClassIndex, weights: Integers, count: int, stream: RandomStream, position: int) -> Integers:
    """`count` image numbers, each as likely as its weight says."""
    edges = np.cumsum(weights)
    uniform = (random_words(stream, position, count) >> np.uint64(11)) * 2.0**-53
    drawn: Integers = np.minimum(np.searchsorted(edges, uniform * edges[-1], side="right"), len(edges) - 1)
    return drawn


def pair_distances(embeddings: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """|x_i - x_j|^2 of the pairs (i, j) in `first` and `second` (p,), of embeddings (n, D); (p,) float64.

    In bounded memory. Raises DataError for numbers that no embedding has.
    """
    points = as_points(embeddings)
    a, b = as_numbers(first, len(points), "first"), as_numbers(second, len(points), "second")
    if len(a) != len(b):
        raise ShapeError(f"first has {len(a)} numbers, second {len(b)}")
    distances = np.empty(len(a))
    step = max(1, BLOCK_BYTES // points[0].nbytes)
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        apart = points[a[rows]]
        apart -= points[b[rows]]
        distances[rows] = np.einsum("nd,nd->n", apart, apart)
    return distances
