"""Operations: softmax, its losses, and the share of right answers among scores.

Scores are seen as (outer, classes, inner), labels as (outer, inner) of floats that hold whole numbers. `ignore` is a
label that does not count, or None. Scalars (losses, divisors, scales) are arrays of one element, so that no value has
to leave the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Probabilities are raised to this before their logarithm is taken, so that one item loses at most 87.3365."""


class SoftmaxOps:
    """NumPy reference of softmax, its losses, and accuracy."""

    def softmax_forward(self, x: Array, y: Array) -> None:
        """y = exp(x) / sum of exp(x) over axis 1, with the largest score subtracted first; x, y (outer, C, inner)."""
        np.subtract(x, x.max(axis=1, keepdims=True), out=y)
        np.exp(y, out=y)
        y /= y.sum(axis=1, keepdims=True)

    def softmax_backward(self, y: Array, dy: Array, dx: Array) -> None:
        """dx = y * (dy - sum of dy * y over axis 1)."""
        inner = np.einsum("ocp,ocp->op", dy, y)[:, None]
        np.subtract(dy, inner, out=dx)
        dx *= y

    def check_labels(self, labels: Array, classes: int, ignore: int | None = None, report: Array | None = None) -> int:
        """The flat index of the first label that is no whole number in [0, classes), -1 where all are right.

        Labels equal to `ignore` are right. report (2,): where it is given and holds zeros, it becomes 1 + that index
        and the label (float32 rounds indices above 2^24); an asynchronous device then answers -1 at once.
        """
        right = (labels >= 0) & (labels < classes)
        right &= labels == np.floor(labels)
        if ignore is not None:
            right |= labels == ignore
        if right.all():
            return -1
        index = int(np.argmin(right))
        report_first(report, index, labels.reshape(-1)[index])
        return index

    def count_labels(self, labels: Array, divisor: Array, ignore: int | None) -> None:
        """divisor[0] = the number of labels other than `ignore`, at least 1."""
        counted = labels.size if ignore is None else np.count_nonzero(labels != ignore)
        divisor[0] = max(1, counted)

    def softmax_loss_forward(self, p: Array, labels: Array, loss: Array, divisor: Array, ignore: int | None) -> None:
        """loss[0] = -sum of log max(p[label], FLT_MIN) over the labels that count, divided by divisor[0]."""
        chosen, counts = _at_labels(p, labels, ignore)
        losses = np.log(np.maximum(chosen, SMALLEST_PROBABILITY))
        loss[0] = -np.sum(losses, where=counts) / divisor[0]

    def softmax_loss_backward(
        self, p: Array, labels: Array, dx: Array, scale: Array, divisor: Array, ignore: int | None
    ) -> None:
        """dx = (p - onehot(label)) * scale[0] / divisor[0], and 0 at ignored labels."""
        outer, _, inner = p.shape
        counts = _counted(labels, ignore)
        index = np.where(counts, labels, 0).astype(np.intp)
        np.copyto(dx, p)
        dx[np.arange(outer)[:, None], index, np.arange(inner)] -= 1
        dx *= scale[0] / divisor[0]
        if ignore is not None:
            dx *= counts[:, None]

    def infogain_loss_forward(
        self, p: Array, labels: Array, gains: Array, loss: Array, divisor: Array, ignore: int | None
    ) -> None:
        """loss[0] = -sum over items and classes k of gains[label, k] * log max(p[k], 1e-20), over divisor[0]."""
        counts = _counted(labels, ignore)
        rows = gains[np.where(counts, labels, 0).astype(np.intp)]
        per_item = np.einsum("opc,ocp->op", rows, np.log(np.maximum(p, 1e-20)))
        loss[0] = -np.sum(per_item, where=counts) / divisor[0]

    def infogain_loss_backward(
        self,
        p: Array,
        labels: Array,
        gains: Array,
        dx: Array,
        scale: Array,
        divisor: Array,
        ignore: int | None,
    ) -> None:
        """dx = (p * sum of gains[label] - gains[label]) * scale[0] / divisor[0], and 0 at ignored labels."""
        counts = _counted(labels, ignore)
        rows = gains[np.where(counts, labels, 0).astype(np.intp)].transpose(0, 2, 1)
        np.subtract(p * rows.sum(axis=1, keepdims=True), rows, out=dx)
        dx *= scale[0] / divisor[0]
        dx *= counts[:, None]

    def accuracy_forward(
        self,
        x: Array,
        labels: Array,
        accuracy: Array,
        per_class: Array | None,
        top_k: int,
        ignore: int | None,
        report: Array | None = None,
    ) -> int:
        """accuracy[0] = share of items where fewer than top_k other classes score as high as the label's class.

        So ties count against the model, and an item with a NaN among its scores is wrong. per_class (C,) gets the share
        among the items of each class, 0 for a class without items; None where it is not asked for. Returns the flat
        index of the first item that counts and has a NaN, -1 where there is none. report (2,): as in `check_labels`,
        with 0 in the place of the label.
        """
        chosen, counts = _at_labels(x, labels, ignore)
        nan = np.isnan(x).any(axis=1)
        rivals = np.count_nonzero(x >= chosen[:, None], axis=1) - 1
        right = (rivals < top_k) & counts & ~nan
        accuracy[0] = right.sum() / max(1, int(counts.sum()))
        if per_class is not None:
            classes = x.shape[1]
            all_items = np.bincount(labels[counts].astype(np.intp), minlength=classes)
            right_items = np.bincount(labels[right].astype(np.intp), minlength=classes)
            np.divide(right_items, np.maximum(1, all_items), out=per_class, casting="same_kind")
        bad = nan & counts
        if not bad.any():
            return -1
        index = int(np.argmax(bad))
        report_first(report, index, 0)
        return index


def report_first(report: Array | None, index: int, value: float) -> None:
    """Note the first thing found; a report that holds one already stays as it is."""
    if report is not None and report[0] == 0:
        report[...] = index + 1, value


def _counted(labels: Array, ignore: int | None) -> Array:
    """Which labels count, as an array of bool of their shape."""
    return np.ones(labels.shape, bool) if ignore is None else labels != ignore


def _at_labels(x: Array, labels: Array, ignore: int | None) -> tuple[Array, Array]:
    """x (outer, C, inner) at the label of each item, and which items count; both (outer, inner)."""
    counts = _counted(labels, ignore)
    index = np.where(counts, labels, 0).astype(np.intp)
    return np.take_along_axis(x, index[:, None], axis=1)[:, 0], counts
