"""Weights, activations, gradients and confusions of a small net: what is measured and what pages hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from netforge.data import open_source
from netforge.errors import NetError, SnapshotError
from netforge.inspect.activations import Activation, activations, activations_page
from netforge.inspect.blob_pictures import top_picture, weight_picture
from netforge.inspect.confusion import confusion_page
from netforge.inspect.gradients import WeightNorms, gradient_norms, gradients_page, verdicts
from netforge.inspect.weights import WeightPicture, weight_pictures, weights_page
from netforge.net import Net
from netforge.recognition import Embedder, ImageSet, Recognizer, recognize_labelled
from netforge.schema import parse_net, read_net
from tests.recognition.helpers import DECODE, SOFTMAX, make_net

CONV = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""


@pytest.fixture
def embedder(tmp_path: Path):
    with Embedder(*make_net(tmp_path, DECODE, CONV)) as made:
        yield made


def test_every_weight_has_a_picture(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, DECODE, CONV)
    definition = read_net(model)
    shown, absent = weight_pictures(definition, weights)
    assert absent == []
    assert [one.name for one in shown][:4] == ["feat[0]", "feat[1]", "decode[0]", "decode[1]"]
    assert shown[-2].caption == "4 filters of 3 x 3"
    page = weights_page(shown, "small <net>", "small.caffemodel")
    assert page.count("<img ") == len(shown) and "small &lt;net&gt;" in page
    assert [one.layer for one in weight_pictures(definition, weights, "conv")[0]] == ["conv", "conv"]
    with pytest.raises(NetError, match=r'"cnv".*Did you mean "conv"'):
        weight_pictures(definition, weights, "cnv")
    make_net(tmp_path, DECODE, name="less")
    shown, absent = weight_pictures(definition, tmp_path / "less.caffemodel")
    assert absent == ["conv"] and "conv" not in [one.layer for one in shown]
    with pytest.raises(SnapshotError, match='no weights for layer "conv"'):
        weight_pictures(definition, tmp_path / "less.caffemodel", "conv")


def test_weights_of_a_net_that_takes_nothing_but_pairs(tmp_path: Path) -> None:
    text = """
    layer { name: "d" type: "Data" top: "pair" top: "label"
      data_param { source: "digits.training" batch_size: 6 images_per_blob: 2 } }
    layer { name: "cut" type: "Slice" bottom: "pair" top: "a" top: "b" slice_param { axis: 1 } }
    layer { name: "ip" type: "InnerProduct" bottom: "a" top: "ip" inner_product_param { num_output: 3 } }
    """
    with Net(parse_net(text), "TRAIN", seed=1) as net:
        net.save(tmp_path / "pairs.caffemodel")
    shown, _ = weight_pictures(parse_net(text), tmp_path / "pairs.caffemodel")
    assert [one.name for one in shown] == ["ip[0]", "ip[1]"]


WORDS = """
layer { name: "in" type: "DummyData" top: "x" top: "cont"
  dummy_data_param { shape { dim: 5 dim: 2 } shape { dim: 5 dim: 2 } } }
layer { name: "embed" type: "Embed" bottom: "x" top: "e" embed_param { input_dim: 30 num_output: 16 } }
layer { name: "lstm" type: "LSTM" bottom: "e" bottom: "cont" top: "h" recurrent_param { num_output: 20 } }
layer { name: "one" type: "InnerProduct" bottom: "h" top: "a" param { name: "w" } inner_product_param {
  num_output: 4 bias_term: false } }
layer { name: "two" type: "InnerProduct" bottom: "h" top: "b" param { name: "w" } inner_product_param {
  num_output: 4 bias_term: false } }
