"""The generated files are up to date, load without a warning, and hold Caffe's names, numbers and defaults."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from netforge.schema import messages
from netforge.schema.fields import field_names, is_repeated, is_required
from netforge.schema.ranges import note_of

ROOT = Path(__file__).resolve().parents[2]

# Field numbers of Caffe, written down independently of the .proto: changing one breaks every file out there.
CAFFE_NUMBERS = {
    "BlobShape": "dim1",
    "BlobProto": "num1 channels2 height3 width4 data5 diff6 shape7 double_data8 double_diff9",
    "BlobProtoVector": "blobs1",
    "Datum": "channels1 height2 width3 data4 label5 float_data6 encoded7",
    "NetParameter": "name1 layers2 input3 input_dim4 force_backward5 state6 debug_info7 input_shape8 layer100",
    "LayerParameter": "name1 type2 bottom3 top4 loss_weight5 param6 blobs7 include8 exclude9 phase10 propagate_down11 "
    "transform_param100 loss_param101 accuracy_param102 argmax_param103 concat_param104 contrastive_loss_param105 "
    "convolution_param106 data_param107 dropout_param108 dummy_data_param109 eltwise_param110 exp_param111 "
    "hdf5_data_param112 hdf5_output_param113 hinge_loss_param114 image_data_param115 infogain_loss_param116 "
    "inner_product_param117 lrn_param118 memory_data_param119 mvn_param120 pooling_param121 power_param122 "
    "relu_param123 sigmoid_param124 softmax_param125 slice_param126 tanh_param127 threshold_param128 "
    "window_data_param129 python_param130 prelu_param131 spp_param132 reshape_param133 log_param134 flatten_param135 "
    "reduction_param136 embed_param137 tile_param138 batch_norm_param139 elu_param140 bias_param141 scale_param142 "
    "input_param143 crop_param144 parameter_param145 recurrent_param146 swish_param147 clip_param148",
    "SolverParameter": "train_net1 test_net2 test_iter3 test_interval4 base_lr5 display6 max_iter7 lr_policy8 gamma9 "
    "power10 momentum11 weight_decay12 stepsize13 snapshot14 snapshot_prefix15 snapshot_diff16 solver_mode17 "
    "device_id18 test_compute_loss19 random_seed20 train_net_param21 test_net_param22 debug_info23 net24 net_param25 "
    "train_state26 test_state27 snapshot_after_train28 regularization_type29 solver_type30 delta31 "
    "test_initialization32 average_loss33 stepvalue34 clip_gradients35 iter_size36 snapshot_format37 rms_decay38 "
    "momentum2=39 type40 layer_wise_reduce41 weights42",
    "SolverState": "iter1 learned_net2 history3 current_step4",
    "ParamSpec": "name1 share_mode2 lr_mult3 decay_mult4",
    "NetState": "phase1 level2 stage3",
    "NetStateRule": "phase1 min_level2 max_level3 stage4 not_stage5",
    "FillerParameter": "type1 value2 min3 max4 mean5 std6 sparse7 variance_norm8",
    "TransformationParameter": "scale1 mirror2 crop_size3 mean_file4 mean_value5 force_color6 force_gray7",
    "LossParameter": "ignore_label1 normalize2 normalization3",
    "ConvolutionParameter": "num_output1 bias_term2 pad3 kernel_size4 group5 stride6 weight_filler7 bias_filler8 "
    "pad_h9 "
    "pad_w10 kernel_h11 kernel_w12 stride_h13 stride_w14 engine15 axis16 force_nd_im2col17 dilation18",
    "PoolingParameter": "pool1 kernel_size2 stride3 pad4 kernel_h5 kernel_w6 stride_h7 stride_w8 pad_h9 pad_w10 "
    "engine11 "
    "global_pooling12 round_mode13",
    "InnerProductParameter": "num_output1 bias_term2 weight_filler3 bias_filler4 axis5 transpose6",
    "LRNParameter": "local_size1 alpha2 beta3 norm_region4 k5 engine6",
    "BatchNormParameter": "use_global_stats1 moving_average_fraction2 eps3",
    "ScaleParameter": "axis1 num_axes2 filler3 bias_term4 bias_filler5",
    "DataParameter": "source1 scale2 mean_file3 batch_size4 crop_size5 mirror6 rand_skip7 backend8 "
    "force_encoded_color9 "
    "prefetch10",
    "HDF5DataParameter": "source1 batch_size2 shuffle3",
    "ImageDataParameter": "source1 scale2 mean_file3 batch_size4 crop_size5 mirror6 rand_skip7 shuffle8 new_height9 "
    "new_width10 is_color11 root_folder12",
    "PythonParameter": "module1 layer2 param_str3 share_in_parallel4",
    "ContrastiveLossParameter": "margin1 legacy_version2",
    "SliceParameter": "slice_dim1 slice_point2 axis3",
    "ConcatParameter": "concat_dim1 axis2",
    "EltwiseParameter": "operation1 coeff2 stable_prod_grad3",
    "RecurrentParameter": "num_output1 weight_filler2 bias_filler3 debug_info4 expose_hidden5",
    "AccuracyParameter": "top_k1 axis2 ignore_label3",
    "ArgMaxParameter": "out_max_val1 top_k2 axis3",
    "BiasParameter": "axis1 num_axes2 filler3",
    "ClipParameter": "min1 max2",
    "CropParameter": "axis1 offset2",
    "DropoutParameter": "dropout_ratio1",
    "DummyDataParameter": "data_filler1 num2 channels3 height4 width5 shape6",
    "ELUParameter": "alpha1",
    "EmbedParameter": "num_output1 input_dim2 bias_term3 weight_filler4 bias_filler5",
    "ExpParameter": "base1 scale2 shift3",
    "FlattenParameter": "axis1 end_axis2",
    "HDF5OutputParameter": "file_name1",
    "HingeLossParameter": "norm1",
    "InfogainLossParameter": "source1 axis2",
    "InputParameter": "shape1",
    "LogParameter": "base1 scale2 shift3",
    "MemoryDataParameter": "batch_size1 channels2 height3 width4",
    "MVNParameter": "normalize_variance1 across_channels2 eps3",
    "ParameterParameter": "shape1",
    "PowerParameter": "power1 scale2 shift3",
    "PReLUParameter": "filler1 channel_shared2",
    "ReductionParameter": "operation1 axis2 coeff3",
    "ReLUParameter": "negative_slope1 engine2",
    "ReshapeParameter": "shape1 axis2 num_axes3",
    "SigmoidParameter": "engine1",
    "SoftmaxParameter": "engine1 axis2",
    "SPPParameter": "pyramid_height1 pool2 engine6",
    "SwishParameter": "beta1",
    "TanHParameter": "engine1",
    "ThresholdParameter": "threshold1",
    "TileParameter": "axis1 tiles2",
    "WindowDataParameter": "source1 scale2 mean_file3 batch_size4 crop_size5 mirror6 fg_threshold7 bg_threshold8 "
    "fg_fraction9 context_pad10 crop_mode11 cache_images12 root_folder13",
    "V1LayerParameter": "layer1 bottom2 top3 name4 type5 blobs6 blobs_lr7 weight_decay8 concat_param9 "
    "convolution_param10 data_param11 dropout_param12 hdf5_data_param13 hdf5_output_param14 image_data_param15 "
    "infogain_loss_param16 inner_product_param17 lrn_param18 pooling_param19 window_data_param20 power_param21 "
    "memory_data_param22 argmax_param23 eltwise_param24 threshold_param25 dummy_data_param26 accuracy_param27 "
    "hinge_loss_param29 relu_param30 slice_param31 include32 exclude33 mvn_param34 loss_weight35 transform_param36 "
    "tanh_param37 sigmoid_param38 softmax_param39 contrastive_loss_param40 exp_param41 loss_param42 param1001 "
    "blob_share_mode1002",
    "V0LayerParameter": "name1 type2 num_output3 biasterm4 weight_filler5 bias_filler6 pad7 kernelsize8 group9 "
    "stride10 "
    "pool11 dropout_ratio12 local_size13 alpha14 beta15 source16 scale17 meanfile18 batchsize19 cropsize20 mirror21 "
    "k22 "
    "blobs50 blobs_lr51 weight_decay52 rand_skip53 det_fg_threshold54 det_bg_threshold55 det_fg_fraction56 "
    "det_context_pad58 det_crop_mode59 new_num60 new_channels61 new_height62 new_width63 shuffle_images64 concat_dim65 "
    "hdf5_output_param1001",
}

DEFAULTS = {
    "NetState.phase": 1, "NetState.level": 0, "ParamSpec.lr_mult": 1, "ParamSpec.decay_mult": 1,
    "SolverParameter.test_interval": 0, "SolverParameter.test_initialization": True, "SolverParameter.average_loss": 1,
    "SolverParameter.iter_size": 1, "SolverParameter.regularization_type": "L2", "SolverParameter.clip_gradients": -1,
    "SolverParameter.snapshot_format": 1, "SolverParameter.solver_mode": 1, "SolverParameter.random_seed": -1,
    "SolverParameter.type": "SGD", "SolverParameter.snapshot_after_train": True,
    "SolverParameter.layer_wise_reduce": True, "FillerParameter.type": "constant", "FillerParameter.sparse": -1,
    "DataParameter.backend": 0, "DataParameter.prefetch": 4, "PoolingParameter.stride": 1,
    "PoolingParameter.round_mode": 0, "LossParameter.normalization": 1, "ExpParameter.base": -1,
    "SoftmaxParameter.axis": 1, "SliceParameter.slice_dim": 1, "ReshapeParameter.num_axes": -1,
    "FlattenParameter.end_axis": -1, "CropParameter.axis": 2, "LRNParameter.local_size": 5, "LRNParameter.beta": 0.75,
    "DropoutParameter.dropout_ratio": 0.5, "ContrastiveLossParameter.margin": 1, "EltwiseParameter.operation": 1,
    "WindowDataParameter.crop_mode": "warp", "ImageDataParameter.batch_size": 1, "ImageDataParameter.is_color": True,
    "DataParameter.balance_matches": True, "DataParameter.images_per_blob": 1, "DecodeParameter.cache_size": 100,
    "DecodeParameter.target": 1, "DecodeParameter.recent_items": 0, "TripletLossParameter.alpha": 1.1,
    "DataSequenceParameter.cache_size": 256,
}  # fmt: skip


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "proto" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_what_the_generator_writes() -> None:
    pytest.importorskip("grpc_tools")
    for name, text in load_generator().generate().items():
        found = (ROOT / "netforge" / "schema" / name).read_text(encoding="utf-8")
        assert found == text, f"{name} is out of date: run python proto/generate.py"


def test_import_gives_no_warning() -> None:
    code = (
        "import warnings; warnings.simplefilter('error'); from netforge.schema import messages; messages.NetParameter()"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("message", CAFFE_NUMBERS)
def test_field_numbers_are_caffes(message: str) -> None:
    descriptor = getattr(messages, message).DESCRIPTOR
    limit = 1003 if message in ("V1LayerParameter", "V0LayerParameter") else 1000
    found = {f.name: f.number for f in descriptor.fields if f.number < limit}
    expected = {}
    for entry in CAFFE_NUMBERS[message].split():
        name, equals, number = entry.partition("=")
        if not equals:
            name = entry.rstrip("0123456789")
            number = entry[len(name) :]
        expected[name] = int(number)
    assert found == expected


@pytest.mark.parametrize("field", DEFAULTS)
def test_defaults(field: str) -> None:
    message, _, name = field.partition(".")
    assert getattr(getattr(messages, message)(), name) == pytest.approx(DEFAULTS[field])


def test_enum_values() -> None:
    assert [messages.Phase.Name(i) for i in range(5)] == ["TRAIN", "TEST", "RUN", "NONE", "ALL"]
    assert dict(messages.DataParameter.DB.items()) == {"LEVELDB": 0, "LMDB": 1, "IMAGEDB": 2}
    assert messages.ReductionParameter.MEAN == 4 and messages.HingeLossParameter.L2 == 2
    types = dict(messages.V1LayerParameter.LayerType.items())
    assert sorted(types.values()) == list(range(40))
    assert (types["NONE"], types["SOFTMAX_LOSS"], types["DECONVOLUTION"], types["SLICE"]) == (0, 21, 39, 33)


def test_packed_fields_are_read_in_both_forms() -> None:
    packed = messages.BlobProto(data=[1, 2]).SerializeToString()
    unpacked = b"\x2d\x00\x00\x80\x3f\x2d\x00\x00\x00\x40"
    assert packed == b"\x2a\x08\x00\x00\x80\x3f\x00\x00\x00\x40"
    assert messages.BlobProto.FromString(unpacked) == messages.BlobProto.FromString(packed)


def test_every_field_has_a_note_and_every_default_lies_in_its_range() -> None:
    checked = 0
    for message in messages.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            note = note_of(field.full_name)
            assert note.help, field.full_name
            assert note.help[-1] in ".:" or note.help.endswith("..."), f"{field.full_name}: {note.help}"
            if note.range is not None and field.has_default_value and not is_repeated(field):
                if field.full_name != "netforge.RecurrentParameter.num_output":  # Caffe's default is "must be set"
                    assert field.default_value in note.range, field.full_name
                checked += 1
    assert checked > 60


def test_flags_of_fields() -> None:
    layer = messages.LayerParameter.DESCRIPTOR.fields_by_name
    assert is_repeated(layer["bottom"]) and not is_repeated(layer["name"])
    assert is_required(messages.ClipParameter.DESCRIPTOR.fields_by_name["min"])
    assert not is_required(layer["name"])
    assert "pooling_param" in field_names(messages.LayerParameter.DESCRIPTOR)
