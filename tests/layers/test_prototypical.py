"""PrototypicalLoss against a plain loop, at its borders, and what it says when training goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netforge.errors import DataError, NetforgeError
from netforge.testing import LayerRun
from tests.layers.cases import row


def prototypical(x, labels, settings: str = "", tops: str = "loss accuracy distances", **options) -> LayerRun:
    text = row("PrototypicalLoss", "x label", tops, f"prototypical_loss_param {{ {settings} }}")
    return LayerRun(text, [np.asarray(x, float), np.asarray(labels, float)], **options)


def distance(a: np.ndarray, b: np.ndarray, cosine: bool) -> float:
    return 1 - a @ b / np.sqrt((a @ a) * (b @ b)) if cosine else float(((a - b) ** 2).sum())


def reference(x: np.ndarray, labels: np.ndarray, shots: int, temperature: float, cosine: bool) -> tuple[float, ...]:
    """Loss, accuracy and both mean distances, one item after the other."""
    seen: dict[float, list[int]] = {}
    for i, label in enumerate(labels):
        seen.setdefault(label, []).append(i)
    prototypes = {label: x[members[:shots]].mean(axis=0) for label, members in seen.items()}
    results = []
    for label, members in seen.items():
        for i in members[shots:]:
            to = {other: distance(x[i], prototype, cosine) for other, prototype in prototypes.items()}
            nearest = min(d for other, d in to.items() if other != label)
            shares = sum(np.exp((to[label] - d) / temperature) for d in to.values())
            results.append((np.log(shares), to[label] < nearest, to[label], nearest))
    return tuple(np.mean(results, axis=0))


@st.composite
def episodes(draw) -> tuple[np.ndarray, int]:
    """Labels in any order, of two or more classes with more images than shots."""
    shots = draw(st.integers(1, 3))
    counts = draw(st.lists(st.integers(shots + 1, shots + 4), min_size=2, max_size=5))
    names = draw(st.lists(st.integers(-9, 99), min_size=len(counts), max_size=len(counts), unique=True))
    return np.array(
        draw(st.permutations([n for n, c in zip(names, counts, strict=True) for _ in range(c)])), float
    ), shots


@given(episode=episodes(), cosine=st.booleans(), temperature=st.sampled_from([0.25, 1.0, 4.0]), seed=st.integers(0, 99))
def test_it_is_what_a_plain_loop_gives(episode, cosine: bool, temperature: float, seed: int) -> None:
    labels, shots = episode
    x = np.random.default_rng(seed).uniform(-1, 1, (len(labels), 3))
    settings = f"shots: {shots} temperature: {temperature} distance: {'COSINE' if cosine else 'SQUARED'}"
    loss, accuracy, distances = prototypical(x, labels, settings).forward()
    expected = reference(x, labels, shots, temperature, cosine)
    np.testing.assert_allclose([loss, accuracy, *distances], expected, rtol=1e-9)


def test_distant_embeddings_have_an_exact_loss() -> None:
    x = 1e4 * np.array([[0.0], [1], [0.9], [1]])
    loss, accuracy, distances = prototypical(x, [0, 1, 0, 1]).forward()
    assert loss == pytest.approx((0.81e8 - 0.01e8) / 2, rel=1e-9)
    assert accuracy == 0.5
    np.testing.assert_allclose(distances, [0.81e8 / 2, (0.01e8 + 1e8) / 2])


def test_embeddings_that_are_alike_rest_at_the_logarithm_of_the_classes() -> None:
    run = prototypical(np.zeros((9, 4)), [0, 1, 2] * 3, "distance: COSINE")
    loss, accuracy, _ = run.forward()
    assert loss == pytest.approx(np.log(3)) and accuracy == pytest.approx(1 / 3)  # the lowest class wins ties
    (dx, _), _ = run.backward([np.array(1.0), np.array(0.0), np.zeros(2)])
    assert np.isfinite(dx).all()


def test_support_comes_first_in_the_batch() -> None:
    x, labels = np.array([[0.0], [10.0], [1.0], [11.0], [20.0]]), [5, 8, 5, 8, 8]
    run = prototypical(x, labels, "shots: 1", "loss")
    run.forward()
    np.testing.assert_array_equal(run.layer.prototypes.data, [[0], [10]])
    np.testing.assert_array_equal(run.layer.targets.data, [-1, -1, 0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([7, 7, 7, 7, 2, 2], r"class 2 \(item 4\) has no query: the batch of 6 holds 2 or fewer images of it"),
        ([2, 7, 7, 7, 7, 7], r"class 2 \(item 0\)"),
        ([3, 3, 3, 3, np.nan, 3], r"class nan \(item 4\)"),
        ([4, 4, 4, 4, 4, 4], "all 6 images of the batch are of class 4"),
    ],
)
def test_a_batch_that_is_no_episode_is_refused(labels: list[float], message: str) -> None:
    run = prototypical(np.arange(18.0).reshape(6, 3), labels, "shots: 2")
    with pytest.raises(DataError, match=message) as caught:
        run.forward()
    assert "batch_classes: 20 batch_images: 4" in str(caught.value)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(NetforgeError, match="a batch of 5 images is too small for two classes of 2 shots and a query"):
        prototypical(np.zeros((5, 2)), [0, 0, 0, 1, 1], "shots: 2")
    with pytest.raises(NetforgeError, match="number of items"):
        prototypical(np.zeros((4, 2)), [0, 0, 1])
    with pytest.raises(NetforgeError, match="at least one label an item"):
        prototypical(np.zeros((4, 2)), np.zeros((4, 0)))


def test_a_collapse_is_told_after_some_looks() -> None:
    run = prototypical(np.full((6, 4), 0.5), [0, 0, 1, 1, 2, 2], tops="loss")
    run.forward()
    told = [run.layer.diagnose(run.bottom, run.top) for _ in range(4)]
    assert told[0] is None and told[-1] is not None
    assert "collapsed" in told[-1] and f"near {np.log(3):.3g}" in told[-1]


def test_a_healthy_net_is_left_alone() -> None:
    run = prototypical(5 * np.repeat(np.eye(3), 2, axis=0), [0, 0, 1, 1, 2, 2], tops="loss")
    run.forward()
    assert [run.layer.diagnose(run.bottom, run.top) for _ in range(4)] == [None] * 4
