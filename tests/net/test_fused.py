"""Layers in a row run as one, and give the numbers that they give one by one.

BatchNorm, the Scale layer behind it, and the ReLU layer behind that; an Eltwise layer that adds two blobs, and the ReLU
layer behind it.
"""

from __future__ import annotations

import numpy as np
import pytest

from netforge.net import Net
from tests.net.helpers import input_layer, layer, net

SCALE = 'scale_param { bias_term: true filler { type: "uniform" min: 0.5 max: 2 } bias_filler { type: "gaussian" } }'
CONV = 'convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }'


def text(
    norm: str = "", scale: str = SCALE, top: str = "conv", between: str = "", relu: str = "", last: str = ""
) -> str:
    last = last or top
    body = input_layer("x", 4, 2, 6, 7) + input_layer("target", 4, 3, 4, 5)
    body += layer("Convolution", "x", "conv", CONV) + layer("BatchNorm", "conv", top, norm, name="norm")
    body += between + layer("Scale", top, top, scale, name="scale") + layer("ReLU", top, last, relu, name="relu")
    return body + layer("EuclideanLoss", f"{last} target", "loss")


def sum_text(body: str = "", relu: str = "", top: str = "sum", more: str = "", flags: str = "") -> str:
    """A residual block: x through a convolution, plus another convolution of x."""
    conv = 'convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } }'
    parts = input_layer("x", 4, 2, 6, 7) + input_layer("target", 4, 3, 4, 5)
    parts += layer("Convolution", "x", "conv", conv) + layer("Convolution", "x", "other", conv)
    parts += layer("Eltwise", "conv other", "sum", f"{body} {flags}", name="add") + more
    return parts + layer("ReLU", "sum", top, relu, name="relu") + layer("EuclideanLoss", f"{top} target", "loss")


def sums(built: Net) -> list[tuple[str, bool]]:
    return [(pair.relu.name, pair.trains) for pair in built._runner.fused.values()]


def pairs(built: Net) -> list[tuple[str, str, bool]]:
    return [(pair.norm.name, pair.scale.name, pair.trains) for pair in built._runner.fused.values()]


def results(built: Net, whole: bool) -> dict[str, np.ndarray]:
    """Everything that a pass leaves behind, as one or layer by layer; from the same numbers each time."""
    rng = np.random.default_rng(3)
    for name in ("x", "target"):
        blob = built.blobs[name]
        blob.data[...] = built.device.from_host(rng.normal(2, 1, blob.shape))
    built.clear_weight_diffs()
    if whole:
        built.forward_pass()
        built.backward_pass()
    else:
        for number in range(len(built.layers)):
            built.forward_layer(number)
        for number in reversed(range(len(built.layers))):
            built.backward_layer(number)
    found = {f"{name}[{i}]": blob for name, blobs in built.params.items() for i, blob in enumerate(blobs)}
    diffs = {name: blob.diff.copy() for name, blob in found.items()}
    values = {f"{name} itself": blob.data.copy() for name, blob in found.items()}
    return {**diffs, **values, "loss": built.blobs["loss"].data.copy(), "dx": built.blobs["conv"].diff.copy()}


