"""Upgrades of old files: layers of 2013 (V0) and 2014 (V1), `input:` fields, BatchNorm's param blocks, solver_type.

Work is done on messages, so that text and binary files go the same way; weights inside are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from netforge.errors import Place, SchemaError, counted
from netforge.schema import netforge_pb2 as messages
from netforge.schema.fields import copy_field
from netforge.schema.upgrade_v0 import upgrade_v0

V1 = messages.V1LayerParameter

_CAMEL_CASE = {
    V1.ABSVAL: "AbsVal", V1.ACCURACY: "Accuracy", V1.ARGMAX: "ArgMax", V1.BNLL: "BNLL", V1.CONCAT: "Concat",
    V1.CONTRASTIVE_LOSS: "ContrastiveLoss", V1.CONVOLUTION: "Convolution", V1.DECONVOLUTION: "Deconvolution",
    V1.DATA: "Data", V1.DROPOUT: "Dropout", V1.DUMMY_DATA: "DummyData", V1.EUCLIDEAN_LOSS: "EuclideanLoss",
    V1.ELTWISE: "Eltwise", V1.EXP: "Exp", V1.FLATTEN: "Flatten", V1.HDF5_DATA: "HDF5Data",
    V1.HDF5_OUTPUT: "HDF5Output", V1.HINGE_LOSS: "HingeLoss", V1.IM2COL: "Im2col", V1.IMAGE_DATA: "ImageData",
    V1.INFOGAIN_LOSS: "InfogainLoss", V1.INNER_PRODUCT: "InnerProduct", V1.LRN: "LRN", V1.MEMORY_DATA: "MemoryData",
    V1.MULTINOMIAL_LOGISTIC_LOSS: "MultinomialLogisticLoss", V1.MVN: "MVN", V1.POOLING: "Pooling", V1.POWER: "Power",
    V1.RELU: "ReLU", V1.SIGMOID: "Sigmoid", V1.SIGMOID_CROSS_ENTROPY_LOSS: "SigmoidCrossEntropyLoss",
    V1.SILENCE: "Silence", V1.SLICE: "Slice", V1.SOFTMAX: "Softmax", V1.SOFTMAX_LOSS: "SoftmaxWithLoss",
    V1.SPLIT: "Split", V1.TANH: "TanH", V1.THRESHOLD: "Threshold", V1.WINDOW_DATA: "WindowData", V1.NONE: "",
}  # fmt: skip

_SOLVER_TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
_DATA_BLOCKS = {V1.DATA: "data_param", V1.IMAGE_DATA: "image_data_param", V1.WINDOW_DATA: "window_data_param"}
TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


@dataclass
class Upgrade:
    """What became of the layers of a net.

    layers: messages of today, each with its index among the file's layers, None for one made out of `input:` fields.
    """

    layers: list[tuple[Any, int | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def upgrade_net(net: Any, place: Callable[[str], Place]) -> Upgrade:
    """Bring the layers of a NetParameter into today's form; `net` itself stays as it is.

    place: gives the place of a field of the net, for errors. Raises SchemaError where layers contradict each other.
    """
    if net.layer and net.layers:
        raise SchemaError(
            'the net has both "layer" and "layers"', where=place("layers"), mend='write all of them as "layer { ... }"'
        )
    result = Upgrade()
    if net.input:
        result.layers.append((input_layer(net, place), None))
    if net.layers:
        old = upgrade_v0(net.layers, place, result.notes)
        result.layers += [(_upgrade_v1(layer), index) for layer, index in old]
    else:
        result.layers += [(layer, index) for index, layer in enumerate(net.layer)]
    result.layers = [(_freeze_batch_norm(layer), index) for layer, index in result.layers]
    return result


def input_layer(net: Any, place: Callable[[str], Place]) -> Any:
    """The Input layer that `input:` with `input_shape` or `input_dim` stands for; raises SchemaError for both."""
    layer = messages.LayerParameter(name="input", type="Input", top=list(net.input))
    count = len(net.input)
    if net.input_shape and net.input_dim:
        raise SchemaError(
            "the net has both input_shape and input_dim", where=place("input_dim"), mend="remove one of them"
        )
    if net.input_shape:
        if len(net.input_shape) not in (1, count):
            raise SchemaError(
                f"input_shape is given {counted(len(net.input_shape), 'time')} for {counted(count, 'input')}",
                where=place("input_shape"),
                mend="give one each",
            )
        layer.input_param.shape.extend(net.input_shape)
    elif len(net.input_dim) == 4 * count:
        for i in range(0, 4 * count, 4):
            layer.input_param.shape.add(dim=net.input_dim[i : i + 4])
    else:
        where = place("input_dim" if net.input_dim else "input")
        raise SchemaError(
            f"input_dim is given {counted(len(net.input_dim), 'time')} for {counted(count, 'input')}",
            where=where,
            mend="give four input_dim each, or an input_shape, or a layer of type Input",
        )
    return layer


def _upgrade_v1(old: Any) -> Any:
    layer = messages.LayerParameter(name=old.name, type=_CAMEL_CASE[old.type])
    if not old.HasField("name"):
        layer.ClearField("name")
    for descriptor, value in old.ListFields():
        if descriptor.name in _SAME:
            copy_field(layer, descriptor.name, value)
    _upgrade_param_specs(old, layer)
    _move_transform(old, layer)
    return layer


_SAME = {f.name for f in V1.DESCRIPTOR.fields} & {f.name for f in messages.LayerParameter.DESCRIPTOR.fields}
_SAME -= {"name", "type", "param"}


def _upgrade_param_specs(old: Any, layer: Any) -> None:
    for values, name in ((old.param, "name"), (old.blob_share_mode, "share_mode")):
        for i, value in enumerate(values):
            setattr(_spec(layer, i), name, value)
    for values, name in ((old.blobs_lr, "lr_mult"), (old.weight_decay, "decay_mult")):
        for i, value in enumerate(values):
            setattr(_spec(layer, i), name, value)


def _spec(layer: Any, index: int) -> Any:
    while len(layer.param) <= index:
        layer.param.add()
    return layer.param[index]


def _move_transform(old: Any, layer: Any) -> None:
    block = _DATA_BLOCKS.get(old.type)
    if block is None or not layer.HasField(block):
        return
    data = getattr(layer, block)
    for name in TRANSFORM_FIELDS:
        if data.HasField(name):
            setattr(layer.transform_param, name, getattr(data, name))
            data.ClearField(name)


def _freeze_batch_norm(layer: Any) -> Any:
    """The layer; a copy with frozen weights where it is a BatchNorm with param blocks for its three stored sums."""
    if layer.type != "BatchNorm" or len(layer.param) != 3:
        return layer
    frozen = messages.LayerParameter()
    frozen.CopyFrom(layer)
    for spec in frozen.param:
        spec.lr_mult = spec.decay_mult = 0
    return frozen


def misplaced_transform(layer: Any) -> Iterator[tuple[str, str]]:
    """Block and field of each setting that a `layer` of today holds in the place of old, where it has no effect."""
    for block in _DATA_BLOCKS.values():
        if layer.HasField(block) and not (block == "window_data_param" and layer.type == "WindowData"):
            for name in TRANSFORM_FIELDS:
                if getattr(layer, block).HasField(name):
                    yield block, name


def upgrade_solver(solver: Any, place: Callable[[str], Place]) -> Any:
    """A copy of a SolverParameter with solver_type turned into `type`; raises SchemaError where both are set."""
    new = messages.SolverParameter()
    new.CopyFrom(solver)
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise SchemaError(
                'the solver has both "type" and the older "solver_type"',
                where=place("solver_type"),
                mend="remove solver_type",
            )
        new.type = _SOLVER_TYPES[solver.solver_type]
        new.ClearField("solver_type")
    return new
