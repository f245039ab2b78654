"""Counting what happens between two displays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netforge.net import Net
from netforge.solver.events import Display


@dataclass
class Meter:
    """Counts iterations, items and time between two displays."""

    iterations: int = 0
    items: int = 0
    seconds: float = 0.0

    def add(self, net: Net, passes: int, seconds: float) -> None:
        """Count one iteration of several passes."""
        sources = (layer.definition.message for layer in net.layers if not layer.definition.message.bottom)
        shapes = [net.blobs[top].shape for message in sources for top in message.top]
        self.iterations += 1
        self.items += passes * max((shape[0] for shape in shapes if shape), default=0)
        self.seconds += seconds

    def take(self, iteration: int, loss: float, rate: float, outputs: Any) -> Display:
        """A Display with the counts, which start again at zero."""
        display = Display(iteration, loss, rate, outputs, self.iterations, self.items, self.seconds)
        self.iterations, self.items, self.seconds = 0, 0, 0.0
        return display
