"""All built-in layers; importing this package registers them."""

from netforge.layers import (  # noqa: F401 - imported for the layers that they register
    accuracy,
    contrastive,
    data,
    debug,
    decode,
    dropout,
    hdf5,
    image_data,
    input,
    knn,
    linear,
    loss,
    memory_data,
    neuron,
    normalize,
    pooling,
    prototypical,
    python,
    recurrent,
    reduce,
    select,
    sequence,
    shape,
    softmax,
    sup_con,
    triplet,
    vision,
)
from netforge.layers.base import LAYERS, Layer, LayerContext, Slots, register_layer, slots

__all__ = ["LAYERS", "Layer", "LayerContext", "Slots", "register_layer", "slots"]
