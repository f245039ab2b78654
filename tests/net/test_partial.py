"""Running part of a net, as pycaffe allows: gradients written by hand, inputs rewritten in place, towers apart."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.errors import NetError
from netforge.net import Net
from tests.net.helpers import dense, input_layer, layer, net

DATA = input_layer("data", 4, 3)
SHARED = 'param { name: "w" } param { name: "b" }'
SIAMESE = (
    "force_backward: true\n"
    + input_layer("a", 4, 6)
    + input_layer("b", 4, 6)
    + dense("a", "fa", 5, SHARED, name="left")
    + dense("b", "fb", 5, SHARED, name="right")
    + layer("Sigmoid", "fa", "fa", name="left_sigmoid")
    + layer("Sigmoid", "fb", "fb", name="right_sigmoid")
    + layer("EuclideanLoss", "fa fb", "loss", name="loss")
)


def test_an_input_keeps_its_values_where_others_read_it_besides_an_in_place_layer(rng: np.random.Generator) -> None:
    built = net(DATA + layer("Power", "data", "copy") + layer("ReLU", "data", "data", name="relu"))
    for items in (4, 7):
        x = rng.normal(size=(items, 3))
        found = built.forward(data=x)
        np.testing.assert_array_equal(found["copy"], x)
        np.testing.assert_array_equal(found["data"], np.maximum(x, 0))
        np.testing.assert_array_equal(built.forward(end="relu")["data"], np.maximum(x, 0))
    built.blobs["data"].data[...] = 3
    np.testing.assert_array_equal(built.forward()["copy"], np.full((7, 3), 3))


def test_gradients_written_into_outputs_count(rng: np.random.Generator) -> None:
    built = net("force_backward: true\n" + DATA + dense("data", "h", 5), "TRAIN")
    built.forward(data=rng.normal(size=(4, 3)))
    gradient = rng.normal(size=(4, 5))
    built.blobs["h"].diff[...] = gradient
    np.testing.assert_allclose(built.backward()["data"], gradient @ built.params["h"][0].data)


def test_the_layer_to_start_from_takes_the_gradient_written_into_its_top(rng: np.random.Generator) -> None:
    built = net("force_backward: true\n" + DATA + dense("data", "h", 5) + dense("h", "x", 2) + dense("h", "y", 2))
    built.forward(data=rng.normal(size=(4, 3)))
    built.backward(x=rng.normal(size=(4, 2)), y=rng.normal(size=(4, 2)))
    gradient = rng.normal(size=(4, 5))
    built.blobs["h"].diff[...] = gradient
    np.testing.assert_allclose(built.backward(start="h")["data"], gradient @ built.params["h"][0].data)


def one_by_one(built: Net) -> None:
    built.clear_weight_diffs()
    for number in range(len(built.layers)):
        built.forward_layer(number)
    for number in reversed(range(len(built.layers))):
        built.backward_layer(number)


def run_whole_then_back_in_parts(built: Net) -> None:
    built.forward()
    built.backward(start="loss", end="right_sigmoid")
    built.backward(start="left_sigmoid")


def run_parts_then_back_as_whole(built: Net) -> None:
    built.forward(end="right")
    built.forward(start="left_sigmoid")
    built.backward()


def run_whole_then_the_second_tower_again(built: Net) -> None:
    built.forward()
    built.forward(start="right", end="right")
    built.forward(start="right_sigmoid")
    built.backward()


@pytest.mark.parametrize(
    "run", [run_whole_then_back_in_parts, run_parts_then_back_as_whole, run_whole_then_the_second_tower_again]
)
def test_towers_can_be_run_in_parts(run, rng: np.random.Generator) -> None:
    inputs = {"a": rng.normal(size=(4, 6)), "b": rng.normal(size=(4, 6))}
    expected, built = net(SIAMESE, "TRAIN"), net(SIAMESE, "TRAIN")
    for one in (expected, built):
        for name, values in inputs.items():
            one.blobs[name].data[...] = values
    one_by_one(expected)
    built.clear_weight_diffs()
    run(built)
    np.testing.assert_allclose(built.flat_weights.diff, expected.flat_weights.diff)
    for name in inputs:
        np.testing.assert_allclose(built.blobs[name].diff, expected.blobs[name].diff)


def test_a_gradient_through_a_layer_that_the_newest_pass_left_out_is_refused(rng: np.random.Generator) -> None:
    built = net(SIAMESE, "TRAIN")
    built.forward(a=rng.normal(size=(4, 6)), b=rng.normal(size=(4, 6)))
    built.forward(end="left")
    with pytest.raises(NetError, match=r"layer \"right\" .*Call forward first"):
        built.backward(start="right")
