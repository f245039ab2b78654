"""Towers run as one layer over all their items, and give the numbers that they give one by one."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.net import Net, runner
from tests.net.helpers import dense, input_layer, layer, net

SHARED = 'param { name: "%s_w" } param { name: "%s_b" }'


def tower(suffix: str, bottom: str, dropout: bool = False) -> str:
    conv = 'convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }'
    text = layer("Convolution", bottom, f"conv{suffix}", f"{SHARED % ('c', 'c')} {conv}")
    text += layer("ReLU", f"conv{suffix}", f"conv{suffix}", name=f"relu{suffix}")
    text += layer("Pooling", f"conv{suffix}", f"pool{suffix}", "pooling_param { kernel_size: 2 stride: 2 }")
    text += layer("Flatten", f"pool{suffix}", f"flat{suffix}")
    text += dense(f"flat{suffix}", f"ip{suffix}", 5, SHARED % ("i", "i"))
    if dropout:
        text += layer("Dropout", f"ip{suffix}", f"ip{suffix}", "dropout_param { dropout_ratio: 0.3 }", f"drop{suffix}")
    return text + dense(f"ip{suffix}", f"feat{suffix}", 3, SHARED % ("f", "f"))


def siamese(**options: bool) -> str:
    text = input_layer("pair", 6, 2, 8, 8) + input_layer("sim", 6)
    text += layer("Slice", "pair", "a b", "slice_param { axis: 1 }", name="slice")
    text += tower("", "a", **options) + tower("_p", "b", **options)
    return text + layer("ContrastiveLoss", "feat feat_p sim", "loss", "contrastive_loss_param { margin: 2 }")


def triplet() -> str:
    text = "".join(input_layer(name, 4, 1, 8, 8) for name in "apn")
    text += tower("_a", "a") + tower("_p", "p") + tower("_n", "n")
    for name in "pn":
        text += layer(
            "EuclideanLoss", f"feat_a feat_{name}", f"loss_{name}", f"loss_weight: {'1' if name == 'p' else '-0.4'}"
        )
    return text


def apart(text: str, monkeypatch: pytest.MonkeyPatch, **options: object) -> Net:
    with monkeypatch.context() as patch:
        patch.setattr(runner, "find_towers", lambda *arguments: [])
        return net(text, "TRAIN", **options)


def member_names(built: Net) -> list[list[str]]:
    return [[built.layers[member].name for member in tower.members] for tower in built._runner.towers.values()]


def inputs_for(built: Net, rng: np.random.Generator) -> dict[str, np.ndarray]:
    shapes = {name: built.blobs[name].shape for name in built.inputs}
    return {name: rng.integers(0, 2, s) if name == "sim" else rng.normal(size=s) for name, s in shapes.items()}


def run(built: Net, inputs: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    built.clear_weight_diffs()
    outputs = built.forward(**inputs)
    built.backward()
    blobs = {name: blob.data.copy() for name, blob in built.blobs.items()}
    blobs |= {f"{name} diff": blob.diff.copy() for name, blob in built.blobs.items()}
    return {**blobs, **outputs}, built.flat_weights.diff.copy()


@pytest.mark.parametrize("text", [siamese(), triplet()], ids=["siamese", "triplet"])
def test_the_same_numbers_together_and_apart(
    text: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, single = net(text, "TRAIN"), apart(text, monkeypatch)
    for _ in range(2):
        inputs = inputs_for(together, rng)
        (blobs, gradient), (expected, expected_gradient) = run(together, inputs), run(single, inputs)
        for name, values in expected.items():
            np.testing.assert_allclose(blobs[name], values, rtol=1e-12, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=1e-12)
        assert np.abs(gradient).max() > 0


def test_which_layers_join() -> None:
    assert member_names(net(siamese(), "TRAIN")) == [
        [name, f"{name}_p"] for name in ("conv", "relu", "pool", "flat", "ip", "feat")
    ]
    assert member_names(net(triplet(), "TRAIN"))[0] == ["conv_a", "conv_p", "conv_n"]


def test_memory_lies_side_by_side(rng: np.random.Generator) -> None:
    built = net(siamese(), "TRAIN")
    built.forward(**inputs_for(built, rng))
    first, second = built.blobs["conv"].data, built.blobs["conv_p"].data
    assert second.ctypes.data == first.ctypes.data + first.nbytes


@pytest.mark.parametrize("ranges", [[("conv", "feat"), ("conv_p", "feat_p"), ("loss", None)]])
def test_layers_still_run_one_by_one(ranges: list[tuple[str, str | None]], rng: np.random.Generator) -> None:
    built = net(siamese(), "TRAIN")
    inputs = inputs_for(built, rng)
    expected = built.forward(**inputs)["loss"]
    for blob in ("conv", "conv_p", "feat", "feat_p"):
        built.blobs[blob].data[...] = 0
    for start, end in ranges:
        built.forward(start=start, end=end)
    np.testing.assert_allclose(built.blobs["loss"].data, expected)
    np.testing.assert_allclose(built.forward(**inputs)["loss"], expected)


def test_batches_of_changing_size(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    together, single = net(siamese(), "TRAIN"), apart(siamese(), monkeypatch)
    for items in (6, 9, 2, 9):
        inputs = {"pair": rng.normal(size=(items, 2, 8, 8)), "sim": rng.integers(0, 2, items)}
        (blobs, gradient), (expected, expected_gradient) = run(together, inputs), run(single, inputs)
        np.testing.assert_allclose(blobs["feat_p"], expected["feat_p"], rtol=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


def test_inputs_written_before_the_first_pass_are_kept(rng: np.random.Generator) -> None:
    built = net(triplet(), "TRAIN")
    images = {name: rng.normal(size=(4, 1, 8, 8)) for name in "apn"}
    for name, image in images.items():
        built.blobs[name].data[...] = image
    written = built.forward()
    again = net(triplet(), "TRAIN").forward(**images)
    for name, value in again.items():
        np.testing.assert_array_equal(written[name], value)


def test_towers_with_dropout_repeat_with_the_seed(rng: np.random.Generator) -> None:
    first, second = net(siamese(dropout=True), "TRAIN"), net(siamese(dropout=True), "TRAIN")
    inputs = inputs_for(first, rng)
    np.testing.assert_array_equal(run(first, inputs)[1], run(second, inputs)[1])
    assert ["drop", "drop_p"] in member_names(first)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(siamese().replace('"f_w"', '"g_w"', 1), id="weights of their own"),
        pytest.param(
            input_layer("a", 4, 3) + dense("a", "x", 3, SHARED % ("s", "s")) + dense("x", "y", 3, SHARED % ("s", "s")),
            id="one after the other",
        ),
        pytest.param(
            input_layer("a", 4, 3) + dense("a", "x", 3, SHARED % ("s", "s")) + dense("a", "y", 3, SHARED % ("s", "s")),
            id="the same bottom",
        ),
        pytest.param(
            input_layer("a", 4, 3) + input_layer("b", 4, 3) + dense("a", "x", 3, SHARED % ("s", "s"))
            + dense("b", "y", 3, SHARED % ("s", "s") + " propagate_down: true")
            + layer("EuclideanLoss", "x y", "loss"),
            id="gradients that flow differently",
        ),
        pytest.param(
            input_layer("a", 4, 3) + input_layer("b", 4, 3) + layer("BatchNorm", "a", "x")
            + layer("BatchNorm", "b", "y") + layer("EuclideanLoss", "x y", "loss"),
            id="items that influence each other",
        ),
    ],
)  # fmt: skip
def test_what_stays_apart(text: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    built = net(text, "TRAIN")
    assert not any({"feat", "x", "y"} & set(names) for names in member_names(built))
    inputs = inputs_for(built, rng)
    np.testing.assert_allclose(run(built, inputs)[1], run(apart(text, monkeypatch), inputs)[1], rtol=1e-10, atol=1e-12)
