"""ContrastiveLoss: known values, centroid learning, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.errors import DataError, NetforgeError
from netforge.testing import LayerRun
from tests.layers.cases import row

A = np.array([[0.0, 0], [0, 0], [1, 1]])
B = np.array([[0.3, 0.4], [0.3, 0.4], [1, 1]])


def contrastive(settings: str, *bottoms: np.ndarray, tops: str = "loss") -> LayerRun:
    names = " ".join(["a", "b", "label", "centroids"][: len(bottoms)])
    return LayerRun(row("ContrastiveLoss", names, tops, f"contrastive_loss_param {{ {settings} }}"), bottoms)


@pytest.mark.parametrize(("settings", "expected"), [("", 0.25), ("legacy_version: true", 1 / 3)])
def test_known_values(settings: str, expected: float) -> None:
    assert contrastive(settings, A, B, np.array([1.0, 0, 0])).forward()[0] == pytest.approx(expected)


def test_labels_are_cut_to_whole_numbers() -> None:
    cut, zero = (contrastive("", A, B, np.array([1.0, y, 0])).forward()[0] for y in (0.9, 0.0))
    assert cut == zero


def test_a_pair_at_distance_zero_has_a_finite_gradient() -> None:
    run = contrastive("", A, A, np.zeros(3))
    run.forward()
    (da, db, _), _ = run.backward([np.array(1.0)])
    assert not da.any() and not db.any()


def test_matches_say_whether_the_margin_agrees() -> None:
    run = contrastive("output_matches: true margin: 0.5", A, B, np.array([1.0, 0, 0]), tops="loss matches")
    np.testing.assert_array_equal(run.forward()[1], [1, 0, 0])


class TestCentroidLearning:
    labels = np.array([[0.0, 0], [1, 2], [2, 2]])
    centroids = np.array([[1.0, 0], [0, 1], [2, 2]])

    def test_waits_for_centroids(self) -> None:
        settings = "centroid_learning: ALL matching_distance_scale: 3"
        waiting = contrastive(settings, A, B, self.labels, np.zeros((3, 2)))
        plain = contrastive("", A, B, self.labels)
        assert waiting.forward()[0] == plain.forward()[0]
        gradients = [run.backward([np.array(1.0)])[0][0] for run in (waiting, plain)]
        np.testing.assert_array_equal(*gradients)

    def test_labels_beyond_the_centroids_do_not_matter_before_there_is_one(self) -> None:
        waiting = contrastive("centroid_learning: ALL", A, B, self.labels + 7, np.zeros((2, 2)))
        assert waiting.forward()[0] == contrastive("", A, B, self.labels).forward()[0]

    def test_a_label_beyond_the_centroids_is_named_once_there_is_one(self) -> None:
        run = contrastive("centroid_learning: ALL", A, B, self.labels, np.eye(2))
        with pytest.raises(DataError, match='label 2 at index 3 of "label" is not a class: there are 2'):
            run.forward()

    @pytest.mark.parametrize(("which", "replaced"), [("MATCHING", [0, 2]), ("NONMATCHING", [1]), ("ALL", [0, 1, 2])])
    def test_replaces_the_first_item(self, which: str, replaced: list[int]) -> None:
        target = A.copy()
        target[replaced] = self.centroids[self.labels[replaced, 0].astype(int)]
        run = contrastive(f"centroid_learning: {which}", A, B, self.labels, self.centroids)
        plain = contrastive("", target, B, self.labels)
        assert run.forward()[0] == pytest.approx(plain.forward()[0])
        (da, db, *_), _ = run.backward([np.array(1.0)])
        (expected_a, expected_b, _), _ = plain.backward([np.array(1.0)])
        expected_a[replaced] = 0
        np.testing.assert_allclose(da, expected_a)
        np.testing.assert_allclose(db, expected_b)

    def test_needs_centroids_and_two_labels(self) -> None:
        with pytest.raises(NetforgeError, match="needs a fourth bottom"):
            contrastive("centroid_learning: ALL", A, B, self.labels)
        with pytest.raises(NetforgeError, match="1 labels an item, not 2"):
            contrastive("centroid_learning: ALL", A, B, np.zeros(3), self.centroids)
        with pytest.raises(NetforgeError, match="differ in size"):
            contrastive("centroid_learning: ALL", A, B, self.labels, np.zeros((3, 5)))

    def test_a_label_without_centroid_is_named(self) -> None:
        with pytest.raises(DataError, match="label 7 at index 0"):
            contrastive("centroid_learning: ALL", A, B, np.full((3, 2), 7.0), self.centroids).forward()


@pytest.mark.parametrize(
    ("bottoms", "tops", "message"),
    [
        ((A, B[:, :1], np.zeros(3)), "loss", "differ in size"),
        ((A, B, np.zeros(2)), "loss", "number of items"),
        ((A, B, np.zeros((3, 4))), "loss", "4 labels an item, not 1 to 3"),
        ((A, B, np.zeros(3)), "loss matches", "needs output_matches"),
    ],
)
def test_refusals(bottoms, tops: str, message: str) -> None:
    with pytest.raises(NetforgeError, match=message):
        contrastive("", *bottoms, tops=tops)
