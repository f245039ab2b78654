"""Running nets from Python: inputs, ranges, shapes, phases, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.errors import NetError, NetforgeError, ShapeError, SnapshotError
from netforge.layers.base import Layer
from netforge.net import Net
from tests.net.helpers import dense, input_layer, layer, net

DATA = input_layer("data", 4, 3)


def test_no_array_exists_before_the_first_value_is_needed() -> None:
    built = net(input_layer("data", 1_000_000, 1000, 1000) + dense("data", "a", 2, name="ip"))
    assert built.blobs["a"].shape == (1_000_000, 2)
    assert not built.blobs["data"].data_storage.allocated
    assert not built.params["ip"][0].data_storage.allocated


def test_another_batch_size_gives_what_a_fresh_net_gives(rng: np.random.Generator) -> None:
    text = DATA + dense("data", "h", 5) + layer("ReLU", "h", "h", name="relu") + dense("h", "a", 2)
    x = rng.normal(size=(7, 3))
    used = net(text)
    used.forward(data=x[:4])
    fresh = net(text.replace("dim: 4", "dim: 7"))
    np.testing.assert_array_equal(used.forward(data=x)["a"], fresh.forward(data=x)["a"])
    np.testing.assert_array_equal(used.forward(data=x[:2])["a"], fresh.forward(data=x)["a"][:2])


def test_reshape_hands_on_shapes() -> None:
    built = net(DATA + dense("data", "a", 2))
    built.blobs["data"].reshape(9, 3)
    built.reshape()
    assert built.blobs["a"].shape == (9, 2)


def test_a_shape_that_does_not_fit_names_the_layer() -> None:
    built = net(DATA + dense("data", "a", 2))
    with pytest.raises(ShapeError, match=r'layer "a" \(InnerProduct\)'):
        built.forward(data=np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"dat": np.zeros((4, 3))}, 'Did you mean "data"?'),
        ({"data": np.array([["a"] * 3] * 4)}, "takes numbers"),
        ({"data": [[1, 2], [3]]}, "rows differ in length"),
    ],
)
def test_wrong_inputs(inputs: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(NetforgeError) as caught:
        net(DATA + dense("data", "a", 2)).forward(**inputs)
    assert words in str(caught.value)


def test_ranges(rng: np.random.Generator) -> None:
    built = net("force_backward: true\n" + DATA + dense("data", "h", 5) + dense("h", "a", 2), "TRAIN")
    x = rng.normal(size=(4, 3))
    whole = built.forward(data=x)["a"]
    h = built.forward(end="h", data=x)["h"]
    built.blobs["a"].data[...] = 0
    np.testing.assert_array_equal(built.forward(start="a")["a"], whole)
    assert h.shape == (4, 5)
    built.backward(a=np.ones((4, 2)), end="a")
    assert not built.params["h"][0].diff.any()
    assert built.params["a"][0].diff.any()
    with pytest.raises(NetError, match='no layer "ip9"'):
        built.forward(start="ip9")


def test_the_same_seed_gives_the_same_weights_whatever_else_is_in_the_net() -> None:
    first = net(DATA + dense("data", "a", 2))
    second = net(DATA + dense("data", "b", 5) + dense("data", "a", 2))
    np.testing.assert_array_equal(first.params["a"][0].data, second.params["a"][0].data)
    assert not np.array_equal(first.params["a"][0].data, net(DATA + dense("data", "a", 2), seed=2).params["a"][0].data)


def test_learnable_weights_lie_in_one_buffer() -> None:
    built = net(DATA + dense("data", "h", 5) + dense("h", "a", 2))
    flat = built.flat_weights
    for entry in built.learnable:
        window = flat.data[entry.offset : entry.offset + entry.size]
        np.testing.assert_array_equal(window, entry.blob.data.ravel())
        window += 1
        np.testing.assert_array_equal(window, entry.blob.data.ravel())


def test_shared_weights_are_the_owner_s(rng: np.random.Generator) -> None:
    shared = 'param { name: "w" } param { name: "b" }'
    built = net(DATA + dense("data", "a", 3, shared) + dense("data", "b", 3, shared))
    out = built.forward(data=rng.normal(size=(4, 3)))
    np.testing.assert_array_equal(out["a"], out["b"])
    assert [entry.label for entry in built.learnable] == ["a[0]", "a[1]"]
    assert [row.weights[0].shared_with for row in built.describe()[1:]] == [None, "a"]


def test_find_nonfinite_names_the_first_place(rng: np.random.Generator) -> None:
    built = net(DATA + dense("data", "h", 5) + dense("h", "a", 2))
    built.forward(data=rng.normal(size=(4, 3)))
    assert built.find_nonfinite() is None
    built.params["a"][0].data[1, 2] = np.inf
    assert built.find_nonfinite() == ('"a" (InnerProduct)', 'weight "a[0]"')


def test_absurd_sizes_are_refused_when_the_net_is_built() -> None:
    with pytest.raises(ShapeError, match="more than any device holds"):
        net(input_layer("data", 2, 4_000_000, 4_000_000) + dense("data", "a", 2_000_000_000))


SIAMESE = """
layer { name: "pair" type: "Data" top: "pair" top: "sim" include { phase: TRAIN }
        data_param { source: "digits.training" batch_size: 6 images_per_blob: 2 output_all_labels: true } }
layer { name: "pair" type: "Data" top: "pair" top: "sim" include { phase: TEST }
        data_param { source: "digits.testing" batch_size: 4 images_per_blob: 2 output_all_labels: true } }
layer { name: "slice" type: "Slice" bottom: "pair" top: "data" top: "data_p" exclude { phase: RUN } }
layer { name: "feat" type: "InnerProduct" bottom: "data" top: "feat"
        param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 } }
