"""Labels that a trained net gives to images, and how sure it is of them."""

from __future__ import annotations

import numpy as np

from netforge.data.care.copying import AutoLabels
from netforge.data.source import Source
from netforge.errors import DataError
from netforge.metric.arrays import Floats
from netforge.recognition.answers import Answers
from netforge.recognition.embedder import Progress
from netforge.recognition.recognizer import Recognizer


def confidences(recognizer: Recognizer, answers: Answers) -> Floats:
    """How sure the answers of a recognizer are, (n,), from 0 to 1.

    For a Softmax it is the probability of the class. For distances it is 1 - d1 / d2, where d1 is the distance to the
    nearest class as `recognize` gives it and d2 that to the next: 1 on a centroid, 0 midway between two. It does not
    depend on the scale of the embedding. Raises DataError where only one class is known, which has no next one.
    """
    if recognizer.probabilities:
        return 1 - answers.distance
    if len(recognizer.classes) < 2:
        raise DataError(
            "one class alone is known, so nothing can be said of how sure it is",
            where=str(recognizer.embedder.weights),
            mend="give a labelled source of several classes with --centroids",
        )
    next_distance = answers.distance + answers.margin
    sure: Floats = np.divide(answers.margin, next_distance, out=np.zeros(len(next_distance)), where=next_distance > 0)
    return sure


def auto_labels(
    recognizer: Recognizer,
    images: Source,
    *,
    least_confidence: float = 0.0,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> AutoLabels:
    """The label of the nearest or most probable class of each image.

    Sure are those whose confidence (see `confidences`) is `least_confidence` or more and, with a threshold, whose
    distance is within it. An enrolled class has the label that `images` know its name by, or a new one.
    """
    answers = recognizer.recognize(images, threshold=threshold, progress=progress)
    sure = answers.accepted & (confidences(recognizer, answers) >= least_confidence)
    class_labels = recognizer.labels_in(images)
    names = {label: known.name for label, known in zip(class_labels.tolist(), recognizer.classes, strict=True)}
    return AutoLabels(class_labels[answers.first], sure, names)
