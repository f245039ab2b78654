"""Layers of 2013: `layers { layer { type: "conv" ... } }`, with settings of all layers side by side, to V1 layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netforge.errors import Place, SchemaError, did_you_mean
from netforge.schema import netforge_pb2 as messages
from netforge.schema.fields import copy_field

V1 = messages.V1LayerParameter

_TYPES = {
    "accuracy": "ACCURACY", "bnll": "BNLL", "concat": "CONCAT", "conv": "CONVOLUTION", "data": "DATA",
    "dropout": "DROPOUT", "euclidean_loss": "EUCLIDEAN_LOSS", "flatten": "FLATTEN", "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT", "im2col": "IM2COL", "images": "IMAGE_DATA", "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT", "lrn": "LRN", "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING", "relu": "RELU", "sigmoid": "SIGMOID", "softmax": "SOFTMAX", "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT", "tanh": "TANH", "window_data": "WINDOW_DATA",
}  # fmt: skip

# Old name -> layer type -> where the value goes.
_CONV, _POOL, _IP = "convolution_param", "pooling_param", "inner_product_param"
_TRANSFORM = ("data", "images", "window_data")
_FIELDS: dict[str, dict[str, str]] = {
    "num_output": {"conv": f"{_CONV}.num_output", "innerproduct": f"{_IP}.num_output"},
    "biasterm": {"conv": f"{_CONV}.bias_term", "innerproduct": f"{_IP}.bias_term"},
    "weight_filler": {"conv": f"{_CONV}.weight_filler", "innerproduct": f"{_IP}.weight_filler"},
    "bias_filler": {"conv": f"{_CONV}.bias_filler", "innerproduct": f"{_IP}.bias_filler"},
    "pad": {"conv": f"{_CONV}.pad", "pool": f"{_POOL}.pad"},
    "kernelsize": {"conv": f"{_CONV}.kernel_size", "pool": f"{_POOL}.kernel_size"},
    "group": {"conv": f"{_CONV}.group"},
    "stride": {"conv": f"{_CONV}.stride", "pool": f"{_POOL}.stride"},
    "pool": {"pool": f"{_POOL}.pool"},
    "dropout_ratio": {"dropout": "dropout_param.dropout_ratio"},
    "local_size": {"lrn": "lrn_param.local_size"},
    "alpha": {"lrn": "lrn_param.alpha"},
    "beta": {"lrn": "lrn_param.beta"},
    "k": {"lrn": "lrn_param.k"},
    "source": {
        "data": "data_param.source", "hdf5_data": "hdf5_data_param.source", "images": "image_data_param.source",
        "window_data": "window_data_param.source", "infogain_loss": "infogain_loss_param.source",
    },
    "scale": dict.fromkeys(_TRANSFORM, "transform_param.scale"),
    "meanfile": dict.fromkeys(_TRANSFORM, "transform_param.mean_file"),
    "cropsize": dict.fromkeys(_TRANSFORM, "transform_param.crop_size"),
    "mirror": dict.fromkeys(_TRANSFORM, "transform_param.mirror"),
    "batchsize": {
        "data": "data_param.batch_size", "hdf5_data": "hdf5_data_param.batch_size",
        "images": "image_data_param.batch_size", "window_data": "window_data_param.batch_size",
    },
    "rand_skip": {"data": "data_param.rand_skip", "images": "image_data_param.rand_skip"},
    "shuffle_images": {"images": "image_data_param.shuffle"},
    "new_height": {"images": "image_data_param.new_height"},
    "new_width": {"images": "image_data_param.new_width"},
    "concat_dim": {"concat": "concat_param.concat_dim"},
    "det_fg_threshold": {"window_data": "window_data_param.fg_threshold"},
    "det_bg_threshold": {"window_data": "window_data_param.bg_threshold"},
    "det_fg_fraction": {"window_data": "window_data_param.fg_fraction"},
    "det_context_pad": {"window_data": "window_data_param.context_pad"},
    "det_crop_mode": {"window_data": "window_data_param.crop_mode"},
    "hdf5_output_param": {"hdf5_output": "hdf5_output_param"},
}  # fmt: skip
_COMMON = ("blobs", "blobs_lr", "weight_decay")


def upgrade_v0(layers: Any, place: Callable[[str], Place], notes: list[str]) -> list[tuple[Any, int]]:
    """V1 layers with their indices in the file; layers that are V1 already pass, "padding" layers are folded away.

    place: gives the place of "layers[i]". notes: gets a line for each setting that its layer never used.
    Raises SchemaError for a padding layer that cannot be folded away.
    """
    result: list[tuple[Any, int]] = []
    padding: dict[str, Any] = {}  # blob -> the padding layer that made it
    for index, old in enumerate(layers):
        where = place(f"layers[{index}]")
        if old.HasField("layer") and old.layer.type == "padding":
            if len(old.bottom) != 1 or len(old.top) != 1:
                raise SchemaError(
                    "a padding layer takes one bottom and gives one top",
                    where=where,
                    mend="give it one of each, or write pad in the layer that follows",
                )
            padding[old.top[0]] = old
            continue
        new = _convert(old, where, notes) if old.HasField("layer") else old
        if any(name in padding for name in old.bottom):
            new = _fold_padding(new, padding, where)
        for name in old.top:
            padding.pop(name, None)
        result.append((new, index))
    return result


def _fold_padding(layer: Any, padding: dict[str, Any], where: Place) -> Any:
    if layer.type not in (V1.CONVOLUTION, V1.POOLING) or len(layer.bottom) != 1:
        raise SchemaError(
            f'layer "{layer.name}" takes the output of a padding layer',
            where=where,
            mend="only a conv or pool layer with one bottom can",
        )
    pad_layer = padding[layer.bottom[0]]
    padded = V1()
    padded.CopyFrom(layer)
    padded.bottom[0] = pad_layer.bottom[0]
    if layer.type == V1.CONVOLUTION:
        padded.convolution_param.pad[:] = [pad_layer.layer.pad]
    else:
        padded.pooling_param.pad = pad_layer.layer.pad
    return padded


def _convert(old: Any, where: Place, notes: list[str]) -> Any:
    inner = old.layer
    new = V1(bottom=old.bottom, top=old.top, name=inner.name)
    if inner.type not in _TYPES:
        raise SchemaError(
            f'layer "{inner.name}" has the unknown type "{inner.type}"',
            where=where,
            mend=did_you_mean(inner.type[:100], _TYPES),
        )
    new.type = V1.LayerType.Value(_TYPES[inner.type])
    for descriptor, value in inner.ListFields():
        name = descriptor.name
        if name in ("name", "type"):
            continue
        if name in _COMMON:
            copy_field(new, name, value)
        elif inner.type in _FIELDS.get(name, {}):
            _assign(new, _FIELDS[name][inner.type], value)
        else:
            notes.append(f'{where}: "{name}" has no effect in a layer of type "{inner.type}"')
    return new


def _assign(layer: Any, path: str, value: Any) -> None:
    *outer, name = path.split(".")
    for step in outer:
        layer = getattr(layer, step)
    copy_field(layer, name, value)