"""


def test_weights_of_nets_without_images_are_shown_and_shared_ones_once(tmp_path: Path) -> None:
    with Net(parse_net(WORDS), "TRAIN", seed=1) as net:
        net.forward_pass()
        net.save(tmp_path / "words.caffemodel")
    shown, absent = weight_pictures(parse_net(WORDS), tmp_path / "words.caffemodel")
    assert [one.name for one in shown] == ["embed[0]", "embed[1]", "lstm[0]", "lstm[1]", "lstm[2]", "one[0]"]
    assert absent == []


@pytest.mark.parametrize("shape", [(4, 5, 5), (3, 5, 5), (3, 1, 1), (10,), (2, 3), ()])
def test_activations_that_went_wrong_have_pictures_and_numbers(shape: tuple[int, ...]) -> None:
    for worst in (np.nan, np.inf, -np.inf, 3e38):
        values = np.ones(shape, np.float32)
        values.reshape(-1)[::2] = worst
        shown = Activation("relu", "ReLU", "y", values, top_picture(values, "RGB"))
        assert "<h2>relu (ReLU)</h2>" in activations_page([shown], "net", "image")


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (4, 3, 3, 3), (6, 5), (7,), (2, 3, 1, 1), (1, 1500)])
def test_weights_that_went_wrong_have_pictures_and_numbers(shape: tuple[int, ...], worst: float) -> None:
    for share in (1, 3):
        values = np.ones(shape, np.float32)
        values.reshape(-1)[::share] = worst
        picture, caption = weight_picture(values, "RGB")
        shown = WeightPicture("ip", "InnerProduct", 0, values, picture, caption)
        assert picture.dtype == np.uint8 and len(shown.rows()) > 0
        assert "ip (InnerProduct)" in weights_page([shown], "net", "file")


def test_filters_are_stretched_one_by_one_and_shown_in_colours(rng: np.random.Generator) -> None:
    values = np.zeros((2, 3, 1, 2))
    values[0, 0, 0, 0], values[1, 2, 0, 1] = 5, 0.001  # red in the first, blue in the second, however small
    picture, text = weight_picture(values, "RGB")
    assert text == "2 filters of 1 x 2 in colours"
    reds = (picture == [255, 0, 0]).all(axis=2).sum()
    assert reds == (picture == [0, 0, 255]).all(axis=2).sum() > 0
    swapped = weight_picture(values, "BGR")[0]
    np.testing.assert_array_equal((picture == [255, 0, 0]).all(axis=2), (swapped == [0, 0, 255]).all(axis=2))
    _, text = weight_picture(rng.normal(size=(100, 40, 3, 3)))
    assert text == "a row for each of 100 filters (the first 96 of 100), 40 planes (the first 32 of 40)"
    assert max(weight_picture(rng.normal(size=(2000, 700)))[0].shape) <= 512


def test_activations_are_those_of_the_net_and_both_of_a_blob_in_place(embedder: Embedder) -> None:
    pixels = open_source(None, "digits.testing").images[3]
    shown = activations(embedder, pixels)
    by_layer = {one.layer: one for one in shown}
    np.testing.assert_allclose(by_layer["feat"].values, embedder.run(pixels[None], ["feat"])["feat"][0])
    assert by_layer["conv"].values.min() < 0
    np.testing.assert_array_equal(by_layer["relu"].values, np.maximum(by_layer["conv"].values, 0))
    assert activations_page(shown, "net", "an image").count("<img ") == len(shown)


def test_pictures_of_blobs() -> None:
    assert top_picture(np.zeros((5, 1, 1))).shape[0] == 96  # bars
    maps = top_picture(np.stack([np.zeros((2, 2)), np.full((2, 2), 4.0)]))
    assert {0, 255} <= set(maps[..., 0].ravel().tolist())  # one scale for all maps
    picture = top_picture(np.array([1.0, 0, 0]).reshape(3, 1, 1).repeat(2, axis=2), "BGR")
    assert picture[0, 0].tolist() == [0, 0, 255]


def test_gradients_are_those_of_backward_and_weights_stay(tmp_path: Path) -> None:
    model, weights = make_net(tmp_path, SOFTMAX)
    with Net(model, "TRAIN", weights=weights, seed=7) as net:
        before = np.array(net.params["feat"][0].data)
        found = gradient_norms(net, 2)
        np.testing.assert_array_equal(net.params["feat"][0].data, before)
    with Net(model, "TRAIN", weights=weights, seed=7) as net:
        sizes = []
        for _ in range(2):
            net.clear_weight_diffs()
            net.forward()
            net.backward()
            sizes.append(float(np.sqrt(np.mean(np.square(net.params["feat"][0].diff, dtype=np.float64)))))
    assert found[0].name == "feat[0]" and found[0].diff == pytest.approx(sizes)
    assert "feat[0]" in gradients_page(found, "net", 2)


def test_verdicts() -> None:
    sizes = {"a": 1.0, "b": 2.0, "c": 1e-5, "d": 1e5, "e": 0.0, "f": float("nan"), "g": 1.0}
    norms = [WeightNorms(name, 0, (1.0,), (size,)) for name, size in sizes.items()]
    wanted = {"c": "vanishing", "d": "exploding", "e": "no gradient", "f": "NaN or infinite"}
    assert verdicts(norms) == {f"{name}[0]": text for name, text in wanted.items()}
    assert verdicts([WeightNorms("a", 0, (1.0,), (0.0,))]) == {"a[0]": "no gradient"}


def test_cells_of_the_confusion_hold_their_images(embedder: Embedder) -> None:
    images = ImageSet([open_source(None, "digits.testing")])[np.arange(200)]
    outcome = recognize_labelled(Recognizer(embedder), images)
    page = confusion_page(outcome, "small")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S).group(1))
    table = outcome.confusion
    assert {k: cell["count"] for k, cell in data["cells"].items()} == {
        f"{i},{j}": int(table.counts[i, j]) for i, j in np.argwhere(table.counts)
    }
    places = [place for cell in data["cells"].values() for place, _ in cell["items"]]
    assert places == list(range(len(places)))
    i, j = map(int, data["first"].split(","))
    assert not outcome.right_cells[i, j]
    number = int(re.match(r"image (\d+)", data["cells"][data["first"]]["items"][0][1]).group(1))
    assert (outcome.labels[number], outcome.predicted[number]) == (table.labels[i], table.predicted[j])
