"""The weights of a net: sharing by name, multipliers, and one flat buffer for all that a solver changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob, Storage
from netforge.device.base import Device
from netforge.errors import NetError, SettingsError, ShapeError
from netforge.layers.base import Layer
from netforge.schema import messages

ALIGNMENT = 16  # elements; each weight starts on a 64-byte border of the flat buffer


@dataclass
class Learnable:
    """A weight that a solver may change.

    blob: its data and diff, windows of the flat buffers from element `offset` on. lr_mult, decay_mult: multipliers of
    the rate and of the weight decay; `stated` says which of them the file gives. layer, index: the layer that owns it,
    and its number among that layer's weights.
    """

    blob: Blob
    lr_mult: float
    decay_mult: float
    layer: str
    index: int
    offset: int = 0
    stated: set[str] = field(default_factory=set)

    @property
    def label(self) -> str:
        """Layer and number, for messages: "conv1[0]"."""
        return f"{self.layer}[{self.index}]"

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.blob.count


@dataclass
class FlatWeights:
    """All learnable weights of a net side by side.

    data, diff: flat arrays on the device; the gaps between weights are zero and stay zero.
    """

    data_storage: Storage
    diff_storage: Storage

    @property
    def data(self) -> Any:
        """All weights."""
        return self.data_storage.array

    @property
    def diff(self) -> Any:
        """All gradients."""
        return self.diff_storage.array


def gather_weights(layers: Sequence[Layer], *, force: bool) -> tuple[list[Learnable], dict[int, Learnable]]:
    """Apply every `param { ... }`: alias shared weights to their owner and collect the learnable ones in file order.

    Sets `frozen` on each layer; freeze_learning in a layer stands for lr_mult 0 on all of its weights. Returns the
    learnable weights, and which of them stands behind each weight blob (by id), shared ones included. Raises
    SettingsError or NetError with the layer's place.
    """
    learnable: list[Learnable] = []
    behind: dict[int, Learnable] = {}
    named: dict[str, tuple[Layer, Learnable | None, Blob]] = {}
    for layer in layers:
        specs = layer.definition.message.param
        if len(specs) > len(layer.weights):
            raise SettingsError(
                f"{len(specs)} param blocks for {len(layer.weights)} weights",
                where=layer.definition.locate(f"param[{len(layer.weights)}]"),
                layer=layer.label,
                mend="remove the surplus param blocks",
            )
        for index, blob in enumerate(layer.weights):
            spec = specs[index] if index < len(specs) else messages.ParamSpec()
            _check_fixed(layer, index, blob, spec)
            if spec.name and spec.name in named:
                owner_layer, owner, owner_blob = named[spec.name]
                _share(layer, index, blob, spec, owner_layer, owner_blob)
                if owner is not None:
                    _merge_multipliers(layer, index, spec, owner, owner_layer)
                    behind[id(blob)] = owner
                continue
            entry = None
            if blob.learnable:
                stated = {name for name in ("lr_mult", "decay_mult") if spec.HasField(name)}
                rate = 0.0 if layer.definition.message.freeze_learning else spec.lr_mult
                entry = Learnable(blob, rate, spec.decay_mult, layer.name, index, stated=stated)
                learnable.append(entry)
                behind[id(blob)] = entry
            if spec.name:
                named[spec.name] = (layer, entry, blob)
    for layer in layers:
        entries = [behind.get(id(blob)) for blob in layer.weights]
        fixed = bool(layer.definition.message.freeze_learning)
        layer.frozen = [entry is None or ((fixed or entry.lr_mult == 0) and not force) for entry in entries]
    return learnable, behind


def flatten(learnable: Sequence[Learnable], device: Device, dtype: npt.DTypeLike = np.float32) -> FlatWeights:
    """Move all learnable weights into one buffer for data and one for diff, before any of them is allocated."""
    flat = FlatWeights(Storage(device, dtype), Storage(device, dtype))
    offset = 0
    for entry in learnable:
        entry.offset = offset
        entry.blob.data_storage.move_into(flat.data_storage, offset)
        entry.blob.diff_storage.move_into(flat.diff_storage, offset)
        offset += -(-entry.size // ALIGNMENT) * ALIGNMENT
    flat.data_storage.reserve(offset)
    flat.diff_storage.reserve(offset)
    return flat


def share_weights(layers: Sequence[Layer], others: Sequence[Layer]) -> None:
    """Let layers use the weights of the layers of the same name among `others`; raises ShapeError where they differ."""
    by_name = {other.name: other for other in others if other.weights}
    for layer in layers:
        other = by_name.get(layer.name)
        if other is None or not layer.weights:
            continue
        if len(layer.weights) != len(other.weights):
            raise layer.fail(f"{len(layer.weights)} weights here, {len(other.weights)} in the other net")
        for blob, source in zip(layer.weights, other.weights, strict=True):
            if blob.resizable:
                blob.reshape(source.shape)
            elif blob.shape != source.shape:
                raise layer.fail(f'weight "{blob.name}" has shape {blob.shape} here, {source.shape} in the other net')
            blob.share_data(source)


def check_names(layers: Sequence[Layer]) -> None:
    """Raise NetError for two layers with weights under one name: a file of weights could not tell them apart."""
    seen: dict[str, Layer] = {}
    for layer in layers:
        if not layer.weights:
            continue
        if layer.name in seen:
            raise NetError(
                f'a second layer with weights is called "{layer.name}"',
                where=layer.definition.locate("name"),
                layer=layer.label,
                mend=f"rename one of them; the first stands at {seen[layer.name].definition.place}",
            )
        seen[layer.name] = layer


def _check_fixed(layer: Layer, index: int, blob: Blob, spec: Any) -> None:
    if not blob.learnable and spec.HasField("lr_mult") and spec.lr_mult != 0:
        raise SettingsError(
            f"lr_mult is {spec.lr_mult:g} for weight {index}, which holds statistics that no solver changes",
            where=layer.definition.locate(f"param[{index}].lr_mult"),
            layer=layer.label,
            mend="set lr_mult: 0, or remove the param block",
        )


def _share(layer: Layer, index: int, blob: Blob, spec: Any, owner_layer: Layer, owner_blob: Blob) -> None:
    permissive = spec.share_mode == messages.ParamSpec.PERMISSIVE
    fits = blob.count == owner_blob.count if permissive else blob.shape == owner_blob.shape
    if not fits:
        raise ShapeError(
            f'weight {index} of shape {blob.shape} cannot share "{spec.name}" with layer {owner_layer.label}, '
            f"whose weight has shape {owner_blob.shape}",
            where=layer.definition.locate(f"param[{index}].name"),
            layer=layer.label,
            mend="make the shapes equal, or give this weight another name"
            + ("" if permissive else " (share_mode: PERMISSIVE admits equal counts)"),
        )
    blob.share_data(owner_blob)
    blob.share_diff(owner_blob)


def _merge_multipliers(layer: Layer, index: int, spec: Any, owner: Learnable, owner_layer: Layer) -> None:
    """The first that states a multiplier decides; a later one may repeat it, not contradict it."""
    for name in ("lr_mult", "decay_mult"):
        if not spec.HasField(name):
            continue
        value = getattr(spec, name)
        if name in owner.stated and value != getattr(owner, name):
            raise SettingsError(
                f'{name} is {value:g}, but {getattr(owner, name):g} where "{spec.name}" was named first',
                where=layer.definition.locate(f"param[{index}].{name}"),
                layer=layer.label,
                mend=f"shared weights have one {name}; layer {owner_layer.label} set it at "
                f"{owner_layer.definition.locate(f'param[{owner.index}].{name}')}",
            )
        setattr(owner, name, value)
        owner.stated.add(name)
