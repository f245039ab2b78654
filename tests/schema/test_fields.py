"""Giving fields of messages values that come from other messages."""

from __future__ import annotations

import pytest

from netforge.schema import messages
from netforge.schema.fields import copy_field


def test_a_field_takes_numbers_texts_messages_and_lists() -> None:
    layer, filler = messages.LayerParameter(), messages.FillerParameter(type="xavier")
    copy_field(layer, "name", "conv")
    copy_field(layer, "top", ["a", "b"])
    copy_field(layer, "top", "c")
    copy_field(layer.convolution_param, "weight_filler", filler)
    copy_field(layer.convolution_param, "kernel_size", 3)
    copy_field(layer, "param", [messages.ParamSpec(lr_mult=2)])
    copy_field(layer, "param", messages.ParamSpec(lr_mult=3))
    assert (layer.name, list(layer.top)) == ("conv", ["a", "b", "c"])
    assert layer.convolution_param == messages.ConvolutionParameter(weight_filler=filler, kernel_size=[3])
    assert [spec.lr_mult for spec in layer.param] == [2, 3]


@pytest.mark.parametrize(("name", "value"), [("name", 3), ("top", 3), ("input_param", "x")])
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError):
        copy_field(messages.LayerParameter(), name, value)
