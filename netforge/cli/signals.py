"""Signals during training: Ctrl-C stops in order, a second one at once; SIGTERM stops; SIGHUP takes a snapshot."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from netforge.solver import Listener, Solver


class Signals(Listener):
    """A context in which signals reach a solver; as its listener it learns whom to stop.

    sigint, sighup: the effects, "stop", "snapshot" or "none". The second stop ends training between two passes, without
    a snapshot; the third ends it wherever it is. `stops` counts them.
    """

    def __init__(self, sigint: str, sighup: str) -> None:
        self._effects = {signal.SIGINT: sigint, signal.SIGTERM: "stop"}
        if hasattr(signal, "SIGHUP"):
            self._effects[signal.SIGHUP] = sighup
        self._previous: dict[signal.Signals, Any] = {}
        self._solver: Solver | None = None
        self.stops = 0

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in self._effects:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def on_start(self, solver: Solver) -> None:
        """Know whom to stop."""
        self._solver = solver

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        effect = self._effects[signal.Signals(number)]
        if effect == "none":
            return
        if effect == "snapshot" and self._solver is not None:
            self._solver.request_snapshot()
            return
        self.stops += 1
        if self._solver is None or self.stops > 2:
            raise KeyboardInterrupt
        self._solver.request_stop()
