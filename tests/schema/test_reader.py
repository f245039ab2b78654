"""What the text form may look like: protobuf's syntax, MyCaffe's way of writing it, and the places of fields."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf import text_format

from netforge.schema import messages, parse_net, parse_solver
from netforge.schema.reader import parse_message
from netforge.schema.tokens import SourceText


def read(text: str, cls: Any = messages.LayerParameter) -> Any:
    return parse_message(cls, SourceText(text, "f")).message


SYNTAX = [
    'name: "a"',
    "name: 'a'",
    'name:"a"type:"b"',
    'name: "a" "b" \'c\'',
    'name: "a"  # end of line\n # whole line\n type: "T"',
    'name: "a", type: "T"; top: "x",',
    'bottom: ["a", \'b\' "c"] top: []',
    "loss_weight: [1, 2.5, -3e-2]",
    "loss_weight: 1.0f loss_weight: .5 loss_weight: 1. loss_weight: -inf loss_weight: infinity",
    "convolution_param { num_output: 0x1F kernel_size: 010 pad: 3 }",
    "convolution_param: { num_output: 4 }",
    "convolution_param < num_output: 4 weight_filler: < std: 1 > >",
    "convolution_param { engine: CAFFE }",
    "convolution_param { engine: 2 }",
    "param { lr_mult: 1 } param: { lr_mult: 2 }",
    "param: [{ lr_mult: 1 }, < lr_mult: 2 >]",
    "propagate_down: true propagate_down: 0 propagate_down: f propagate_down: True propagate_down: [1, t, False]",
    r'name: "tab\t nl\n q\" a\' b\\ oct\101 hex\x41 u\u00e9 U\U0001F600 bell\a\v\f\b\r"',
    r'name: "\303\251"',
    'name: "\u00e9\u4f60"',
    "include { phase: TEST min_level: -1 stage: 'a' not_stage: \"b\" } include {}",
    "phase: 1",
    "blobs { shape { dim: 2 dim: -1 } data: [1, 2, 3] double_data: 1e300 num: 2 }",
    "",
    "  # only a comment",
]


@pytest.mark.parametrize("text", SYNTAX)
def test_what_protobuf_reads_is_read_alike(text: str) -> None:
    assert read(text) == text_format.Parse(text, messages.LayerParameter())


def test_nan() -> None:
    assert all(math.isnan(value) for value in read("loss_weight: nan loss_weight: NaNf").loss_weight)


def test_what_only_protobufs_cpp_parser_reads() -> None:
    assert list(read("loss_weight: - 5 loss_weight: -\n6 loss_weight: 2F").loss_weight) == [-5, -6, 2]
    assert read(r'name: "\?"').name == "?"


def test_bytes_keep_what_is_no_utf8() -> None:
    assert read(r'data: "\377\000a"', messages.Datum).data == b"\xff\x00a"


DIALECT = [
    ("name: conv1", 'name: "conv1"'),
    ("type: Data}", None),
    ("bottom: a/b-c.d:e=f;g=h\ntop: x", 'bottom: "a/b-c.d:e=f;g=h" top: "x"'),
    (r"name: C:\models\net.txt", r'name: "C:\\models\\net.txt"'),
    ("name: a, type: B; top: c", 'name: "a" type: "B" top: "c"'),
    ("name: a,type: B;top: c", 'name: "a" type: "B" top: "c"'),
    ("bottom: [a, b]", 'bottom: "a" bottom: "b"'),
    ("name: True", 'name: "True"'),
    ("name: inv#c", 'name: "inv"'),
    ("propagate_down: TRUE propagate_down: fAlSe", "propagate_down: true propagate_down: false"),
    ("pooling_param { pool: max }", "pooling_param { pool: MAX }"),
    ("pooling_param\n{\n pool: Ave\n}", "pooling_param { pool: AVE }"),
    ("include { phase: run }", "include { phase: RUN }"),
    ("slice_param { axis: 1 slice_dim: 1 slice_point: 1 }", "slice_param { axis: 1 slice_dim: 1 slice_point: 1 }"),
    ("convolution_param < weight_filler < type: xavier > >", 'convolution_param { weight_filler { type: "xavier" } }'),
    ("loss_weight: 1E-08", "loss_weight: 1e-8"),
]


@pytest.mark.parametrize(("text", "same"), [(t, s) for t, s in DIALECT if s])
def test_mycaffes_way_of_writing(text: str, same: str) -> None:
    assert read(text) == text_format.Parse(same, messages.LayerParameter())


def test_text_without_quotes_ends_at_a_brace() -> None:
    assert parse_net("layer { name: a type: Data}").layers[0].type == "Data"


MYCAFFE_NET = """
name: "SiameseNet"
layer
{
  name: "pair_data" type: "Data" top: "pair_data" top: "sim"
  include { phase: TRAIN }
  use_halfsize: False
  transform_param {
    scale: 0.00390625 color_order: RGB
    mask_param { option { active: True } active: True boundary_left: 0 }
    resize_param { option { active: False } prob: 0 interp_mode: [LINEAR, AREA] }
  }
  data_param {
    source: "MNIST.training" batch_size: 64 backend: IMAGEDB enable_random_selection: True
    display_timing: False images_per_blob: 2 output_all_labels: True balance_matches: True
  }
}
layer
{
  name: "conv1" type: "Convolution" bottom: "pair_data" top: "conv1"
  group_start: True
  max_bottom_count { phase: RUN count: 1 }
  convolution_param { num_output: 20 kernel_size: 5 cudnn_workspace_limit: 1048576
    cudnn_worspace_allow_on_groups: False }
  weight_adapter { name: "a" type: lora enabled: False path: C:\\x\\y }
}
layer
{
  name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 20 kernel_size: 5 cudnn_workspace_limit: 1048576 }
}
"""


def test_mycaffes_fields_without_effect_are_noted_once() -> None:
    net = parse_net(MYCAFFE_NET, "siamese.prototxt")
    noted = [note.split('"')[1] for note in net.notes]
    assert sorted(noted) == [
        "cudnn_workspace_limit", "cudnn_worspace_allow_on_groups", "display_timing", "group_start", "use_halfsize",
        "weight_adapter",
    ]  # fmt: skip
    assert net.notes[0].startswith("siamese.prototxt:7:3: ")
    data = net.layers[0].message
    assert data.data_param.backend == messages.DataParameter.IMAGEDB and data.data_param.images_per_blob == 2
    resize = data.transform_param.resize_param
    assert not resize.option.active and list(resize.interp_mode) == [resize.LINEAR, resize.AREA]
    assert net.layers[1].message.max_bottom_count.count == 1
    assert len(net.layers) == 3


MYCAFFE_SOLVER = r"""
net: "siamese.prototxt"
lr_policy: inv
snapshot_prefix: examples/siamese/mnist_siamese
type: SGD
regularization_type: L2
test_initialization: False
delta: 1E-08
solver_mode: gpu
snapshot_include_weights: True
eval_type: classification
custom_trainer_properties: TrainerType=PG.MT;RewardType=VAL;path=C:\a:b;
verbose_optimization_output: True
"""


def test_mycaffes_solver() -> None:
    solver = parse_solver(MYCAFFE_SOLVER, "s").message
    assert (solver.lr_policy, solver.type, solver.regularization_type) == ("inv", "SGD", "L2")
    assert solver.snapshot_prefix == "examples/siamese/mnist_siamese"
    assert solver.custom_trainer_properties == r"TrainerType=PG.MT;RewardType=VAL;path=C:\a:b"
    assert solver.solver_mode == messages.SolverParameter.GPU and solver.test_initialization is False
    assert solver.delta == pytest.approx(1e-8)


def test_places_of_fields() -> None:
    net = parse_net(
        'name: "n"\n'
        'layer { name: "a" type: "Pooling"\n'
        '  bottom: "x" bottom: "y"\n'
        "  pooling_param {\n"
        "    kernel_size: 2\n"
        "  }\n"
        "  param { lr_mult: 1 } param { decay_mult: 1 } }\n",
        "net.prototxt",
    )
    layer = net.layers[0]
    assert str(layer.place) == "net.prototxt:2:1"
    assert str(layer.locate("bottom[1]")) == "net.prototxt:3:15"
    assert str(layer.locate("pooling_param.kernel_size")) == "net.prototxt:5:5"
    assert str(layer.locate("pooling_param.stride")) == "net.prototxt:4:3"
    assert str(layer.locate("param[1].decay_mult")) == "net.prototxt:7:32"
    assert str(layer.locate("param[7].decay_mult")) == "net.prototxt:2:1"
    assert str(layer.locate("convolution_param.pad")) == "net.prototxt:2:1"


def test_columns_count_characters_in_any_line_ending() -> None:
    net = parse_net('layer {\r\n name: "é" type: "T" top: "x"\r\n}', "f")
    assert str(net.layers[0].locate("top")) == "f:2:22"
