"""Connecting layers by names: what is refused, and with which words."""

from __future__ import annotations

import pytest

from netforge.errors import NetError, NetforgeError, SettingsError, ShapeError
from tests.net.helpers import dense, input_layer, layer, net

DATA = input_layer("data", 4, 3)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (DATA + dense("dat", "ip", 2), NetError, ['unknown bottom blob "dat"', 'Did you mean "data"?', ":2:"]),
        (DATA + layer("ReLU", "later", "y") + dense("data", "later", 2), NetError, ["further down", '"later"']),
        (DATA + layer("ReLU", "y", "y"), NetError, ["cannot read what it makes itself"]),
        (DATA + dense("data", "a", 2) + dense("data", "a", 2, name="b"), NetError, ["made a second time"]),
        (DATA + layer("RelU6", "data", "y"), NetError, ['unknown layer type "RelU6"', '"ReLU"']),
        (DATA + layer("ReLU", "data data", "y"), NetError, ["2 bottom blobs given", "exactly 1"]),
        (DATA + layer("EuclideanLoss", "data", "l"), NetError, ["1 bottom blob given", "exactly 2"]),
        (DATA + dense("data", "a", 2) + dense("a", "b", 2, name="a"), NetError, ["a second layer with weights"]),
        (DATA + dense("data", "a", 2, "loss_weight: 1 loss_weight: 2"), SettingsError, ["given 2 times for 1 top"]),
        (DATA + dense("data", "a", 2, "propagate_down: 1 propagate_down: 1"), NetError, ["given 2 times for 1 bottom"]),
        (DATA + dense("data", "a", 2, "param {} param {} param {}"), SettingsError, ["3 param blocks for 2 weights"]),
        (
            DATA + dense("data", "a", 2, 'param { name: "w" }') + dense("a", "b", 2, 'param { name: "w" }'),
            ShapeError,
            ["(2, 2)", "(2, 3)", "PERMISSIVE"],
        ),
        (
            DATA
            + dense("data", "a", 2, 'param { name: "w" lr_mult: 1 }')
            + dense("data", "b", 2, 'param { name: "w" lr_mult: 2 }'),
            SettingsError,
            ["lr_mult is 2, but 1", ":2:"],
        ),
        (
            DATA
            + dense("data", "a", 2, 'param { name: "w" }')
            + dense("data", "b", 2, 'param { name: "w" lr_mult: 2 }')
            + dense("data", "c", 2, 'param { name: "w" lr_mult: 3 }'),
            SettingsError,
            ["lr_mult is 3, but 2"],
        ),
    ],
)
def test_refusals(text: str, error: type[NetforgeError], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        net(text)
    for word in words:
        assert word in str(caught.value)


def test_outputs_are_alphabetical_and_only_what_nobody_reads() -> None:
    built = net(DATA + dense("data", "zeta", 2) + dense("data", "mid", 2) + dense("mid", "alpha", 2))
    assert built.outputs == ["alpha", "zeta"]
    assert built.inputs == ["data"]


def test_layers_that_miss_loss_tops_get_them() -> None:
    built = net(DATA + input_layer("t", 4, 3) + layer("EuclideanLoss", "data t", "", name="loss"))
    built.forward(data=[[1, 0, 0]] * 4, t=[[0, 0, 0]] * 4)
    assert built.loss() == pytest.approx(0.5)
    assert built.outputs == []
