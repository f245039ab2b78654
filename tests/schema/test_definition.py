"""Definitions of nets and layers, help on settings, and bytes."""

from __future__ import annotations

import pytest

from netforge.errors import PluginError, SchemaError, SettingsError, UnknownNameError
from netforge.schema import LayerDefinition, describe_settings, messages, parse_binary, parse_net, read_net

NET = 'name: "n" force_backward: true plugin: "os" layer { name: "p" type: "Pooling" pooling_param { stride: 2 } }'


def test_a_layer_knows_its_settings() -> None:
    layer = parse_net(NET).layers[0]
    assert (layer.name, layer.type) == ("p", "Pooling")
    assert layer.settings("pooling_param").stride == 2 and layer.settings("pooling_param").round_mode == 0
    assert layer.settings("relu_param").negative_slope == 0 and layer.settings(None) is None
    with pytest.raises(PluginError, match=r'no field "poling_param".*"pooling_param"'):
        layer.settings("poling_param")
    assert (
        layer.has("pooling_param.stride") and not layer.has("pooling_param.pad") and not layer.has("relu_param.engine")
    )
    assert layer.has("name") and not layer.has("bottom")
    with pytest.raises(SettingsError, match='PoolingParameter has no field "pd"'):
        layer.has("pooling_param.pd")


def test_a_layer_without_a_file() -> None:
    layer = LayerDefinition(messages.LayerParameter(name="a", type="B"))
    assert str(layer.locate("pooling_param.pad")) == "<message>"
    assert layer.copy_with(messages.LayerParameter(name="c")).name == "c"


def test_a_net_keeps_what_is_not_a_layer() -> None:
    net = parse_net(NET)
    assert net.name == "n" and net.message.force_backward and not net.message.layer
    assert net.replace_layers(()).layers == ()
    assert read_net(net) is net
    assert read_net(net.to_message()).to_message() == net.to_message()


def test_help_on_built_in_settings() -> None:
    rows = {row.name: row for row in describe_settings("pooling_param")}
    assert rows["stride"].default == "1" and rows["stride"].range == "[1, inf)" and rows["stride"].type == "int"
    assert rows["pool"].choices == ("MAX", "AVE", "STOCHASTIC") and rows["pool"].default == "MAX"
    assert rows["kernel_size"].default is None and rows["global_pooling"].default == "false"
    convolution = {row.name: row for row in describe_settings("convolution_param")}
    assert convolution["kernel_size"].repeated and convolution["weight_filler"].type == "FillerParameter"
    with pytest.raises(UnknownNameError, match='Did you mean "pooling_param"'):
        describe_settings("poolng_param")
    with pytest.raises(UnknownNameError):
        describe_settings("name")


def test_damaged_bytes() -> None:
    data = messages.NetParameter(name="n" * 50).SerializeToString()
    with pytest.raises(SchemaError, match=r"weights: 30 bytes are no NetParameter"):
        parse_binary(messages.NetParameter, data[:30], "weights")


def test_mycaffes_trailer_is_cut_off() -> None:
    message = messages.NetParameter(name="n")
    trailer = bytes(256) + b"mycaffe.ai" + b"1.0.1".ljust(32, b"\0") + bytes(8) + b"mycaffe.ai"
    assert parse_binary(messages.NetParameter, message.SerializeToString() + trailer, "w") == message
