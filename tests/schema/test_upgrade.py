"""Old files come out in today's form: V0 and V1 layers, inputs, BatchNorm, solver_type; binary files keep weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format

from netforge.schema import messages, parse_binary, parse_net, parse_solver, read_net
from netforge.schema.upgrade import _CAMEL_CASE

V0_NET = """
name: "v0"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
layers {
  layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 3 stride: 2 group: 1 biasterm: false
          weight_filler { type: "gaussian" std: 0.1 } blobs_lr: 1. blobs_lr: 2. weight_decay: 1. weight_decay: 0. }
  bottom: "pad1" top: "conv1" }
layers { layer { name: "pad2" type: "padding" pad: 1 } bottom: "conv1" top: "pad2" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 2 stride: 3 } bottom: "pad2" top: "pool1" }
layers { layer { name: "norm" type: "lrn" local_size: 3 alpha: 2 beta: .5 k: 4 dropout_ratio: .25 }
  bottom: "pool1" top: "n" }
layers { layer { name: "img" type: "images" source: "l.txt" batchsize: 2 cropsize: 5 mirror: true meanfile: "m"
                 scale: .5 shuffle_images: true new_height: 6 new_width: 7 rand_skip: 3 } top: "d" }
layers { layer { name: "win" type: "window_data" source: "w" det_fg_threshold: .1 det_bg_threshold: .2
                 det_fg_fraction: .3
                 det_context_pad: 4 det_crop_mode: "square" batchsize: 8 } top: "w" }
layers { layer { name: "cat" type: "concat" concat_dim: 0 } bottom: "d" bottom: "w" top: "c" }
layers { layer { name: "out" type: "hdf5_output" hdf5_output_param { file_name: "o" } } bottom: "c" bottom: "n" }
layers { layer { name: "ig" type: "infogain_loss" source: "H" } bottom: "c" bottom: "n" }
"""
V0_TODAY = """
name: "v0"
layer { name: "input" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 group: 1 bias_term: false pad: 2
    weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: AVE kernel_size: 2 stride: 3 pad: 1 } }
layer { name: "norm" type: "LRN" bottom: "pool1" top: "n" lrn_param { local_size: 3 alpha: 2 beta: .5 k: 4 } }
layer { name: "img" type: "ImageData" top: "d" transform_param { crop_size: 5 mirror: true mean_file: "m" scale: .5 }
  image_data_param { source: "l.txt" batch_size: 2 shuffle: true new_height: 6 new_width: 7 rand_skip: 3 } }
layer { name: "win" type: "WindowData" top: "w" window_data_param { source: "w" fg_threshold: .1 bg_threshold: .2
  fg_fraction: .3 context_pad: 4 crop_mode: "square" batch_size: 8 } }
layer { name: "cat" type: "Concat" bottom: "d" bottom: "w" top: "c" concat_param { concat_dim: 0 } }
layer { name: "out" type: "HDF5Output" bottom: "c" bottom: "n" hdf5_output_param { file_name: "o" } }
layer { name: "ig" type: "InfogainLoss" bottom: "c" bottom: "n" infogain_loss_param { source: "H" } }
"""
V1_NET = """
layers { name: "d" type: DATA top: "data" data_param { source: "s" batch_size: 2 scale: .5 mirror: true crop_size: 3
  mean_file: "m" } include { phase: TRAIN } }
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 1 blobs_lr: 2 weight_decay: 1
  param: "w" param: "b" blob_share_mode: PERMISSIVE loss_weight: 0 convolution_param { num_output: 2 kernel_size: 3 } }
layers { name: "n" bottom: "c" exclude { phase: TEST } }
"""
V1_TODAY = """
layer { name: "d" type: "Data" top: "data" include { phase: TRAIN } data_param { source: "s" batch_size: 2 }
  transform_param { scale: .5 mirror: true crop_size: 3 mean_file: "m" } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" loss_weight: 0
  param { name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 1 } param { name: "b" lr_mult: 2 }
  convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "n" type: "" bottom: "c" exclude { phase: TEST } }
