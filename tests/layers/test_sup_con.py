"""SupConLoss against a plain loop, at its borders, and what it says when training goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.errors import NetforgeError
from netforge.testing import LayerRun
from tests.layers.cases import row


def sup_con(x, labels, settings: str = "", tops: str = "loss cosines", **options) -> LayerRun:
    text = row("SupConLoss", "x label", tops, f"sup_con_loss_param {{ {settings} }}")
    return LayerRun(text, [np.asarray(x, float), np.asarray(labels, float)], **options)


def reference(
    x: np.ndarray, labels: list[int], temperature: float, *, squared: bool, negatives_only: bool
) -> tuple[float, float, float]:
    """Loss and both mean values, one pair after the other."""
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    items, costs = range(len(x)), []
    value = (lambda i, j: ((x[i] - x[j]) ** 2).sum()) if squared else (lambda i, j: z[i] @ z[j])
    weight = lambda i, j: np.exp((-1 if squared else 1) * value(i, j) / temperature)  # noqa: E731
    values: dict[bool, list[float]] = {True: [], False: []}
    for i in items:
        others, own = [a for a in items if a != i], []
        for p in others:
            values[labels[p] == labels[i]].append(value(i, p))
            if labels[p] == labels[i]:
                rivals = [a for a in others if a == p or labels[a] != labels[i] or not negatives_only]
                own.append(-np.log(weight(i, p) / sum(weight(i, a) for a in rivals)))
        if own:
            costs.append(np.mean(own))
    mean = [float(np.mean(found)) if found else 0.0 for found in (costs, values[True], values[False])]
    return mean[0], mean[1], mean[2]


@given(
    labels=st.lists(st.integers(-2, 4), min_size=1, max_size=12),
    temperature=st.sampled_from([0.07, 0.5, 2.0]),
    squared=st.booleans(),
    negatives_only=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_what_a_plain_loop_gives(
    labels: list[int], temperature: float, squared: bool, negatives_only: bool, seed: int
) -> None:
    x = np.random.default_rng(seed).standard_normal((len(labels), 4))
    settings = f"temperature: {temperature} distance: {'SQUARED' if squared else 'COSINE'}"
    settings += f" against: {'NEGATIVES' if negatives_only else 'ALL'}"
    loss, means = sup_con(x, labels, settings).forward()
    wanted = reference(x, labels, np.float32(temperature), squared=squared, negatives_only=negatives_only)
    np.testing.assert_allclose([loss, *means], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("against", ["ALL", "NEGATIVES"])
def test_far_positives_cost_their_distance(against: str) -> None:
    x = np.array([[0.0], [1000], [1], [2]])
    run = sup_con(x, [0, 0, 1, 2], f"temperature: 1 distance: SQUARED against: {against}", dtype=np.float32)
    loss, _ = run.forward()
    np.testing.assert_allclose(loss, np.mean([1000**2 - 1, 1000**2 - 998**2]), rtol=1e-5)
    (dx, _), _ = run.backward([np.array(1.0), np.zeros(2)])
    assert np.isfinite(dx).all()


def test_a_low_temperature_overflows_nowhere() -> None:
    x = np.array([[1.0, 0], [1, 0], [-1, 0], [-1, 1e-3]])
    run = sup_con(x, [0, 0, 1, 0], "temperature: 0.0005", dtype=np.float32)
    loss, _ = run.forward()
    np.testing.assert_allclose(loss, np.mean([2000.0, 2000, 4000]), rtol=1e-3)  # the mean of three anchors
    (dx, _), _ = run.backward([np.array(1.0), np.zeros(2)])
    assert np.isfinite(dx).all()


def test_lengths_do_not_matter() -> None:
    x, labels = np.random.default_rng(1).standard_normal((6, 3)), [0, 0, 1, 1, 2, 2]
    lengths = np.array([[1.0], [2], [0.5], [7], [1], [30]])
    np.testing.assert_allclose(sup_con(x, labels).forward()[0], sup_con(lengths * x, labels).forward()[0])


def test_items_without_another_of_their_class_are_no_anchors() -> None:
    x = np.random.default_rng(2).standard_normal((4, 3))
    run = sup_con(x, [0, 1, 2, 3])
    loss, cosines = run.forward()
    (dx, _), _ = run.backward([np.array(1.0), np.zeros(2)])
    assert loss == 0 == cosines[0] and not dx.any()
    assert "no class has two images in the batch" in run.layer.diagnose(run.bottom, run.top)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(NetforgeError, match="number of items"):
        sup_con(np.zeros((4, 2)), [0, 0, 1])
    with pytest.raises(NetforgeError, match="at least one label an item"):
        sup_con(np.zeros((4, 2)), np.zeros((4, 0)))


@pytest.mark.parametrize("distance", ["COSINE", "SQUARED"])
def test_a_collapse_is_told_after_some_looks(distance: str) -> None:
    run = sup_con(np.ones((5, 3)), [0, 0, 1, 1, 1], f"distance: {distance}", tops="loss")
    assert run.forward()[0] == pytest.approx(np.log(4))
    told = [run.layer.diagnose(run.bottom, run.top) for _ in range(4)]
    assert told[0] is None and told[-1] is not None
    assert "collapsed" in told[-1] and f"near {np.log(4):.3g}" in told[-1]
