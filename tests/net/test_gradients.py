"""Gradients through nets: several readers, weights of losses, routing, sharing; against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.errors import NetError
from netforge.net import Net
from tests.net.helpers import dense, input_layer, layer, net

DATA = input_layer("data", 4, 3)
TARGET = input_layer("target", 4, 2)


def numeric_weight_gradient(built: Net, inputs: dict[str, np.ndarray], weight: np.ndarray) -> np.ndarray:
    """Central differences of the net's loss with respect to every element of a weight."""
    gradient = np.zeros_like(weight)
    for index in np.ndindex(*weight.shape):
        kept = weight[index]
        losses = []
        for step in (1e-5, -1e-5):
            weight[index] = kept + step
            built.forward(**inputs)
            losses.append(built.loss())
        weight[index] = kept
        gradient[index] = (losses[0] - losses[1]) / 2e-5
    return gradient


def check(built: Net, inputs: dict[str, np.ndarray]) -> None:
    built.forward(**inputs)
    built.clear_weight_diffs()
    built.backward()
    for entry in built.learnable:
        analytic = entry.blob.diff.copy()
        numeric = numeric_weight_gradient(built, inputs, entry.blob.data)
        scale = np.abs(numeric).max()
        assert scale > 0, f"{entry.label} has no influence: the test would not notice a wrong gradient"
        np.testing.assert_allclose(analytic, numeric, atol=1e-6 * scale, err_msg=entry.label)


def inputs_for(built: Net, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=built.blobs[name].shape) for name in built.inputs}


