"""The prototypical loss: a batch as an episode of few-shot learning."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netforge.blob import Blob
from netforge.device.operations.prototypical import PrototypeRule
from netforge.errors import DataError
from netforge.layers.axes import labelled_batch, rows, scalar
from netforge.layers.base import Layer, register_layer, slots
from netforge.layers.collapse import CollapseWatch
from netforge.layers.directions import Directions


@register_layer("PrototypicalLoss", settings="prototypical_loss_param")
class PrototypicalLoss(Layer):
    """Asks each query to lie nearest to the prototype of its class (Snell, Swersky and Zemel, NeurIPS 2017).

    The first `shots` images of each class, in the order of the batch, are its support, and the mean of their embeddings
    is its prototype; all others are queries. A query costs -log softmax(-distance / temperature) at its class, over the
    prototypes of all classes in the batch; the loss is the mean over queries. Gradients go to queries and support.
    distance SQUARED: sum of squared differences; COSINE: 1 - cosine.

    Give it batches of several classes with more than `shots` images of each: data_param { batch_classes batch_images }.
    Labels (only column 0 counts) may be any numbers. A class without queries, and a batch of one class, are errors.

    Two more tops show how training goes: the share of queries whose own prototype is the nearest, and the mean distance
    to the own prototype and to the nearest other one. They get no gradient. Embeddings that collapse are reported once
    where the solver displays.
    """

    bottoms = slots("embedding (N, D...)", "labels (N, 1 or more)")
    tops = slots(
        "loss scalar", optional=("accuracy scalar", "distances (2,), means to own and to nearest other prototype")
    )
    is_loss = True
    blocked_bottoms = (1,)
    replayable = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Turn the settings into a rule."""
        s = self.settings
        self.normalizes = s.distance == s.COSINE
        self.rule = PrototypeRule(s.temperature, 0.5 if self.normalizes else 1.0)
        self.targets, self.shares, self.absent = map(self.buffer, ("targets", "shares", "absent"))
        self.prototypes, self.dprototypes = self.buffer("prototypes"), self.buffer("prototypes' gradient")
        self.distances, self.probabilities = self.buffer("distances"), self.buffer("probabilities")
        self.queries, self.means = self.buffer("queries"), self.buffer("means")
        self.measured = [Directions(self, name, normalize=self.normalizes) for name in ("x", "prototypes")]
        self.watch: CollapseWatch | None = None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Room for as many classes as a batch of this size can hold."""
        labelled_batch(self, bottom)
        items, size = bottom[0].shape[0], math.prod(bottom[0].shape[1:])
        classes = items // (self.settings.shots + 1)
        if classes < 2:
            raise self.fail(
                f"a batch of {items} images is too small for two classes of {self.settings.shots} shots and a query",
                mend="make the batch larger: data_param { batch_classes batch_images }",
            )
        self.targets.reshape(items)
        self.shares.reshape(classes, items)
        self.absent.reshape(classes)
        for blob in (self.prototypes, self.dprototypes):
            blob.reshape(classes, size)
        for blob in (self.distances, self.probabilities):
            blob.reshape(items, classes)
        self.queries.reshape(1)
        self.means.reshape(2)
        for directions, count in zip(self.measured, (items, classes), strict=True):
            directions.reshape(count, size)
        for blob, shape in zip(top, ((), (), (2,)), strict=False):
            blob.reshape(shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Make the prototypes, then judge the queries."""
        x, prototypes, shares = rows(bottom[0].data), self.prototypes.data, self.shares.data
        self._split(bottom[1])
        self.ops.matmul(shares, x, prototypes)
        x, prototypes = (held.forward(values) for held, values in zip(self.measured, (x, prototypes), strict=True))
        self.ops.centroid_distances(x, prototypes, self.distances.data, self.absent.data)
        self.ops.prototypical_forward(
            self.distances.data,
            self.targets.data,
            self.probabilities.data,
            self.queries.data,
            scalar(top[0].data),
            scalar(top[1].data) if len(top) > 1 else None,
            self.means.data,
            self.rule,
        )
        if len(top) > 2:
            self.ops.copy(self.means.data, top[2].data)

    def _split(self, labels: Blob) -> None:
        """Tell support from queries; an asynchronous device keeps what is wrong with the batch in a report."""
        report = self.report("episode")
        report.explain = self._explain
        found = self.ops.split_episode(
            rows(labels.data), self.settings.shots, self.targets.data, self.shares.data, self.absent.data, report.array
        )
        if found >= 0:
            report.settle()

    def _explain(self, index: int, label: float) -> Exception:
        """The error for item `index`, whose class has too few images, or, beyond the batch, for one class only."""
        items, shots = self.targets.shape[0], self.settings.shots
        found = f"all {items} images of the batch are of class {label:g}: there is nothing to tell apart"
        if index < items:
            found = (
                f"class {label:g} (item {index}) has no query: the batch of {items} holds {shots} or fewer images of "
                f"it, and shots: {shots} takes as many for its prototype"
            )
        mend = f"give batches of several classes: data_param {{ batch_classes: 20 batch_images: {2 * shots} }}"
        return self.fail(found, error=DataError, mend=mend)

    def backward(self, top: list[Blob], propagate_down: Sequence[bool], bottom: list[Blob]) -> None:
        """Pull queries and support of a class together, and others apart."""
        if not propagate_down[0]:
            return
        dx, dprototypes, slopes = rows(bottom[0].diff), self.dprototypes.data, self.distances.data
        judged = (self.probabilities.data, self.targets.data, self.queries.data)
        self.ops.prototypical_backward(*judged, scalar(top[0].diff), slopes, self.rule)
        pairs = zip(self.measured, (rows(bottom[0].data), self.prototypes.data), strict=True)
        x, prototypes = (held.again(values) for held, values in pairs)
        self.ops.squared_distances_backward(x, prototypes, slopes, dx, dprototypes)
        for held, diff in zip(self.measured, (dx, dprototypes), strict=True):
            held.backward(diff)
        self.ops.matmul(self.shares.data, dprototypes, dx, transpose_a=True, accumulate=True)

    def diagnose(self, bottom: list[Blob], top: list[Blob]) -> str | None:
        """A collapse."""
        if self.watch is None:
            absent = self.device.to_host(self.absent.data)
            mend = "a lower temperature" if self.normalizes else ""
            self.watch = CollapseWatch(self.rule.temperature, math.log(max(2, len(absent) - absent.sum())), mend)
        within, between = self.device.to_host(self.means.data).tolist()
        return self.watch.look(within, between)
