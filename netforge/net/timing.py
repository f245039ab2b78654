"""How long the layers of a net take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from netforge.net.net import Net


@dataclass
class Timing:
    """Seconds of all measured iterations together: one entry a layer, and those of whole passes.

    A whole pass takes less than its layers one by one where towers that share weights run as one batch.
    """

    forward: list[float]
    backward: list[float]
    iterations: int
    forward_pass: float = 0.0
    backward_pass: float = 0.0

    def milliseconds(self, seconds: float) -> float:
        """The mean of one iteration."""
        return 1000 * seconds / self.iterations


def measure(net: Net, iterations: int) -> Timing:
    """Run forward and backward through all layers, as a whole and then one at a time, and add up what each takes."""
    count = len(net.layers)
    timing = Timing([0.0] * count, [0.0] * count, iterations)
    for _ in range(iterations):
        net.clear_weight_diffs()
        timing.forward_pass += _seconds_of(net, net.forward_pass)
        timing.backward_pass += _seconds_of(net, net.backward_pass)
        for index in range(count):
            timing.forward[index] += _seconds_of(net, net.forward_layer, index)
        for index in reversed(range(count)):
            timing.backward[index] += _seconds_of(net, net.backward_layer, index)
    return timing


def _seconds_of(net: Net, run: Callable[..., None], *arguments: int) -> float:
    """How long something takes until the device is done with it."""
    start = time.perf_counter()
    run(*arguments)
    net.device.synchronize()
    return time.perf_counter() - start