NETS = {
    "one blob, three readers": DATA + TARGET + dense("data", "h", 3) + dense("h", "a", 2) + dense("h", "b", 2)
    + layer("EuclideanLoss", "a target", "la") + layer("EuclideanLoss", "b target", "lb")
    + layer("EuclideanLoss", "h data", "lh", "loss_weight: 0.3"),
    "loss weight on a blob that is read on": DATA + TARGET + dense("data", "h", 2, "loss_weight: 0.7")
    + layer("EuclideanLoss", "h target", "loss", "loss_weight: 2"),
    "loss weight on a blob in the middle with an in-place reader": DATA + TARGET
    + dense("data", "h", 2, "loss_weight: 0.7") + layer("ReLU", "h", "h", name="relu")
    + layer("EuclideanLoss", "h target", "loss"),
    "in place while another layer reads the old values": DATA + TARGET + dense("data", "h", 2)
    + layer("EuclideanLoss", "h target", "before") + layer("ReLU", "h", "h", name="relu")
    + layer("EuclideanLoss", "h target", "after"),
    "in place on a view of a blob that others read": DATA + TARGET + dense("data", "h", 2)
    + layer("Reshape", "h", "flat", "reshape_param { shape { dim: -1 } }") + layer("ReLU", "flat", "flat", name="relu")
    + layer("Reshape", "flat", "again", "reshape_param { shape { dim: 4 dim: 2 } }")
    + layer("EuclideanLoss", "again target", "l1") + layer("EuclideanLoss", "h target", "l2"),
    "in place after a layer that needs its own output": DATA + TARGET + dense("data", "h", 2)
    + layer("Sigmoid", "h", "s") + layer("Power", "s", "s", "power_param { power: 2 shift: 1 }", name="square")
    + layer("EuclideanLoss", "s target", "loss"),
    "shared weights": DATA + TARGET + dense("data", "h", 3, 'param { name: "w" } param { name: "b" }')
    + dense("h", "g", 3, 'param { name: "w" } param { name: "b" }') + dense("g", "a", 2)
    + layer("EuclideanLoss", "a target", "loss"),
    "a slice of which one part is unused": DATA + dense("data", "h", 4) + TARGET
    + layer("Slice", "h", "p q", "slice_param { axis: 1 }") + layer("Silence", "q", "", name="hush")
    + layer("EuclideanLoss", "p target", "loss"),
    "negative loss weight": DATA + TARGET + dense("data", "a", 2)
    + layer("EuclideanLoss", "a target", "loss", "loss_weight: -2.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_weight_gradients(name: str, rng: np.random.Generator) -> None:
    built = net(NETS[name], "TRAIN")
    check(built, inputs_for(built, rng))


def test_a_backward_that_does_nothing_is_noticed(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    built = net(NETS["shared weights"], "TRAIN")
    monkeypatch.setattr(built.layers[2], "backward", lambda *arguments: None)
    with pytest.raises(AssertionError):
        check(built, inputs_for(built, rng))


def test_in_place_uses_the_same_memory_where_it_may() -> None:
    built = net(DATA + dense("data", "h", 2) + layer("ReLU", "h", "h", name="relu"))
    assert built._memory.tops[1][0] is built._memory.tops[2][0]


def test_lr_mult_zero_leaves_the_gradient_alone(rng: np.random.Generator) -> None:
    text = DATA + TARGET + dense("data", "h", 2, "param { lr_mult: 0 }") + dense("h", "a", 2)
    built = net(text + layer("EuclideanLoss", "a target", "loss"), "TRAIN")
    built.forward(**inputs_for(built, rng))
    built.backward()
    assert not built.params["h"][0].diff.any()
    assert built.params["h"][1].diff.any()


def test_propagate_down_false_cuts_the_branch(rng: np.random.Generator) -> None:
    text = DATA + TARGET + dense("data", "h", 2) + dense("h", "a", 2, "propagate_down: false")
    built = net(text + layer("EuclideanLoss", "a target", "loss"), "TRAIN")
    built.forward(**inputs_for(built, rng))
    built.backward()
    assert not built.params["h"][0].diff.any()
    assert built.params["a"][0].diff.any()


def test_propagate_down_true_reaches_the_input(rng: np.random.Generator) -> None:
    built = net(
        DATA + TARGET + dense("data", "a", 2, "propagate_down: true") + layer("EuclideanLoss", "a target", "loss"),
        "TRAIN",
    )
    built.forward(**inputs_for(built, rng))
    expected = built.blobs["a"].data - built.blobs["target"].data
    diffs = built.backward()
    np.testing.assert_allclose(diffs["data"], expected / 4 @ built.params["a"][0].data)


def test_force_backward_reaches_inputs_but_not_labels(rng: np.random.Generator) -> None:
    labels = input_layer("label", 4)
    text = "force_backward: true\n" + DATA + labels + dense("data", "a", 2)
    built = net(text + layer("SoftmaxWithLoss", "a label", "loss"), "TRAIN")
    built.forward(data=rng.normal(size=(4, 3)), label=[0, 1, 1, 0])
    diffs = built.backward()
    assert diffs["data"].any()
    assert not diffs["label"].any()


def test_a_net_without_a_loss_takes_gradients_at_its_outputs(rng: np.random.Generator) -> None:
    built = net(DATA + dense("data", "a", 2), "TRAIN")
    x, dy = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    built.forward(data=x)
    built.backward(a=dy)
    np.testing.assert_allclose(built.params["a"][0].diff, dy.T @ x)


def test_backward_twice_adds_up(rng: np.random.Generator) -> None:
    built = net(NETS["shared weights"], "TRAIN")
    built.forward(**inputs_for(built, rng))
    built.backward()
    once = built.flat_weights.diff.copy()
    built.backward()
    np.testing.assert_allclose(built.flat_weights.diff, 2 * once)


def test_a_label_that_depends_on_weights_is_refused() -> None:
    text = DATA + dense("data", "a", 2) + dense("data", "label", 1)
    with pytest.raises(NetError, match="has no gradient for it"):
        net(text + layer("SoftmaxWithLoss", "a label", "loss"), "TRAIN")


def test_loss_weight_on_a_layer_without_gradient_is_refused() -> None:
    text = DATA + input_layer("label", 4) + dense("data", "a", 2)
    with pytest.raises(NetError, match="no gradient"):
        net(text + layer("Accuracy", "a label", "acc", "loss_weight: 1"), "TRAIN")