layer { name: "decode" type: "Decode" bottom: "feat" bottom: "sim" top: "distances" }
layer { name: "feat_p" type: "InnerProduct" bottom: "data_p" top: "feat_p" exclude { phase: RUN }
        param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 } }
layer { name: "loss" type: "ContrastiveLoss" bottom: "feat" bottom: "feat_p" bottom: "sim" top: "loss" }
layer { name: "acc" type: "AccuracyDecode" bottom: "distances" bottom: "sim" top: "acc" include { phase: TEST } }
"""


def test_phase_run_takes_one_image(rng: np.random.Generator) -> None:
    built = net(SIAMESE, "RUN")
    assert [type(entry).type for entry in built.layers] == ["Input", "InnerProduct", "Decode"]
    assert built.inputs == ["pair"]
    assert built.blobs["pair"].shape == (1, 1, 8, 8)
    assert list(built.forward(pair=rng.normal(size=(5, 1, 8, 8)))) == ["distances"]


def test_phase_run_turns_softmax_loss_into_softmax() -> None:
    text = """
    layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "digits.training" batch_size: 6 } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 10 } }
    layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
    """
    built = net(text, "RUN")
    assert built.outputs == ["loss"]
    np.testing.assert_allclose(built.forward(data=np.ones((2, 1, 8, 8)))["loss"].sum(axis=1), 1)


def test_phase_run_does_not_take_labels_for_images() -> None:
    text = """
    layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "digits.training" batch_size: 6 } }
    layer { name: "one" type: "Embed" bottom: "label" top: "e" embed_param { input_dim: 10 num_output: 4 } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 10 } }
    layer { name: "decode" type: "Decode" bottom: "ip" bottom: "label" top: "distances" }
    """
    built = net(text, "RUN")
    assert [(entry.type, list(entry.definition.message.bottom)) for entry in built.layers[1:]] == [
        ("InnerProduct", ["data"]),
        ("Decode", ["ip"]),
    ]


def test_what_only_pairs_fit_is_told_with_the_way_out_of_phase_run() -> None:
    text = """
    layer { name: "d" type: "Data" top: "pair" top: "label"
      data_param { source: "digits.training" batch_size: 6 images_per_blob: 2 } }
    layer { name: "cut" type: "Slice" bottom: "pair" top: "a" top: "b" slice_param { axis: 1 } }
    """
    with pytest.raises(NetError, match=r'"cut" \(Slice\).* size 1 .* one image.* exclude { phase: RUN }\.'):
        net(text, "RUN")


def test_phase_run_without_data_is_refused() -> None:
    text = 'layer { name: "m" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }' + layer(
        "ReLU", "x", "y"
    )
    with pytest.raises(NetError, match="needs an Input layer"):
        net(text, "RUN")


@pytest.mark.parametrize(
    ("source", "mend"),
    [
        ("MNIST.testing", "netforge data import mnist FOLDER --name MNIST (or npz, or images), or "),
        ("lmdb/nowhere", "Correct the path, or start netforge in the folder that it is relative to, or "),
    ],
)
def test_phase_run_says_what_to_do_without_its_source(source: str, mend: str, tmp_path: Path) -> None:
    path = tmp_path / "train_val.prototxt"
    backend = "LMDB" if "/" in source else "IMAGEDB"
    path.write_text(
        f'layer {{ name: "d" type: "Data" top: "x" top: "y" data_param {{ source: "{source}" backend: {backend} '
        'batch_size: 4 } } layer { name: "ip" type: "InnerProduct" bottom: "x" inner_product_param { num_output: 2 } }',
        encoding="utf-8",
    )
    with pytest.raises(NetforgeError) as caught:
        Net(path, "RUN", plan_only=True)
    found = 'train_val.prototxt:1:63: layer "d" (Data): phase RUN takes the shape of its input from the data layer'
    assert found in str(caught.value)
    assert str(caught.value).endswith(
        mend + "add a layer of type Input with include { phase: RUN }, which needs no data."
    )
    (tmp_path / "deploy.prototxt").touch()
    with pytest.raises(NetforgeError) as caught:
        Net(path, "RUN", plan_only=True)
    assert str(caught.value).endswith(
        f"{mend}use {tmp_path / 'deploy.prototxt'}, which has an Input layer and needs no data."
    )


def test_freeze_learning_keeps_the_weights_of_a_layer(rng: np.random.Generator) -> None:
    text = DATA + dense("data", "h", 5, "freeze_learning: true") + dense("h", "a", 2)
    built = net(text, "TRAIN")
    built.forward(data=rng.normal(size=(4, 3)))
    built.backward(a=np.ones((4, 2)))
    assert [entry.lr_mult for entry in built.learnable] == [0, 0, 1, 1]
    assert not built.params["h"][0].diff.any()
    assert built.params["a"][0].diff.any()


def test_max_bottom_count_cuts_bottoms_in_phase_run() -> None:
    text = """
    layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "digits.training" batch_size: 6 } }
    layer { name: "double" type: "Power" bottom: "data" top: "double" power_param { scale: 2 } }
    layer { name: "join" type: "Concat" bottom: "data" bottom: "double" top: "join"
            max_bottom_count { phase: RUN count: 1 } }
    """
    assert net(text, "RUN").blobs["join"].shape == (1, 1, 8, 8)
    assert net(text, "TEST").blobs["join"].shape == (6, 2, 8, 8)


def test_a_net_whose_weights_are_missing_lets_go_of_its_layers(tmp_path, monkeypatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(Layer, "close", lambda self: closed.append(self.name))
    with pytest.raises(SnapshotError):
        net(DATA + dense("data", "a", 2), weights=tmp_path / "missing.caffemodel")
    assert closed == ["data", "a"]
