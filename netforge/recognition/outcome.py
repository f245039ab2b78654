"""What a recognizer makes of labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from netforge.data.sources.image_set import ImageSet
from netforge.metric import UNKNOWN, Confusion, confusion, roc
from netforge.metric.arrays import Flags, Floats, Integers
from netforge.recognition.answers import UNKNOWN_NAME, Answers
from netforge.recognition.embedder import Progress
from netforge.recognition.recognizer import Recognizer


@dataclass(frozen=True)
class Outcome:
    """Answers to n labelled images.

    images: the images. labels: (n,) their own. predicted: (n,) the labels that they were given, UNKNOWN (-1) where
    refused. class_labels: (L,) labels of the known classes. answers: distances and all. threshold: the one that was
    applied, None for none.
    """

    images: ImageSet
    labels: Integers
    predicted: Integers
    class_labels: Integers
    answers: Answers
    threshold: float | None

    @cached_property
    def known(self) -> Flags:
        """Whether the class of each image is a known one, (n,)."""
        flags: Flags = np.isin(self.labels, self.class_labels)
        return flags

    @cached_property
    def right(self) -> Flags:
        """Whether each answer is right: the image's class, or, where that is not known, that it was refused."""
        flags: Flags = np.where(self.known, self.predicted == self.labels, self.predicted == UNKNOWN)
        return flags

    @cached_property
    def own_distances(self) -> Floats:
        """The distance of each image to its own class, (n,); NaN where that is not a known one."""
        labels, which = np.unique(self.labels, return_inverse=True)
        columns = np.array([np.argmax(self.class_labels == label) for label in labels.tolist()], np.int64)[which]
        distances: Floats = np.where(self.known, self.answers.distances[np.arange(len(which)), columns], np.nan)
        return distances

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())

    @property
    def closed_accuracy(self) -> float | None:
        """The share of images of known classes whose nearest class is their own; None where there are none."""
        nearest = self.class_labels[self.answers.first]
        return float((nearest == self.labels)[self.known].mean()) if self.known.any() else None

    def refused(self, images: npt.NDArray[np.bool_]) -> float:
        """The share of the flagged images that were refused as unknown."""
        return float((self.predicted == UNKNOWN)[images].mean())

    @property
    def auc(self) -> float | None:
        """Area under the curve of nearest distances, known against unknown; None where only one kind is there."""
        if self.known.all() or not self.known.any():
            return None
        return roc(self.answers.distance, self.known).auc

    @cached_property
    def confusion(self) -> Confusion:
        """Which classes were taken for which."""
        return confusion(self.labels, self.predicted)

    @cached_property
    def right_cells(self) -> Flags:
        """Which cells of `confusion` hold right answers: its class, or UNKNOWN where the class is not known."""
        table = self.confusion
        wanted = np.where(np.isin(table.labels, self.class_labels), table.labels, UNKNOWN)
        cells: Flags = wanted[:, None] == table.predicted[None]
        return cells

    @cached_property
    def class_accuracies(self) -> Floats:
        """The share of right answers for each of `confusion.labels`."""
        shares: Floats = (self.confusion.counts * self.right_cells).sum(axis=1) / self.confusion.totals
        return shares

    def class_name(self, label: int) -> str:
        """The name of a class of the images; `UNKNOWN_NAME` for UNKNOWN."""
        return UNKNOWN_NAME if label == UNKNOWN else self.images.class_name(label)


def recognize_labelled(
    recognizer: Recognizer, images: ImageSet, *, threshold: float | None = None, progress: Progress | None = None
) -> Outcome:
    """Recognise labelled images; those further than `threshold` from every class are refused as unknown."""
    answers = recognizer.recognize(images, threshold=threshold, progress=progress)
    class_labels = recognizer.labels_in(images)
    return Outcome(images, images.labels, answers.labels(class_labels), class_labels, answers, threshold)
