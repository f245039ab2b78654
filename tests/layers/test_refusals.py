"""Settings and shapes that do not fit: refused when the net is built, with the layer, the reason and the line."""

from __future__ import annotations

import pytest

from netforge.errors import NetforgeError
from netforge.net import Net
from netforge.schema import parse_net
from tests.layers.cases import row

IMAGE = [(2, 4, 6, 6)]

REFUSED = [
    # type, shapes of bottoms, number of tops, settings, part of the message
    ("Convolution", IMAGE, 1, "convolution_param { kernel_size: 3 }", "num_output is missing"),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 2 }", "kernel_size is given 0 times for 2 spatial axes"),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 2 kernel_size: [3, 3, 3] }", "given 3 times"),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 2 kernel_h: 3 }", "kernel_h is given alone"),
    (
        "Convolution",
        IMAGE,
        1,
        "convolution_param { num_output: 2 kernel_size: 3 kernel_h: 3 kernel_w: 3 }",
        "both kernel_size",
    ),
    (
        "Convolution",
        [(2, 4, 6)],
        1,
        "convolution_param { num_output: 2 kernel_h: 3 kernel_w: 3 }",
        "for 2 spatial axes",
    ),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 2 kernel_size: 9 }", "does not fit into bottom"),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 4 kernel_size: 1 group: 3 }", "group 3 does not divide"),
    ("Convolution", IMAGE, 1, "convolution_param { num_output: 2 kernel_size: 1 axis: 4 }", "axis 4 is out of range"),
    (
        "Convolution",
        [(2, 4, 6, 6), (2, 4, 5, 6)],
        2,
        "convolution_param { num_output: 2 kernel_size: 1 }",
        "differ in shape",
    ),
    ("Pooling", IMAGE, 1, "", "no window is given"),
    ("Pooling", IMAGE, 1, "pooling_param { kernel_h: 2 }", "kernel_h is given"),
    ("Pooling", IMAGE, 1, "pooling_param { kernel_size: 2 stride: 2 stride_h: 2 }", "mixed form"),
    ("Pooling", IMAGE, 1, "pooling_param { kernel_size: 2 pad: 2 }", "not smaller than the window"),
    ("Pooling", IMAGE, 1, "pooling_param { kernel_size: 9 round_mode: FLOOR }", "does not fit into bottom"),
    ("Pooling", IMAGE, 1, "pooling_param { kernel_size: 2 pool: STOCHASTIC }", "stochastic pooling is not offered"),
    ("Pooling", IMAGE, 1, "pooling_param { global_pooling: true kernel_size: 2 }", "whole image as its window"),
    ("Pooling", IMAGE, 2, "pooling_param { kernel_size: 2 pool: AVE }", "no mask"),
    ("Pooling", [(2, 3)], 1, "pooling_param { kernel_size: 2 }", "takes (N, C, H, W)"),
    ("SPP", [(2, 4, 3, 3)], 1, "spp_param { pyramid_height: 4 }", "too small for"),
    ("SPP", IMAGE, 1, "", "pyramid_height is missing"),
    ("LRN", IMAGE, 1, "lrn_param { local_size: 4 }", "odd number"),
    ("InnerProduct", [(2, 3)], 1, "", "num_output is missing"),
    ("InnerProduct", [(2, 3)], 1, "inner_product_param { num_output: 2 axis: 3 }", "axis 3 is out of range"),
    ("Embed", [(2,)], 1, "embed_param { num_output: 2 }", "input_dim is missing"),
    ("Scale", [(2, 3), (4,)], 1, "", "does not match bottom"),
    ("Bias", [(2, 3)], 1, "bias_param { num_axes: 3 }", "num_axes 3 is too many"),
    ("Dropout", [(2, 3)], 1, "dropout_param { dropout_ratio: 1 }", "dropout_ratio"),
    ("PReLU", [(2,)], 1, "", "PReLU takes (N, C, ...)"),
    ("ELU", [(2,)], 1, "elu_param { alpha: -1 }", "alpha is -1"),
    ("Clip", [(2,)], 1, "clip_param { min: 1 max: 0 }", "min is above max"),
    ("Exp", [(2,)], 1, "exp_param { base: 0 }", "base 0 is not usable"),
    ("Log", [(2,)], 1, "log_param { base: 1 }", "base 1 is not usable"),
    ("Concat", [(2, 3), (3, 3)], 1, "", "bottoms differ off axis 1"),
    ("Concat", [(2, 3), (2, 3)], 1, "concat_param { axis: 1 concat_dim: 0 }", "differ"),
    ("Concat", [(2, 3), (2, 3, 1)], 1, "", "bottoms differ off axis 1"),
    ("Slice", [(2, 5)], 2, "", "cannot be cut into 2 equal parts"),
    ("Slice", [(2, 5)], 2, "slice_param { slice_point: 1 slice_point: 2 }", "2 slice points make 3 parts"),
    ("Slice", [(2, 5)], 3, "slice_param { slice_point: 3 slice_point: 2 }", "do not rise"),
    ("Slice", [(2, 5)], 2, "slice_param { slice_point: 5 }", "do not rise"),
    ("Slice", [(2, 5)], 2, "slice_param { slice_dim: 4 }", "slice_dim 4 is out of range"),
    ("Flatten", [(2, 3, 4)], 1, "flatten_param { axis: 2 end_axis: 1 }", "comes before"),
    ("Reshape", [(2, 6)], 1, "reshape_param { shape { dim: 5 } }", "has 5 elements"),
    ("Reshape", [(2, 6)], 1, "reshape_param { shape { dim: -1 dim: -1 } }", "more than one size is -1"),
    ("Reshape", [(2, 6)], 1, "reshape_param { shape { dim: 5 dim: -1 } }", "cannot be divided by 5"),
    ("Reshape", [(2, 6)], 1, "reshape_param { shape { dim: 1 dim: 1 dim: 0 } }", "copies axis 2"),
    ("Reshape", [(2, 6)], 1, "reshape_param { axis: 3 shape { dim: 1 } }", "out of range"),
    ("Tile", [(2, 6)], 1, "", "tiles is missing"),
    ("Crop", [(2, 3), (2, 3, 1)], 1, "", "number of axes"),
    ("Crop", [(2, 3, 4), (2, 3, 4)], 1, "crop_param { offset: 1 }", "goes beyond"),
    ("Crop", [(2, 3, 4), (2, 2, 2)], 1, "crop_param { axis: 1 offset: [1, 1, 1] }", "offset is given 3 times"),
    ("BatchReindex", [(2, 3), (2, 3)], 1, "", "Indices have one axis"),
    ("Filter", [(2, 3), (2, 3)], 1, "", "one number for each item"),
    ("Filter", [(2, 3), (2,)], 2, "", "need 1 tops"),
    ("Eltwise", [(2, 3), (3, 2)], 1, "", "differ in shape"),
    ("Eltwise", [(2, 3)] * 2, 1, "eltwise_param { operation: PROD coeff: [1, 2] }", "coeff does not go with PROD"),
    ("Eltwise", [(2, 3)] * 2, 1, "eltwise_param { coeff: 1 }", "coeff is given 1 times"),
    ("Eltwise", [(2, 3)] * 2, 1, "eltwise_param { operation: DIV }", "operation DIV is not offered"),
    ("Reduction", [(2, 3)], 1, "reduction_param { operation: MIN }", "operation MIN is not offered"),
    ("Reduction", [(2, 3)], 1, "reduction_param { axis: 2 }", "axis 2 is out of range"),
    ("ArgMax", [(2, 3)], 1, "argmax_param { top_k: 4 }", "top_k is 4"),
    ("BatchNorm", IMAGE, 1, "param { lr_mult: 1 }", "no solver changes"),
    ("BatchNorm", IMAGE, 1, "batch_norm_param { scale_bias: true }", "Add a Scale layer"),
    ("MVN", [(2,)], 1, "", "MVN takes (N, C, ...)"),
    ("EuclideanLoss", [(2, 3), (2, 4)], 1, "", "differ in elements"),
    ("EuclideanLoss", [(2, 3), (3, 2)], 1, "", "number of items"),
    ("HingeLoss", [(2, 3), (2, 2)], 1, "", "one label for each item"),
    ("SigmoidCrossEntropyLoss", [(2, 3), (2, 4)], 1, "", "differ in elements"),
    ("InfogainLoss", [(2, 3), (2,), (2, 2)], 1, "", "H has 4 elements, 3 classes need 9"),
    ("InfogainLoss", [(2, 3), (2,)], 1, 'infogain_loss_param { source: "/" }', "cannot be read: Is a directory"),
    ("Decode", [(2, 3), (3,)], 1, "", "number of items"),
    ("Decode", [(2, 3), (2,)], 1, "decode_param { target: KNN k: 9 recent_items: 4 }", "k 9 is above the 4"),
    ("Accuracy", [(2, 3), (3,)], 1, "", "need 2"),
    ("Accuracy", [(2, 3), (2,)], 1, "accuracy_param { enable_last_element_only: true }", "is not offered"),
    ("AccuracyDecode", [(2, 3), (2,)], 1, "accuracy_param { enable_last_element_only: true }", "is not offered"),
    ("LSTM", [(2, 3, 4), (2, 3)], 1, "", "num_output is missing"),
    ("LSTM", [(2, 3, 4), (3, 2)], 1, "recurrent_param { num_output: 2 }", "do not fit"),
    ("RNN", [(2, 3, 4), (2, 3)], 2, "recurrent_param { num_output: 2 }", "2 tops do not fit"),
    ("LSTM", [(2, 3, 4), (2, 3)], 1, "recurrent_param { num_output: 2 expose_hidden: true }", "then 2 states"),
    ("Input", [], 2, "input_param { shape { dim: 1 } shape { dim: 2 } shape { dim: 3 } }", "shape is given 3 times"),
    ("DummyData", [], 1, "", "shape is missing"),
    ("DummyData", [], 1, "dummy_data_param { shape { dim: 2 } num: 3 }", "both given"),
]


@pytest.mark.parametrize(("type_", "shapes", "tops", "settings", "message"), REFUSED)
def test_refused(type_: str, shapes, tops: int, settings: str, message: str) -> None:
    names = [f"x{i}" for i in range(len(shapes))]
    lines = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {size}" for size in shape)
        + " } } }"
        for name, shape in zip(names, shapes, strict=True)
    ]
    lines.append(f"layer {{ {row(type_, ' '.join(names), ' '.join(f'y{i}' for i in range(tops)), settings)} }}")
    with pytest.raises(NetforgeError) as caught:
        Net(parse_net("\n".join(lines)), "TRAIN")
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"<text>:{len(lines)}:")
    assert f'"under_test" ({type_})' in text or "must be between" in text
