"""Losses and accuracy at their borders: labels that are wrong, ignored or missing, NaN, divisors, refusals."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from netforge.errors import DataError, NetforgeError, SettingsError
from netforge.testing import LayerRun
from tests.layers.cases import row


def loss(labels, settings: str = "", scores=None, type_: str = "SoftmaxWithLoss") -> float:
    labels = np.asarray(labels, float)
    scores = np.zeros((labels.shape[0], 4)) if scores is None else scores
    return float(LayerRun(row(type_, "x label", "loss", settings), [scores, labels]).forward()[0])


@pytest.mark.parametrize("type_", ["SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss", "Accuracy"])
@pytest.mark.parametrize("bad", [4, -1, 1.5, np.nan, np.inf])
def test_a_wrong_label_is_named(type_: str, bad: float) -> None:
    with pytest.raises(DataError) as caught:
        loss([0, 3, bad, 1], type_=type_)
    message = str(caught.value)
    assert f"label {bad:g} at index 2" in message and "0 to 3" in message and type_ in message and '"label"' in message


def test_ignored_labels_are_right_labels() -> None:
    assert loss([0, -1, 2], "loss_param { ignore_label: -1 }") == pytest.approx(np.log(4))
    assert loss([-1, -1], "loss_param { ignore_label: -1 }") == 0


@pytest.mark.parametrize(
    ("settings", "divisor"),
    [
        ("", 3),
        ("loss_param { normalization: FULL }", 4),
        ("loss_param { normalization: BATCH_SIZE }", 2),
        ("loss_param { normalization: NONE }", 1),
        ("loss_param { normalize: false }", 2),
        ("loss_param { normalize: true }", 3),
        ("loss_param { normalize: false normalization: FULL }", 4),
        ("loss_param { loss_scale: 5 }", 3 / 5),
    ],
)
def test_divisors(settings: str, divisor: float) -> None:
    settings = settings or "loss_param { }"
    text = row("SoftmaxWithLoss", "x label", "loss", settings.replace("{", "{ ignore_label: 9", 1))
    got = LayerRun(text, [np.zeros((2, 3, 2)), np.array([[0, 1], [2, 9.0]])]).forward()[0]
    assert got == pytest.approx(3 * np.log(3) / divisor)


def test_an_impossible_class_costs_no_more_than_the_smallest_float() -> None:
    scores = np.array([[1000.0, 0, 0, 0]])
    assert loss([1], scores=scores) == pytest.approx(87.3365, abs=1e-4)


def test_loss_weight_scales_gradients() -> None:
    run = LayerRun(row("SoftmaxWithLoss", "x label", "loss"), [np.zeros((2, 2)), np.array([0.0, 1])])
    run.forward()
    (once, _), _ = run.backward([np.array(1.0)])
    (thrice, _), _ = run.backward([np.array(-3.0)])
    np.testing.assert_allclose(once, [[-0.25, 0.25], [0.25, -0.25]])
    np.testing.assert_allclose(thrice, -3 * once)


def test_labels_must_be_as_many_as_scores() -> None:
    with pytest.raises(NetforgeError, match=r"3 labels.*need 2"):
        loss([0, 1, 2], scores=np.zeros((2, 4)))


def test_constant_scores_are_wrong() -> None:
    assert loss([0, 1, 2], type_="Accuracy") == 0
    assert loss([0, 1, 2], "accuracy_param { top_k: 4 }", type_="Accuracy") == 1


def test_nan_scores_are_wrong_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    scores = np.eye(3)
    scores[2] = np.nan
    run = LayerRun(row("Accuracy", "x label", "a"), [scores, np.arange(3.0)])
    with caplog.at_level(logging.WARNING, "netforge"):
        values = [run.forward()[0] for _ in range(2)]
    assert values == [pytest.approx(2 / 3)] * 2
    assert [record.getMessage() for record in caplog.records] == [
        '"under_test" (Accuracy): the scores of item 2 in "x" hold NaN; they count as wrong'
    ]


def test_accuracy_refuses_more_places_than_classes() -> None:
    with pytest.raises(SettingsError, match="top_k is 5 of 4 classes"):
        loss([0], "accuracy_param { top_k: 5 }", type_="Accuracy")


def test_infogain_with_the_identity_is_softmax_loss(rng: np.random.Generator) -> None:
    x, labels = rng.standard_normal((5, 3)), np.array([0.0, 1, 2, 1, 0])
    runs = [
        LayerRun(row("SoftmaxWithLoss", "x label", "loss"), [x, labels]),
        LayerRun(row("InfogainLoss", "x label H", "loss"), [x, labels, np.eye(3)]),
    ]
    plain, gain = (run.forward()[0] for run in runs)
    assert plain == pytest.approx(gain)
    gradients = [run.backward([np.array(1.0)])[0][0] for run in runs]
    np.testing.assert_allclose(*gradients, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "H is missing"),
        ("infogain_loss_param { source: 'nowhere.binaryproto' }", "nowhere.binaryproto"),
        ("loss_param { normalize: true }", "normalize does not go with"),
    ],
)
def test_infogain_refusals(settings: str, message: str) -> None:
    with pytest.raises(NetforgeError, match=message):
        loss([0], settings, type_="InfogainLoss")