"""


@pytest.mark.parametrize(("old", "today"), [(V0_NET, V0_TODAY), (V1_NET, V1_TODAY)], ids=["V0", "V1"])
def test_old_layers(old: str, today: str) -> None:
    found = parse_net(old).to_message()
    expected = parse_net(today).to_message()
    for a, b in zip(found.layer, expected.layer, strict=True):
        assert a == b
    assert found == expected


def test_settings_that_a_v0_layer_never_used_are_noted_with_their_place() -> None:
    (note,) = parse_net(V0_NET, "old.prototxt").notes
    assert note == 'old.prototxt:11:1: "dropout_ratio" has no effect in a layer of type "lrn"'


def test_upgraded_layers_keep_their_places() -> None:
    net = parse_net(V0_NET, "old.prototxt")
    assert [d.place.line for d in net.layers[:3]] == [3, 5, 10]
    v1 = parse_net(V1_NET, "old.prototxt")
    assert str(v1.layers[1].locate("convolution_param.kernel_size")) == "old.prototxt:5:102"


def test_every_v1_type_has_todays_name() -> None:
    assert set(_CAMEL_CASE) == set(messages.V1LayerParameter.LayerType.values())


def test_upgrading_twice_changes_nothing() -> None:
    once = parse_net(V0_NET).to_message()
    assert read_net(once).to_message() == once


PADDED_V1 = """
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "a" top: "p" }
layers { name: "c" type: CONVOLUTION bottom: "p" top: "p" convolution_param { num_output: 1 kernel_size: 3 } }
layers { name: "r" type: RELU bottom: "p" top: "p" }
"""


def test_padding_ends_where_its_blob_is_made_anew() -> None:
    convolution, relu = parse_net(PADDED_V1).layers
    assert list(convolution.message.bottom) == ["a"] and list(convolution.message.convolution_param.pad) == [2]
    assert list(relu.message.bottom) == ["p"]


@pytest.mark.parametrize("shape", ["input_shape { dim: 2 dim: 3 } input_shape { dim: 2 }", "input_shape { dim: 4 }"])
def test_inputs_with_shapes(shape: str) -> None:
    (layer,) = parse_net(f'input: "a" input: "b" {shape}').layers
    assert (layer.name, layer.type, list(layer.message.top)) == ("input", "Input", ["a", "b"])
    assert len(layer.settings("input_param").shape) == shape.count("input_shape")


def test_batch_norm_with_three_param_blocks_is_frozen() -> None:
    text = 'layer {{ name: "b" type: "BatchNorm" {} }}'
    frozen = parse_net(text.format("param { lr_mult: 1 } param {} param { name: 'x' }")).layers[0].message
    assert [(p.lr_mult, p.decay_mult) for p in frozen.param] == [(0, 0)] * 3 and frozen.param[2].name == "x"
    two = parse_net(text.format("param { lr_mult: 1 } param {}")).layers[0].message
    assert [p.lr_mult for p in two.param] == [1, 1]


def test_messages_given_are_not_changed() -> None:
    for text in (V0_NET, V1_NET, PADDED_V1, 'layer { type: "BatchNorm" param {} param {} param {} }'):
        message = messages.NetParameter()
        text_format.Parse(text, message)
        before = message.SerializeToString(deterministic=True)
        read_net(message)
        assert message.SerializeToString(deterministic=True) == before


def test_transform_settings_in_the_old_place_of_a_layer_of_today_are_noted() -> None:
    net = parse_net('layer { type: "Data"\n data_param { source: "s"\n scale: 2 mirror: true } }', "n")
    assert net.notes == (
        'n:3:2: "scale" has no effect in data_param; write it in transform_param',
        'n:3:11: "mirror" has no effect in data_param; write it in transform_param',
    )
    assert not parse_net('layer { type: "WindowData" window_data_param { scale: 2 } }').notes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("4", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_solver_type(old: str, new: str) -> None:
    message = parse_solver(f"solver_type: {old}").message
    assert message.type == new and not message.HasField("solver_type")


def test_nets_inside_a_solver_are_upgraded_too() -> None:
    solver = parse_solver('net_param {\n layers { name: "r" type: RELU bottom: "a" top: "a" } }', "s.prototxt")
    net, state = solver.train_net()
    assert net.layers[0].type == "ReLU" and str(net.layers[0].place) == "s.prototxt:2:2"
    assert state.phase == "TRAIN"


def test_weights_of_old_binary_files_are_kept() -> None:
    old = messages.NetParameter(name="n")
    v1 = old.layers.add(name="ip", type=messages.V1LayerParameter.INNER_PRODUCT)
    v1.blobs.add(num=1, channels=1, height=2, width=3, data=range(6))
    v0 = old.layers.add()
    v0.layer.name, v0.layer.type = "conv", "conv"
    v0.layer.blobs.add(data=[1, 2])
    layers = read_net(parse_binary(messages.NetParameter, old.SerializeToString(), "w")).layers
    assert [d.type for d in layers] == ["InnerProduct", "Convolution"]
    assert list(layers[0].message.blobs[0].data) == [0, 1, 2, 3, 4, 5] and layers[0].message.blobs[0].width == 3
    assert list(layers[1].message.blobs[0].data) == [1, 2]


def test_golden_weights_are_read(golden: Path) -> None:
    files = sorted(golden.glob("**/*.caffemodel"))
    assert files
    for path in files:
        net = read_net(parse_binary(messages.NetParameter, path.read_bytes(), str(path)))
        assert any(len(d.message.blobs) for d in net.layers), path
