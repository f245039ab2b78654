"""Layers and nets against numbers computed by the original Caffe (the folder's README explains them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.device import get_device
from netforge.device.random import RandomStream
from netforge.errors import NetforgeError
from netforge.filler import make_fill
from netforge.net import Net
from netforge.schema import parse_net
from tests.golden.helpers import assert_close, set_weights

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "golden" / "open"

NOT_YET: tuple[str, ...] = ()
"""Cases that netforge does not pass yet; the list only gets shorter, and a case in it that passes is a failure."""

DIFFERENT: dict[str, str] = {}
"""Cases that netforge answers otherwise on purpose, each with the reason."""

needs_golden = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the numbers computed by the original Caffe are not beside this checkout"
)


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text()) if FOLDER.is_dir() else {}


def layer_cases() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


def built(folder: Path, case: dict[str, Any]) -> tuple[Net, dict[str, np.ndarray]]:
    """The case's net with its weights and inputs, warmed up where the case asks for it."""
    net = Net(folder / "net.prototxt", case["phase"], case["level"], case["stages"], seed=1)
    if (folder / "weights.npz").exists():
        set_weights(net, np.load(folder / "weights.npz"))
    inputs = dict(np.load(folder / "inputs.npz")) if (folder / "inputs.npz").exists() else {}
    for name, array in inputs.items():
        net.blobs[name].reshape(array.shape)
    net.reshape()
    if case.get("warmup"):
        net.forward(**np.load(folder / "warmup.npz"))
    return net, inputs


def run(folder: Path) -> None:
    """Forward, and backward where the case has it; compare every value that Caffe gave."""
    case = json.loads((folder / "case.json").read_text())
    net, inputs = built(folder, case)
    net.forward(**inputs)
    got = {"loss": net.loss(), **{f"blob/{name}/data": blob.data.copy() for name, blob in net.blobs.items()}}
    if case["backward"]:
        diffs = np.load(folder / "diffs.npz") if (folder / "diffs.npz").exists() else {}
        net.clear_weight_diffs()
        net.backward(**diffs)
        got |= {f"blob/{name}/diff": blob.diff for name, blob in net.blobs.items()}
    for layer, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            got |= {f"param/{layer}/{i}/diff": blob.diff, f"param/{layer}/{i}/data": blob.data}
    expected = np.load(folder / "expected.npz")
    for key in expected.files:
        assert key in got, f"{key} is missing"
        assert_close(got[key], expected[key], (case["rtol"], case["atol"]), key)


@needs_golden
@pytest.mark.parametrize("name", layer_cases())
def test_layer(name: str) -> None:
    if name in DIFFERENT:
        pytest.skip(DIFFERENT[name])
    if name not in NOT_YET:
        run(FOLDER / name)
        return
    with pytest.raises((NetforgeError, AssertionError)):
        run(FOLDER / name)


@needs_golden
@pytest.mark.parametrize("case", load("errors.json").get("cases", []), ids=lambda case: case["id"])
def test_refusal(case: dict[str, Any]) -> None:
    if case["accepted"]:
        net = Net(parse_net(case["prototxt"]))
        assert {name: list(blob.shape) for name, blob in net.blobs.items()} == case["shapes"]
    elif not case["limit"]:
        with pytest.raises(NetforgeError) as caught:
            Net(parse_net(case["prototxt"]))
        assert str(caught.value).startswith("<text>")


def filled(prototxt_filler: str, shape: tuple[int, ...]) -> np.ndarray:
    text = (
        f'layer {{ name: "d" type: "DummyData" top: "d" dummy_data_param {{ data_filler {{ {prototxt_filler} }} }} }}'
    )
    parameter = parse_net(text).layers[0].settings("dummy_data_param").data_filler[0]
    flat = np.zeros(int(np.prod(shape)), np.float32)
    fill = make_fill(parameter, shape, RandomStream(1, "filler"), get_device("cpu"))
    if fill is not None:
        fill(flat)
    return flat.reshape(shape)


def compare_statistics(values: np.ndarray, expected: dict[str, Any]) -> None:
    """Mean and variance within five standard errors of both samples, and the support of a uniform filler."""
    if "values" in expected:
        np.testing.assert_allclose(values.ravel(), expected["values"], rtol=1e-6)
        return
    if "constant" in expected:
        np.testing.assert_allclose(values, expected["constant"], rtol=1e-6)
        return
    flat = values.astype(np.float64).ravel()
    mean_error = np.sqrt(expected["mean_se"] ** 2 + flat.var() / flat.size)
    assert abs(flat.mean() - expected["mean"]) < 5 * mean_error
    centred = (flat - flat.mean()) ** 2
    variance_error = np.sqrt(expected["var_se"] ** 2 + centred.var() / flat.size)
    assert abs(flat.var() - expected["var"]) < 5 * variance_error
    if "row_sum" in expected:
        np.testing.assert_allclose(values.reshape(len(values), -1).sum(axis=1), 1, atol=1e-5)


@needs_golden
@pytest.mark.parametrize("case", load("fillers.json").get("direct", []), ids=lambda case: case["id"])
def test_filler(case: dict[str, Any]) -> None:
    values = filled(case["filler"], tuple(case["shape"]))
    compare_statistics(values, case)
    if case["id"].startswith(("uniform", "xavier")):
        slack = 1e-3 * (case["max"] - case["min"])
        assert case["min"] - slack <= values.min() and values.max() <= case["max"] + slack


@needs_golden
@pytest.mark.parametrize("case", load("fillers.json").get("layer", []), ids=lambda case: case["id"])
def test_filled_layer(case: dict[str, Any]) -> None:
    net = Net(parse_net(case["prototxt"]), seed=3)
    for blob, expected in zip(net.params[case["layer"]], case["params"], strict=True):
        assert list(blob.shape) == expected["shape"]
        compare_statistics(blob.data, expected)


@needs_golden
@pytest.mark.parametrize("case", load("fillers.json").get("dropout_train", []), ids=lambda case: str(case["ratio"]))
def test_dropout_in_training(case: dict[str, Any]) -> None:
    text = (
        f'force_backward: true input: "x" input_shape {{ dim: {case["n"]} }}'
        f'layer {{ name: "y" type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: {case["ratio"]} }} }}'
    )
    net = Net(parse_net(text), "TRAIN", seed=5)
    ones = np.ones(case["n"], np.float32)
    y = net.forward(x=ones)["y"]
    np.testing.assert_allclose(np.unique(y[y != 0]), case["kept_values"], rtol=1e-6)
    spread = np.sqrt(case["ratio"] * (1 - case["ratio"]) / case["n"])
    assert abs(np.mean(y == 0) - case["frac_zero"]) < 5 * np.sqrt(2) * spread
    np.testing.assert_array_equal(net.backward(y=ones)["x"], y)
