"""What layers find wrong with the training, told once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netforge.solver.solver import Solver

APART = 20
"""Fewest iterations between two questions: layers judge by a few answers in a row, which must not be of one moment."""


class Notices:
    """Asks the layers of the train net for their diagnoses, and tells each layer's first one."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._asked: int | None = None

    def ask(self, solver: Solver) -> None:
        """Ask, unless the last time was only a few iterations ago; reads values from the device."""
        if self._asked is not None and 0 <= solver.iteration - self._asked < APART:
            return
        self._asked = solver.iteration
        for layer, text in solver.net.diagnose():
            if layer.name not in self._told:
                self._told.add(layer.name)
                solver.tell("on_notice", f"{layer.label}: {text}")