@pytest.mark.parametrize("top", ["conv", "norm"])
@pytest.mark.parametrize("scale", [SCALE, "", "scale_param { axis: 1 num_axes: 1 }"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_the_same_numbers_as_one_by_one(top: str, scale: str, phase: str) -> None:
    one, apart = (net(text(top=top, scale=scale), phase) for _ in range(2))
    assert pairs(one) == [("norm", "scale", phase == "TRAIN")]
    if phase == "TEST":
        for built in (one, apart):
            for blob, value in zip(built.params["norm"], (3.0, 8.0, 2.0), strict=True):
                blob.data[...] = value
    for _ in range(2):
        found, wanted = results(one, whole=True), results(apart, whole=False)
        assert np.abs(found["dx"]).max() > 0
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("changed", "joins"),
    [
        (text(), True),
        (text(relu="relu_param { negative_slope: 0.1 }"), True),
        (text(relu="relu_param { negative_slope: -0.1 }"), False),
        (text(last="rectified"), False),
        (text().replace('type: "ReLU"', 'type: "AbsVal"'), False),
    ],
    ids=["as it is", "a leak", "slope below 0", "not in place", "no ReLU"],
)
def test_a_relu_joins_where_it_may(changed: str, joins: bool) -> None:
    one, apart = (net(changed, "TRAIN") for _ in range(2))
    (row,) = one._runner.fused.values()
    assert (row.relu is not None, len(row.members)) == (joins, 2 + joins)
    found, wanted = results(one, whole=True), results(apart, whole=False)
    assert np.abs(found["dx"]).max() > 0
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_layer_can_run_alone_after_both_ran_as_one() -> None:
    one, apart = net(text(), "TRAIN"), net(text(), "TRAIN")
    wanted = results(apart, whole=False)
    results(one, whole=True)
    one.clear_weight_diffs()
    for number in reversed(range(len(one.layers))):
        one.backward_layer(number)
    for name in ("scale[0]", "scale[1]", "conv[0]"):
        blob = one.params[name[:-3]][int(name[-2])]
        np.testing.assert_allclose(blob.diff, wanted[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        text(norm="loss_weight: 0.1", top="norm"),
        text(scale="scale_param { axis: 2 num_axes: 1 }"),
        text(scale="scale_param { num_axes: 2 }"),
        text(top="norm").replace('bottom: "norm" top: "norm" scale_param', 'bottom: "norm" top: "scaled" scale_param'),
        text(top="norm", between=layer("Silence", "norm", "", name="reader")),
    ],
    ids=["a loss in between", "another axis", "two axes", "not in place", "another reader"],
)
def test_what_cannot_run_as_one_stays_apart(changed: str) -> None:
    assert changed != text()
    assert pairs(net(changed, "TRAIN")) == []


@pytest.mark.parametrize("frozen", ["param { lr_mult: 0 }", "param { lr_mult: 1 } param { lr_mult: 0 }"])
def test_weights_that_do_not_learn_leave_backward_apart(frozen: str) -> None:
    one, apart = (net(text(scale=f"{frozen} {SCALE}"), "TRAIN") for _ in range(2))
    assert pairs(one) == [("norm", "scale", False)]
    found, wanted = results(one, whole=True), results(apart, whole=False)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("relu", ["", "relu_param { negative_slope: 0.1 }"])
@pytest.mark.parametrize("flags", ["", "propagate_down: false propagate_down: true"])
def test_a_rectified_sum_gives_the_same_numbers(relu: str, flags: str) -> None:
    one, apart = (net(sum_text(relu=relu, flags=flags), "TRAIN") for _ in range(2))
    assert sums(one) == [("relu", True)]
    (row,) = one._runner.fused.values()
    between, last = (one._memory.tops[number][0] for number in row.members)
    assert between.data_storage is last.data_storage  # no room for what is not written
    for _ in range(2):
        found, wanted = results(one, whole=True), results(apart, whole=False)
        assert np.abs(found["other[0]"]).max() > 0
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    np.testing.assert_array_equal(one.blobs["sum"].data, apart.blobs["sum"].data)
    one.clear_weight_diffs()
    for number in reversed(range(len(one.layers))):  # one by one, after both ran as one
        one.backward_layer(number)
    np.testing.assert_array_equal(one.params["other"][0].diff, wanted["other[0]"])


@pytest.mark.parametrize(
    "changed",
    [
        sum_text(body="eltwise_param { operation: PROD }"),
        sum_text(body="eltwise_param { coeff: 1 coeff: -1 }"),
        sum_text(body="loss_weight: 0.1"),
        sum_text(body='bottom: "conv"'),
        sum_text(relu="relu_param { negative_slope: -0.1 }"),
        sum_text(top="rectified"),
        sum_text(more=layer("Silence", "sum", "", name="reader")),
    ],
    ids=["a product", "a difference", "a loss in between", "three", "slope below 0", "not in place", "another reader"],
)
def test_what_is_no_rectified_sum_stays_apart(changed: str) -> None:
    assert changed != sum_text()
    assert sums(net(changed, "TRAIN")) == []
