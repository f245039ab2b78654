"""Values that come into a net from outside, and the search for those that should not be in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.device.base import Device
from netforge.errors import ShapeError
from netforge.layers.base import Layer


def as_array(name: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    """What was given for blob `name` as an array of any shape; raises ShapeError for lists that are no array."""
    try:
        return np.asarray(given)
    except ValueError:
        raise ShapeError(f'"{name}" was given a list whose rows differ in length') from None


def write(name: str, blob: Blob, target: Any, array: npt.NDArray[Any]) -> None:
    """Copy an array (blob.shape) into `target`, the blob's data or diff; raises ShapeError where it does not fit."""
    if array.shape != blob.shape:
        raise ShapeError(f'"{name}" has shape {blob.shape}, an array of shape {array.shape} was given')
    if array.dtype.kind not in "fiub":
        raise ShapeError(f'"{name}" takes numbers, an array of {array.dtype} was given')
    target[...] = blob.device.from_host(array.astype(blob.dtype, copy=False))


def find_nonfinite(layers: Sequence[Layer], tops: Sequence[Sequence[Blob]], device: Device) -> tuple[str, str] | None:
    """The first layer, and the blob or weight in it, that holds NaN or infinity; None where all is finite.

    tops: of each layer. Gradients of weights are looked at last, from the end of the net on, where they come from.
    """

    def is_finite(array: Any) -> bool:
        return bool(np.isfinite(device.to_host(array)).all())

    for layer, own in zip(layers, tops, strict=True):
        for kind, blobs in (("weight", layer.weights), ("blob", own)):
            for blob in blobs:
                if not is_finite(blob.data):
                    return layer.label, f'{kind} "{blob.name}"'
    for layer in reversed(layers):
        for blob in layer.weights:
            if not is_finite(blob.diff):
                return layer.label, f'gradient of weight "{blob.name}"'
    return None
