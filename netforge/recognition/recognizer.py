"""From images to classes: the nearest centroid, wherever it comes from, or the most probable class of a Softmax."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from netforge.data.source import Source
from netforge.data.store.writer import check_class_name
from netforge.errors import DataError, NetError, SettingsError, SnapshotError, counted, did_you_mean
from netforge.metric import UNKNOWN, centroids, squared_distances
from netforge.metric.arrays import Floats, Integers
from netforge.net.wiring import find_class
from netforge.recognition.answers import UNKNOWN_NAME, Answers, KnownClass
from netforge.recognition.embedder import Embedder, Progress, normalized
from netforge.recognition.embedder import Floats as Rows
from netforge.recognition.images import Images
from netforge.recognition.record import (
    Record,
    StoredClass,
    Threshold,
    one_at_a_time,
    read_record,
    record_path,
    write_record,
)


class Recognizer:
    """Names the class of images with an `Embedder`.

    Known classes are, in this order of preference: those of `source`, by the means of its embeddings; those that the
    record beside the weights keeps of a source (`netforge calibrate --centroids`); those of the net's Decode layer;
    those of its Softmax, where the net has no embedding. To all but the last come the enrolled ones.

    Distances are squared Euclidean ones to centroids (or what Decode's target makes of it); for a Softmax,
    1 - probability. rule: in words, what they are measured to. probabilities: whether it is a Softmax.

    Raises SnapshotError where the record does not fit, DataError where `source` does not.
    """

    def __init__(self, embedder: Embedder, *, source: Source | None = None, stored: bool = True) -> None:
        self.embedder = embedder
        self.record = read_record(embedder.weights)
        self._check_embedding()
        self._decode: str | None = None
        self._columns: npt.NDArray[np.int64] | None = None
        self.probabilities = False
        self.base = self._base_classes(source, stored)
        self._check_normalization()
        enrolled = [] if self.probabilities else [c for c in self.record.classes if c.enrolled]
        self._stored = [*self.base, *enrolled] if self._decode is None else enrolled
        self.classes = (*self._decoded_classes(), *(KnownClass(c.name, c.label) for c in self._stored))

    def __repr__(self) -> str:
        return f"Recognizer({self.embedder!r}, {counted(len(self.classes), 'class', 'classes')}, {self.rule})"

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the net."""
        self.embedder.close()

    def _check_embedding(self) -> None:
        """Take the embedding that stored classes are of, unless the caller named another."""
        known = self.record.embedding
        if known is None:
            return
        where = str(record_path(self.embedder.weights))
        blob = self.embedder.net.blobs.get(known)
        wide, kept = 0 if blob is None else int(np.prod(blob.shape[1:])), len(self.record.classes[0].centroid)
        if wide != kept:
            found = "is none in this net" if blob is None else f"has {wide}"
            raise SnapshotError(
                f'its classes are of {kept} numbers of blob "{known}", which {found}',
                where=where,
                mend="give the net that it was made with, or remove it and calibrate and enroll again",
            )
        if not self.embedder.named:
            self.embedder.use(known)
        if self.embedder.embedding != known:
            raise SnapshotError(
                f'its classes are stored by blob "{known}", not "{self.embedder.embedding}"',
                where=where,
                mend=f"use --layer {known}, or remove the record",
            )

    @property
    def normalizes(self) -> bool:
        """Whether embeddings are scaled to length 1; Decode takes them as they are."""
        return self.embedder.normalizes and self._decode is None

    def _check_normalization(self) -> None:
        if self._decode is not None and not self.probabilities and self.embedder.asked_to_normalize:
            raise NetError(
                "Decode keeps centroids of embeddings as they are, not scaled to length 1",
                mend="go without --normalize, or give a labelled source with --centroids",
            )
        if self.record.embedding is not None and self.record.normalized != self.normalizes:
            kept, asked = ("scaled to length 1", "as they are")[:: 1 if self.record.normalized else -1]
            raise SnapshotError(
                f"its classes are kept of embeddings {kept}, and now they are taken {asked}",
                where=str(record_path(self.embedder.weights)),
                mend="use the same options as before, or remove the record",
            )

    def _base_classes(self, source: Source | None, stored: bool) -> list[StoredClass]:
        """The classes that are not enrolled, as far as their centroids are not in the net; sets the rule."""
        if source is not None:
            self.rule = f"centroids of {source.name}"
            return class_centroids(self.embedder, source)
        kept = [c for c in self.record.classes if not c.enrolled]
        decode = next((x for x in self.embedder.net.layers if x.type == "Decode"), None)
        trained = decode is not None and decode.name in self.embedder.loaded
        if kept and (stored or not trained):
            self.rule = f"centroids of {kept[0].origin}"
            return kept
        softmax = self._output_of("Softmax")
        if trained:
            self._use_decode()
        elif softmax is not None and not self.embedder.has_embedding:
            self._decode, self.rule, self.probabilities = softmax, f"Softmax {softmax}", True
        else:
            self.rule = "enrolled classes"
        return []

    def _output_of(self, kind: str) -> str | None:
        """The first top of the last layer of a type."""
        for layer in reversed(self.embedder.net.definition.layers):
            if find_class(layer).type == kind:
                return str(layer.message.top[0])
        return None

    def _use_decode(self) -> None:
        """Take Decode's distances, of the classes that have centroids."""
        layer = next(x for x in self.embedder.net.layers if x.type == "Decode")
        host = self.embedder.net.device.to_host
        status, counts = (host(layer.weights[i].data).reshape(-1) for i in (1, 2))
        settings = layer.definition.settings("decode_param")
        ignored = np.isin(np.arange(len(counts)), list(settings.ignore_label))
        columns = np.flatnonzero(((counts > 0) | (status > 0)) & ~ignored)
        waiting = settings.target == settings.KNN and not status[columns].all()  # it gives zeros until all are ready
        if not len(columns) or waiting:
            raise SnapshotError(
                f'layer "{layer.name}" has not seen enough images of every class yet',
                where=str(self.embedder.weights),
                mend="train longer, or give a labelled source with --centroids",
            )
        measured = str(layer.definition.message.bottom[0])
        if self.embedder.embedding != measured:
            raise NetError(
                f'layer "{layer.name}" measures distances of "{measured}", not of "{self.embedder.embedding}"',
                where=str(self.embedder.weights),
                mend="take that embedding, or give a labelled source with --centroids",
            )
        self._decode, self._columns = self._output_of("Decode"), columns
        self.rule = f"Decode {layer.name}"

    def _decoded_classes(self) -> list[KnownClass]:
        if self._decode is None:
            return []
        if self._columns is None:
            width = int(np.prod(self.embedder.net.blobs[self._decode].shape[1:]))
            self._columns = np.arange(width)
        names = self.embedder.class_names
        return [KnownClass(names.get(label, str(label)), label) for label in self._columns.tolist()]

    # --- recognising -------------------------------------------------------------------------------------------------

    @property
    def threshold(self) -> Threshold | None:
        """The calibrated threshold; None where there is none. Raises SnapshotError where it is for other distances."""
        found = self.record.threshold
        if found is not None and found.rule != self.rule:
            raise SnapshotError(
                f"the threshold was calibrated for distances to {found.rule}, these are distances to {self.rule}",
                where=str(self.embedder.weights),
                mend="calibrate again, or go without a threshold",
            )
        return found

    def embed(self, images: Images, *, progress: Progress | None = None) -> Rows:
        """The embedding of each image as the embedder gives it, (n, D) float32; see `Embedder.run`."""
        return self.embedder.embed(images, progress=progress)

    def predict(
        self, images: Images, *, threshold: float | Literal["auto"] | None = "auto", progress: Progress | None = None
    ) -> npt.NDArray[np.str_]:
        """The name of the class of each image, (n,) texts; "unknown" where the nearest one is too far away.

        threshold: the largest (squared) distance of a known class; for a Softmax, 1 - its least probability. "auto": as
        calibrated, none where nothing was; None: every image is of a known class. Raises NetError where no class is
        known, and what `Embedder.run` raises.
        """
        if threshold == "auto":
            threshold = None if self.threshold is None else self.threshold.value
        answers = self.recognize(images, threshold=threshold, progress=progress)
        names = np.array([known.name for known in self.classes])
        return np.where(answers.accepted, names[answers.first], UNKNOWN_NAME)

    def distances(self, images: Images, *, progress: Progress | None = None) -> Floats:
        """The distance of each image to each of `classes`, (n, L) float64; raises NetError where no class is known."""
        if not self.classes:
            raise NetError(
                "no class is known: the net has neither a trained Decode nor a Softmax, and none is enrolled",
                where=str(self.embedder.weights),
                mend="give a labelled source with --centroids, or enroll classes with netforge enroll",
            )
        blobs = ([] if self._decode is None else [self._decode]) + ([self.embedder.embedding] if self._stored else [])
        values = self.embedder.run(images, blobs, progress=progress)
        parts = []
        if self._decode is not None:
            decoded = values[self._decode].astype(np.float64)[:, self._columns]
            parts.append(1 - decoded if self.probabilities else decoded)
        if self._stored:
            points = np.array([stored.centroid for stored in self._stored])
            rows: Rows = values[self.embedder.embedding]
            parts.append(squared_distances(normalized(rows) if self.normalizes else rows, points))
        return np.concatenate(parts, axis=1)

    def recognize(self, images: Images, *, threshold: float | None = None, progress: Progress | None = None) -> Answers:
        """The nearest class of each image; accepted where its distance is at most `threshold`, or all without one."""
        distances = self.distances(images, progress=progress)
        rows = np.arange(len(distances))
        order = np.argsort(distances, axis=1, kind="stable")[:, :2]
        first = order[:, 0]
        distance = distances[rows, first]
        if order.shape[1] > 1:
            second = order[:, 1]
            margin = distances[rows, second] - distance
        else:
            second, margin = np.full(len(rows), UNKNOWN), np.full(len(rows), np.inf)
        accepted = np.ones(len(rows), np.bool_) if threshold is None else distance <= threshold
        return Answers(distances, first, distance, second, margin, accepted)

    def labels_in(self, source: Source) -> Integers:
        """The label that each of `classes` has in a source, (L,): its number in training, or that of its name.

        Enrolled classes that the source does not name get numbers that no other class has.
        """
        named = {source.class_name(label): label for label in np.unique(source.labels).tolist()}
        taken = [c.label for c in self.classes if c.label is not None]
        free = max(*named.values(), *taken, 0, 0) + 1
        labels = []
        for known in self.classes:
            label = known.label if known.label is not None else named.get(known.name)
            if label is None:
                label, free = free, free + 1
            labels.append(label)
        return np.array(labels, np.int64)

    # --- keeping -----------------------------------------------------------------------------------------------------

    def enroll(self, name: str, images: Images, *, replace_it: bool = False) -> StoredClass:
        """Add a class by the mean embedding of a few images, and keep it beside the weights.

        Images for a class that is enrolled already move its centroid to the mean of all of them, unless `replace_it`.
        Raises SettingsError where the name is that of a class known from training, DataError where it cannot name a
        class, NetError for a Softmax.
        """
        check_class_name(name)
        if name == UNKNOWN_NAME:
            raise SettingsError(f'"{name}" is what images of no known class are called', mend="choose another name")
        if self.probabilities:
            raise NetError(
                "the net ends in Softmax, whose classes are fixed",
                mend="name the layer that gives embeddings with --layer; calibrate --centroids keeps the other classes",
            )
        if name in {known.name for known in self._decoded_classes()} | {stored.name for stored in self.base}:
            raise SettingsError(f'class "{name}" is known from training', mend="choose another name")
        rows: Rows = self.embedder.run(images, [self.embedder.embedding])[self.embedder.embedding]
        points = (normalized(rows) if self.normalizes else rows).astype(np.float64)
        total, count = points.sum(axis=0), len(points)
        with self._changing():
            known = next((c for c in self.record.classes if c.name == name and c.enrolled), None)
            if known is not None and not replace_it:
                total, count = total + np.array(known.centroid) * known.count, count + known.count
            added = StoredClass(name, None, None, count, tuple((total / count).tolist()))
            self._keep(self._with((*(c for c in self.record.classes if c is not known), added)))
        return added

    def forget(self, name: str) -> None:
        """Drop an enrolled class; raises SettingsError where there is none of that name."""
        with self._changing():
            enrolled = [c.name for c in self.record.classes if c.enrolled]
            if name not in enrolled:
                some = "enrolled are others, see FILE.recognition.json" if enrolled else "none is"
                raise SettingsError(f'no class "{name}" is enrolled', mend=did_you_mean(name, enrolled) or some)
            self._keep(self._with(tuple(c for c in self.record.classes if not (c.enrolled and c.name == name))))

    def keep_calibration(self, threshold: Threshold) -> None:
        """Keep a threshold beside the weights, with the centroids of the source that it is for, if there is one."""
        with self._changing():
            enrolled = tuple(c for c in self.record.classes if c.enrolled)
            self._keep(replace(self._with((*self.base, *enrolled)), threshold=threshold))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the record: what others have changed since it was read stays, and nobody changes it meanwhile."""
        weights = self.embedder.weights
        with one_at_a_time(weights):
            self.record = found = read_record(weights)
            if found.embedding not in (None, self.embedder.embedding if self.embedder.has_embedding else None):
                raise SnapshotError(
                    f'it was changed meanwhile, and keeps classes of blob "{found.embedding}" now',
                    where=str(record_path(weights)),
                    mend="try again",
                )
            self._check_normalization()
            yield

    def _with(self, classes: tuple[StoredClass, ...]) -> Record:
        """The record with these classes in place of those it has."""
        if not classes:
            return replace(self.record, embedding=None, normalized=False, classes=())
        return replace(self.record, embedding=self.embedder.embedding, normalized=self.normalizes, classes=classes)

    def _keep(self, record: Record) -> None:
        write_record(self.embedder.weights, record)
        self.record = record


def class_centroids(embedder: Embedder, source: Source) -> list[StoredClass]:
    """The mean embedding (D,) of every class of a source; raises DataError where a label is negative."""
    if source.labels.min() < 0:
        raise DataError(f"a label is {int(source.labels.min())}", where=source.name, mend="number classes from 0")
    made = centroids(embedder.embed(source), source.labels)
    return [
        StoredClass(source.class_name(label), label, source.name, count, tuple(point))
        for label, count, point in zip(made.labels.tolist(), made.counts.tolist(), made.points.tolist(), strict=True)
    ]
