"""How large weights, gradients and updates are in the course of a run, weight by weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.solver.events import Norms
from netforge.solver.iteration import Iteration

MOST_RECORDS = 500
"""Of a run, about: displays may be many more, and each record holds three numbers for every weight."""


class NormMeter:
    """Measures `Norms` in some of the iterations that are displayed, for there the host waits for the device anyway.

    work: the iterations of a solver.
    """

    def __init__(self, work: Iteration) -> None:
        self._work = work
        self._before: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def is_due(self, iteration: int) -> bool:
        """Whether this iteration is measured; a resumed run measures the same ones."""
        display, last = self._work.settings.display, self._work.settings.max_iter
        if display < 1 or not self._work.net.learnable:
            return False
        every: int = display * max(1, -(-last // (display * MOST_RECORDS)))
        return iteration % every == 0

    def take_gradients(self) -> None:
        """Measure weights and gradients, behind the last pass and before the update."""
        buffers = self._work.buffers
        weights, gradients = self._measure(buffers.weights), self._measure(buffers.diffs)
        self._before = weights, tuple(size / self._work.settings.iter_size for size in gradients)

    def take_updates(self, iteration: int) -> Norms | None:
        """Measure the update; None where `take_gradients` was not called for it."""
        if self._before is None:
            return None
        (weights, gradients), self._before = self._before, None
        names = tuple(entry.label for entry in self._work.net.learnable)
        return Norms(iteration, names, weights, gradients, self._measure(self._work.buffers.diffs))

    def _measure(self, flat: Any) -> tuple[float, ...]:
        """The root mean square of each weight's part; all are read back at once."""
        device, segments = self._work.net.device, self._work.buffers.segments
        means = device.zeros((len(segments),), flat.dtype)
        device.ops.segment_mean_squares(flat, segments, means)
        return tuple(np.sqrt(device.to_host(means).astype(np.float64)).tolist())
