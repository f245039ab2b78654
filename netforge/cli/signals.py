"""Signals during training: Ctrl-C stops in order, a second one at once; SIGTERM stops; SIGHUP takes a snapshot."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import click

from netforge.solver import Solver


def announce_stop() -> None:
    """Say that the first stop was heard."""
    click.echo("Stopping after this iteration, with a snapshot; once more stops at once.", err=True)


class Signals:
    """A context in which signals reach a solver, once `solver` is set; before that a stop is a KeyboardInterrupt.

    sigint, sighup: the effects, "stop", "snapshot" or "none". The second stop ends training between two passes, without
    a snapshot; the third ends it wherever it is. `stops` counts them; the first calls `announce`.
    """

    def __init__(self, sigint: str, sighup: str) -> None:
        self._effects = {signal.SIGINT: sigint, signal.SIGTERM: "stop"}
        if hasattr(signal, "SIGHUP"):
            self._effects[signal.SIGHUP] = sighup
        self._previous: dict[signal.Signals, Any] = {}
        self.solver: Solver | None = None
        self.stops = 0
        self.announce: Callable[[], None] = announce_stop

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in self._effects:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        effect = self._effects[signal.Signals(number)]
        if effect == "none":
            return
        if effect == "snapshot" and self.solver is not None:
            self.solver.request_snapshot()
            return
        self.stops += 1
        if self.solver is None or self.stops > 2:
            raise KeyboardInterrupt
        self.solver.request_stop()
        if self.stops == 1:
            with suppress(RuntimeError):  # the signal came in the middle of writing to the same stream
                self.announce()
