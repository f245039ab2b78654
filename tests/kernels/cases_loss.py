"""Softmax, losses and accuracy against their references."""

from __future__ import annotations

import numpy as np
from harness import Bench, case

NONE = float("nan")  # the `ignore` of a launch where no label is ignored
SCORES = ((3, 5, 2), (1, 1, 1), (4, 7, 1), (5, 67, 3), (2, 33, 1), (3, 301, 1))


def numbers(ignore: int | None) -> float:
    return NONE if ignore is None else float(ignore)


@case(*SCORES, (0, 3, 2))
def softmax(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, classes, inner = shape
    x, dy = b.normal(*shape) * 20, b.normal(*shape)
    x.reshape(-1)[:1] = np.nan
    rows = inner == 1
    sizes = (outer, classes) if rows else shape
    y, expected = b.dirty(*shape), b.dirty(*shape)
    b.launch("softmax_forward_rows" if rows else "softmax_forward", x, y, *sizes)
    b.ops.softmax_forward(x, expected)
    b.equal(y, expected)
    dx, wanted = b.dirty(*shape), b.dirty(*shape)
    b.launch("softmax_backward_rows" if rows else "softmax_backward", expected, dy, dx, *sizes)
    b.ops.softmax_backward(expected, dy, wanted)
    b.equal(dx, wanted)
    b.launch("softmax_forward_rows" if rows else "softmax_forward", x, x, *sizes)  # in place
    b.equal(x, expected)


@case(*SCORES)
def softmax_loss(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, classes, inner = shape
    p, labels = b.uniform(*shape), b.whole(classes, outer, inner)
    p.reshape(-1)[::3] = 0
    n = labels.size
    for ignore in (None, 0):
        divisor, loss, wanted = b.dirty(1), b.dirty(1), b.dirty(1)
        b.sum("count_labels", labels, divisor, n, numbers(ignore), parts_at=2, out_at=1, factor=1, least=1)
        b.ops.count_labels(labels, wanted, ignore)
        b.equal(divisor, wanted, exact=True)
        given = (p, labels, loss, divisor, *shape, numbers(ignore))
        b.sum("softmax_loss_forward", *given, parts_at=3, out_at=2, factor=-1, divisor=divisor)
        b.ops.softmax_loss_forward(p, labels, wanted, divisor, ignore)
        b.equal(loss, wanted)
        scale, dx, expected = b.number(0.3), b.dirty(*shape), b.dirty(*shape)
        b.launch("softmax_loss_backward", p, labels, dx, scale, divisor, p.size, classes, inner, numbers(ignore))
        b.ops.softmax_loss_backward(p, labels, expected, scale, divisor, ignore)
        b.equal(dx, expected)


@case(*SCORES)
def infogain_loss(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, classes, inner = shape
    p, labels, gains = b.uniform(*shape), b.whole(classes, outer, inner), b.normal(classes, classes)
    p.reshape(-1)[::3] = 0
    divisor, scale, gain_sums = b.number(3), b.number(0.3), b.dirty(classes)
    b.launch("row_sums", gains, gain_sums, classes, classes)
    b.equal(gain_sums, gains.sum(axis=1))
    for ignore in (None, 0):
        loss, wanted, dx, expected = b.dirty(1), b.dirty(1), b.dirty(*shape), b.dirty(*shape)
        given = (p, labels, gains, loss, divisor, p.size, classes, inner, numbers(ignore))
        b.sum("infogain_loss_forward", *given, parts_at=4, out_at=3, factor=-1, divisor=divisor)
        b.ops.infogain_loss_forward(p, labels, gains, wanted, divisor, ignore)
        b.equal(loss, wanted)
        given = (p, labels, gains, gain_sums, dx, scale, divisor, p.size, classes, inner, numbers(ignore))
        b.launch("infogain_loss_backward", *given)
        b.ops.infogain_loss_backward(p, labels, gains, expected, scale, divisor, ignore)
        b.equal(dx, expected)


@case(37, 0, 1, 1009)
def check_labels(b: Bench, n: int) -> None:
    labels = b.whole(4, n)
    for wrong in (None, 4.0, -1.0, 0.5, float("nan")):
        if wrong is not None and n:
            labels[n // 2] = labels[n - 1] = wrong
        for ignore in (None, -1):
            first = np.full(1, 2**31 - 1, np.int32)
            b.launch("check_labels", labels, first, n, 4, numbers(ignore))
            expected = b.ops.check_labels(labels, 4, ignore)
            assert int(first[0]) == (2**31 - 1 if expected < 0 else expected)


@case(4.0, -1.0, 1e9, float("nan"))
def labels_that_are_no_classes(b: Bench, bad: float) -> None:
    """check_labels reports them; they count as nothing, and are no index into anything."""
    shape = outer, classes, _ = (5, 4, 1)
    p, labels, gains, divisor = b.uniform(*shape), b.whole(classes, outer, 1), b.normal(4, 4), b.number(1)
    labels[1] = bad
    good = [0, 2, 3, 4]
    loss, wanted = b.dirty(1), b.dirty(1)
    given = (p, labels, loss, divisor, *shape, NONE)
    b.sum("softmax_loss_forward", *given, parts_at=3, out_at=2, factor=-1, divisor=divisor)
    b.ops.softmax_loss_forward(p[good], labels[good], wanted, divisor, None)
    b.equal(loss, wanted)
    given = (p, labels, gains, loss, divisor, p.size, classes, 1, NONE)
    b.sum("infogain_loss_forward", *given, parts_at=4, out_at=3, factor=-1, divisor=divisor)
    b.ops.infogain_loss_forward(p[good], labels[good], gains, wanted, divisor, None)
    b.equal(loss, wanted)
    b.launch("infogain_loss_backward", p, labels, gains, gains[0], p.copy(), divisor, divisor, p.size, classes, 1, NONE)
    given = (p, labels, loss, outer, classes, -1.0)
    b.sum("multinomial_loss_forward", *given, parts_at=3, out_at=2, factor=-1)
    b.ops.multinomial_loss_forward(p[good, :, 0], labels[good, 0], wanted)
    b.equal(loss, wanted * len(good))
    verdict, first, share = b.dirty(outer, dtype=np.int32), np.full(1, 2**31 - 1, np.int32), b.dirty(1)
    b.launch("accuracy_items", p, labels, verdict, first, *shape, classes, NONE)
    accuracy_of(b, verdict, share)
    b.equal(share, b.number(4 / 5))  # all others are right with top_k = classes
    a, pairs, target = b.normal(2, 3), np.full((2, 2), bad, b.dtype), b.dirty(2, 3)
    given = (a, pairs, b.number(1).repeat(2), b.normal(4, 3), target, b.dirty(2), b.number(1))
    b.launch("contrastive_targets", *given, target.size, 3, 4, 2)
    b.equal(target, a, exact=True)


def accuracy_of(b: Bench, verdict: np.ndarray, share: np.ndarray) -> None:
    """The share of right items among those that count, from the parts of three blocks."""
    parts = b.dirty(2, 3, dtype=np.int32)
    b.launch("accuracy_parts", verdict, parts, verdict.size)
    b.launch("accuracy_forward", parts, share, 3, grid=(1,))


@case(37, 1)
def report_first(b: Bench, n: int) -> None:
    values = b.whole(9, n) + 1
    first, report, expected = np.full(1, 2**31 - 1, np.int32), np.zeros(2, b.dtype), np.zeros(2, b.dtype)
    for found, kept in ((2**31 - 1, None), (n // 2, n // 2), (0, n // 2)):  # the first find stays
        first[0] = found
        b.launch("report_first", first, report, values, n, grid=(1,))
        if kept is not None:
            expected[...] = kept + 1, values[kept]
        b.equal(report, expected, exact=True)
        assert first[0] == 2**31 - 1
    report[...], first[0] = 0, n - 1
    b.launch("report_first", first, report, None, n, grid=(1,))
    b.equal(report, np.array([n, 0], b.dtype), exact=True)


@case(*SCORES, (0, 3, 2))
def accuracy(b: Bench, shape: tuple[int, int, int]) -> None:
    outer, classes, inner = shape
    x, labels = b.whole(4, *shape), b.whole(classes, outer, inner)  # with ties
    n = labels.size
    for bad in (False, True):
        if bad and n:
            x.reshape(-1)[x.size // 2] = np.nan
        for ignore, k in ((None, 1), (0, 1), (1, 3)):
            verdict, first = b.dirty(n, dtype=np.int32), np.full(1, 2**31 - 1, np.int32)
            b.launch("accuracy_items", x, labels, verdict, first, *shape, k, numbers(ignore))
            share, per_class, wanted, wanted_per_class = b.dirty(1), b.dirty(classes), b.dirty(1), b.dirty(classes)
            accuracy_of(b, verdict, share)
            b.launch("accuracy_per_class", verdict, labels, per_class, n, classes)
            nan_at = b.ops.accuracy_forward(x, labels, wanted, wanted_per_class, k, ignore)
            b.equal(share, wanted)
            b.equal(per_class, wanted_per_class)
            assert int(first[0]) == (2**31 - 1 if nan_at < 0 else nan_at)


@case((3, 7), (1, 1), (0, 4), (31, 33))
def euclidean_loss(b: Bench, shape: tuple[int, int]) -> None:
    x, y = b.normal(*shape), b.normal(*shape)
    items = max(1, shape[0])
    d, wanted_d, loss, wanted = b.dirty(*shape), b.dirty(*shape), b.dirty(1), b.dirty(1)
    given = (x, y, d, loss, x.size, 0.5 / items)
    b.sum("euclidean_loss_forward", *given, parts_at=4, out_at=3, factor=0.5 / items)
    b.ops.euclidean_loss_forward(x, y, wanted_d, wanted)
    b.equal(d, wanted_d, exact=True)
    b.equal(loss, wanted)
    dx, expected, scale = b.dirty(*shape), b.dirty(*shape), b.number(0.7)
    b.launch("euclidean_loss_backward", d, dx, scale, d.size, -1 / items)
    b.ops.euclidean_loss_backward(d, expected, scale, -1)
    b.equal(dx, expected)


@case((3, 7), (1, 1), (0, 4), (31, 33))
def hinge_loss(b: Bench, shape: tuple[int, int]) -> None:
    items, classes = shape
    x, labels, scale, factor = b.normal(*shape), b.whole(classes, items), b.number(0.7), 1 / max(1, items)
    for norm in (1, 2):
        margins, wanted_margins, loss, wanted = b.dirty(*shape), b.dirty(*shape), b.dirty(1), b.dirty(1)
        given = (x, labels, margins, loss, x.size, classes, norm, factor)
        b.sum("hinge_loss_forward", *given, parts_at=4, out_at=3, factor=factor)
        b.ops.hinge_loss_forward(x, labels, wanted_margins, wanted, norm)
        b.equal(margins, wanted_margins, exact=True)
        b.equal(loss, wanted)
        dx, expected = b.dirty(*shape), b.dirty(*shape)
        b.launch("hinge_loss_backward", labels, margins, dx, scale, x.size, classes, norm, factor)
        b.ops.hinge_loss_backward(labels, margins, expected, scale, norm)
        b.equal(dx, expected)


@case((3, 7), (1, 1), (0, 4), (131, 5))
def multinomial_loss(b: Bench, shape: tuple[int, int]) -> None:
    items, classes = shape
    p, labels, scale, factor = b.uniform(*shape), b.whole(classes, items), b.number(0.7), -1 / max(1, items)
    p.reshape(-1)[1::3] = 0
    loss, wanted, dx, expected = b.dirty(1), b.dirty(1), b.dirty(*shape), b.dirty(*shape)
    given = (p, labels, loss, items, classes, factor)
    b.sum("multinomial_loss_forward", *given, parts_at=3, out_at=2, factor=factor)
    b.ops.multinomial_loss_forward(p, labels, wanted)
    b.equal(loss, wanted)
    b.launch("multinomial_loss_backward", p, labels, dx, scale, p.size, classes, factor)
    b.ops.multinomial_loss_backward(p, labels, expected, scale)
    b.equal(dx, expected)


@case(37, 0, 1, 1009)
def sigmoid_loss(b: Bench, n: int) -> None:
    x, targets, scale, divisor = b.normal(n) * 30, b.uniform(n), b.number(0.7), b.number(5)
    targets[::4] = 1
    for ignore in (None, 1):
        loss, wanted, dx, expected = b.dirty(1), b.dirty(1), b.dirty(n), b.dirty(n)
        given = (x, targets, loss, divisor, n, numbers(ignore))
        b.sum("sigmoid_loss_forward", *given, parts_at=3, out_at=2, factor=1, divisor=divisor)
        b.ops.sigmoid_loss_forward(x, targets, wanted, divisor, ignore)
        b.equal(loss, wanted)
        b.launch("sigmoid_loss_backward", x, targets, dx, scale, divisor, n, numbers(ignore))
        b.ops.sigmoid_loss_backward(x, targets, expected, scale, divisor, ignore)
        b.equal(dx, expected)
