"""Dropout: values set to zero at random while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.blob import Blob
from netforge.layers.base import register_layer
from netforge.layers.neuron import Neuron


@register_layer("Dropout", settings="dropout_param")
class Dropout(Neuron):
    """In TRAIN each value becomes 0 with probability dropout_ratio and is divided by 1 - dropout_ratio otherwise.

    Identity in other phases (Srivastava et al. 2014, inverted form). Masks are drawn from the stream named after the
    layer; each TRAIN forward uses the next position of it.
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the ratio and make room for the mask."""
        super().setup(bottom, top)
        ratio = self.settings.dropout_ratio
        if not 0 <= ratio < 1:
            raise self.fail(
                f"dropout_ratio is {ratio:g}",
                setting="dropout_param.dropout_ratio",
                mend="use 0 or more, and less than 1",
            )
        self.keep = 1 - ratio
        self.drops = self.phase == "TRAIN" and ratio > 0
        self.mask = self.buffer("mask")
        self.position = self.buffer("position", np.uint64)  # of the next draw: on the device, which moves it on
        self.position.reshape(1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """One mask value for each value."""
        super().reshape(bottom, top)
        self.mask.reshape(bottom[0].shape if self.drops else (0,))

    def compute(self, x: Any, y: Any) -> None:
        """Draw a mask and apply it."""
        if self.drops:
            self.ops.bernoulli(self.mask.data, self.keep, self.random, self.position.data)
            self.ops.advance(self.position.data)
            self.ops.product([x, self.mask.data], y)
        elif y is not x:
            self.ops.copy(x, y)

    def gradient(self, x: Any, y: Any, dy: Any, dx: Any) -> None:
        """Apply the same mask."""
        if self.drops:
            self.ops.product([dy, self.mask.data], dx)
        elif dx is not dy:
            self.ops.copy(dy, dx)

    def state(self) -> dict[str, Any]:
        """The number of draws, from the device."""
        return {"position": int(self.device.to_host(self.position.data)[0])}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.position.data[...] = int(state["position"])
