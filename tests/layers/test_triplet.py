"""TripletLoss: known values, the miners against plain loops, diagnosis, refusals."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.errors import NetforgeError
from netforge.testing import LayerRun
from tests.layers.cases import row

A = np.array([[0.0, 0], [1, 1]])
P = np.array([[0.3, 0.4], [1, 1]])
N = np.array([[1.0, 0], [1, 2]])


def loss(settings: str, *bottoms: np.ndarray, tops: str = "loss active distances", **options) -> LayerRun:
    names = "x label" if len(bottoms) == 2 else " ".join(["a", "p", "n", "label"][: len(bottoms)])
    return LayerRun(row("TripletLoss", names, tops, f"triplet_loss_param {{ {settings} }}"), bottoms, **options)


class TestGivenTriplets:
    def test_known_values(self) -> None:
        """Squared distances 0.25 and 0 to the positives, 1 and 1 to the negatives."""
        value, active, distances = loss("alpha: 0.9", A, P, N).forward()
        assert value == pytest.approx((0.9 + 0.25 - 1) / 4)
        assert active == 0.5
        np.testing.assert_allclose(distances, [0.125, 1])

    def test_known_gradients(self) -> None:
        """da = (n - p) / N where active, dp = (p - a) / N, dn = (a - n) / N."""
        run = loss("alpha: 1.1", A, P, N, np.zeros((2, 3)), tops="loss")
        run.forward()
        (da, dp, dn, dlabel), _ = run.backward([np.array(2.0)])
        np.testing.assert_allclose(da, N - P)
        np.testing.assert_allclose(dp, P - A)
        np.testing.assert_allclose(dn, A - N)
        assert dlabel is None

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ("alpha: 0.9 distance: EUCLIDEAN", (0.9 + 0.5 - 1) / 4),
            ("soft_margin: true", (math.log1p(math.exp(0.25 - 1)) + math.log1p(math.exp(-1))) / 4),
        ],
    )
    def test_other_distances_and_margins(self, settings: str, expected: float) -> None:
        assert loss(settings, A, P, N, tops="loss").forward()[0] == pytest.approx(expected)

    def test_the_cosine_does_not_see_lengths(self) -> None:
        values = [loss("alpha: 1 distance: COSINE", P, f * N, A + 0.1, tops="loss").forward()[0] for f in (1, 7.0)]
        assert values[0] == pytest.approx(values[1])
        cosines = [float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)) for x, y in ((P[1], N[1]), (P[1], A[1] + 0.1))]
        z = 1 + (1 - cosines[0]) - (1 - cosines[1])
        run = loss("alpha: 1 distance: COSINE", P[1:], N[1:], A[1:] + 0.1, tops="loss")
        assert run.forward()[0] == pytest.approx(z / 2)

    @pytest.mark.parametrize("distance", ["SQUARED", "EUCLIDEAN", "COSINE"])
    def test_equal_and_zero_embeddings_have_finite_gradients(self, distance: str) -> None:
        for x in (A[:1], A[1:]):
            run = loss(f"distance: {distance}", x, x, x, tops="loss")
            assert run.forward()[0] == pytest.approx(1.1 / 2)
            gradients, _ = run.backward([np.array(1.0)])
            assert not any(g.any() for g in gradients if g is not None)


def batches() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Embeddings and labels of up to 12 items, with equal embeddings and labels that occur once."""

    def make(seed: int, items: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((items, 3)) * rng.choice([0.1, 1, 5])
        x[rng.integers(0, items, items // 3)] = x[0]
        return x, rng.integers(-1, classes, items).astype(float)

    return st.builds(make, st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 5))


def mined(x: np.ndarray, labels: np.ndarray, mining: str, distance: str, alpha: float | None) -> tuple[float, float]:
    """Loss and share of active triplets, by plain loops."""

    def between(a: np.ndarray, b: np.ndarray) -> float:
        square = float(((a - b) ** 2).sum())
        return math.sqrt(square) if distance == "EUCLIDEAN" else square

    if distance == "COSINE":
        x = x / np.linalg.norm(x, axis=1, keepdims=True) / math.sqrt(2)
    d = [[between(a, b) for b in x] for a in x]
    items, triplets = range(len(x)), []
    for a in items:
        positives = [i for i in items if i != a and labels[i] == labels[a]]
        negatives = [i for i in items if labels[i] != labels[a]]
        if not positives or not negatives:
            continue
        if mining == "ALL":
            triplets += [(a, p, n) for p in positives for n in negatives]
        elif mining == "HARD":
            triplets.append((a, max(positives, key=d[a].__getitem__), min(negatives, key=d[a].__getitem__)))
        else:
            for p in positives:
                farther = [n for n in negatives if d[a][n] > d[a][p]]
                n = min(farther, key=d[a].__getitem__) if farther else max(negatives, key=d[a].__getitem__)
                triplets.append((a, p, n))
    z = [(alpha or 0) + d[a][p] - d[a][n] for a, p, n in triplets]
    costs = [math.log1p(math.exp(v)) for v in z] if alpha is None else [max(v, 0) for v in z]
    active = sum(v > 0 for v in z)
    counted = active if mining == "ALL" and alpha is not None else len(z)
    return sum(costs) / max(1, counted), active / max(1, len(z))


@pytest.mark.parametrize("mining", ["ALL", "HARD", "SEMIHARD"])
@pytest.mark.parametrize(("distance", "alpha"), [*product(["SQUARED", "EUCLIDEAN", "COSINE"], [0.5, None])])
@settings(max_examples=50)
@given(batch=batches())
def test_miners_are_plain_loops(
    mining: str, distance: str, alpha: float | None, batch: tuple[np.ndarray, np.ndarray]
) -> None:
    margin = "soft_margin: true" if alpha is None else f"alpha: {alpha}"
    value, active, distances = loss(f"mining: {mining} distance: {distance} {margin}", *batch).forward()
    expected, share = mined(*batch, mining, distance, alpha)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if distance == "SQUARED":  # others may round a triplet with z = 0 to either side
        assert active == pytest.approx(share)
    assert np.isfinite(distances).all()


def test_the_third_top_is_over_all_pairs() -> None:
    x, labels = np.array([[0.0], [1], [5]]), np.array([3.0, 3, 4])
    distances = loss("mining: HARD", x, labels).forward()[2]
    np.testing.assert_allclose(distances, [1, (25 + 16) / 2])


def test_only_the_first_label_counts() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 3)), np.arange(8) % 3
    more = np.stack([labels, rng.integers(0, 9, 8)], axis=1)
    values = [loss("alpha: 3", x, given).forward()[0] for given in (labels, more, labels[:, None, None])]
    assert values[0] > 0 and values[0] == values[1] == values[2]


