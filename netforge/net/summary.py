"""What a net is made of: one row a layer, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netforge.layers.base import Layer
from netforge.net.memory import Memory
from netforge.net.weights import Learnable


@dataclass(frozen=True)
class WeightSummary:
    """One weight blob: its shape, whether a solver changes it, and the layer that owns it where it is shared."""

    shape: tuple[int, ...]
    count: int
    learnable: bool
    shared_with: str | None


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a net.

    bottoms, tops: (blob name, shape). weights: see WeightSummary. weight_count: elements that this layer owns.
    activation_bytes: memory of the data of its tops, 0 where they use memory of others. multiply_adds: of one forward
    pass.
    """

    name: str
    type: str
    bottoms: tuple[tuple[str, tuple[int, ...]], ...]
    tops: tuple[tuple[str, tuple[int, ...]], ...]
    weights: tuple[WeightSummary, ...]
    weight_count: int
    activation_bytes: int
    multiply_adds: int


def summarise(layers: Sequence[Layer], memory: Memory, behind: Mapping[int, Learnable]) -> list[LayerSummary]:
    """Rows for all layers, in file order."""
    counted: set[int] = set()
    owned: set[int] = set()
    rows = []
    for number, layer in enumerate(layers):
        bottoms, tops = memory.bottoms[number], memory.tops[number]
        activation = 0
        for blob in tops:
            if id(blob.data_storage) not in counted:
                counted.add(id(blob.data_storage))
                activation += blob.count * blob.dtype.itemsize
        weights = tuple(_weight(layer, index, behind) for index in range(len(layer.weights)))
        count = 0
        for blob in layer.weights:
            if id(blob.data_storage) not in owned:
                owned.add(id(blob.data_storage))
                count += blob.count
        rows.append(
            LayerSummary(
                layer.name,
                type(layer).type,
                tuple((blob.name, blob.shape) for blob in bottoms),
                tuple((blob.name, blob.shape) for blob in tops),
                weights,
                count,
                activation,
                layer.multiply_adds(bottoms, tops),
            )
        )
    return rows


def _weight(layer: Layer, index: int, behind: Mapping[int, Learnable]) -> WeightSummary:
    blob = layer.weights[index]
    owner = behind.get(id(blob))
    shared = owner.layer if owner is not None and owner.layer != layer.name else None
    return WeightSummary(blob.shape, blob.count, blob.learnable, shared)