class TestDiagnosis:
    labels = np.arange(12) % 3
    rng = np.random.default_rng(0)

    def told(self, x: np.ndarray, labels: np.ndarray, settings: str) -> list[str | None]:
        run = loss(settings, x, labels)
        run.forward()
        return [run.layer.diagnose(run.bottom, run.top) for _ in range(3)]

    def test_a_collapse_is_told_with_what_to_try(self) -> None:
        alike = 1 + 1e-3 * self.rng.standard_normal((12, 4))
        told = self.told(alike, self.labels, "mining: HARD soft_margin: true")
        assert told[:2] == [None, None]
        assert told[2] is not None
        for part in ("collapsed", "near 0.693", "base_lr", "warm-up", "BatchNorm", "mining: SEMIHARD or ALL"):
            assert part in told[2]
        hard = self.told(alike, self.labels, "mining: ALL alpha: 5")[2]
        assert hard is not None and "near 5" in hard and "smaller alpha" in hard

    def test_embeddings_that_differ_are_left_alone(self) -> None:
        x = self.rng.standard_normal((12, 4))
        assert self.told(x, self.labels, "mining: HARD soft_margin: true") == [None] * 3

    def test_given_triplets_are_watched_too(self) -> None:
        run = loss("alpha: 1", A, A, A)
        run.forward()
        told = [run.layer.diagnose(run.bottom, run.top) for _ in range(3)]
        assert told[2] is not None and "near 0.5" in told[2]

    def test_a_batch_without_triplets_is_told(self) -> None:
        for labels in (np.arange(12), np.zeros(12)):
            told = self.told(self.rng.standard_normal((12, 4)), labels, "")[0]
            assert told is not None and "no triplet" in told and "batch_classes" in told


@pytest.mark.parametrize(
    ("settings", "bottoms", "message"),
    [
        ("", (A, P[:, :1], N), "differ in size"),
        ("", (A, P, N[:1]), "number of items"),
        ("", (A, np.zeros((2, 0))), "at least one label"),
        ("mining: HARD", (A, P, N), "mining needs the two bottoms"),
        ("soft_margin: true alpha: 1", (A, P, N), "alpha is the hard margin's"),
    ],
)
def test_refusals(settings: str, bottoms: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(NetforgeError, match=message):
        loss(settings, *bottoms)
