"""Tests during training: the mean of a test net's outputs over its batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.errors import SolverError
from netforge.net import Net
from netforge.solver.events import Output, TestResult, outputs_of

if TYPE_CHECKING:
    from netforge.solver.solver import Solver


@contextmanager
def kept_positions(nets: Sequence[Net], *, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Put the data positions of nets back at the end, unless `unless` says True then."""
    before = [net.state() for net in nets]
    yield
    if not unless():
        for net, state in zip(nets, before, strict=True):
            net.restore(state)


def run_tests(solver: Solver, *, interrupted: Callable[[], bool] = lambda: False) -> list[TestResult]:
    """Run every test net of a solver over its test_iter batches and tell the listeners.

    interrupted: asked before each batch; where it says True the result is empty and every data position is put back.
    """
    results: list[TestResult] = []
    with kept_positions(solver.test_nets, unless=lambda: len(results) == len(solver.test_nets)):
        for number, (net, batches) in enumerate(zip(solver.test_nets, solver.settings.test_iter, strict=True)):
            solver.tell("on_test_start", number)
            net.share_weights(solver.net)
            with_loss = solver.settings.test_compute_loss
            result = evaluate(
                net, batches, number=number, iteration=solver.iteration, with_loss=with_loss, interrupted=interrupted
            )
            if result is None:
                return []
            results.append(result)
            solver.tell("on_test", result)
    return results


def evaluate(
    net: Net,
    batches: int,
    *,
    number: int = 0,
    iteration: int = 0,
    with_loss: bool = False,
    interrupted: Callable[[], bool] = lambda: False,
) -> TestResult | None:
    """Run `batches` batches through a net and average each output, element by element, in double precision.

    number, iteration: copied into the result. with_loss: average the weighted loss too. interrupted: asked before each
    batch; where it says True, None is returned.
    Raises SolverError where an output changes its shape from batch to batch.
    """
    start = time.perf_counter()
    averages = Averages(net, with_loss=with_loss)
    for _ in range(batches):
        if interrupted():
            return None
        averages.add_batch()
    seconds = time.perf_counter() - start
    return TestResult(number, iteration, batches, averages.means(), averages.loss if with_loss else None, seconds)


class Averages:
    """Means of all outputs of a net, and of its weighted loss where `with_loss`, over batches, in double precision.

    batches: how many were added.
    """

    def __init__(self, net: Net, *, with_loss: bool = True) -> None:
        self._net, self._with_loss = net, with_loss
        self.batches = 0
        self._loss = 0.0
        self._sums: dict[str, npt.NDArray[Any]] = {}

    def add_batch(self) -> tuple[Output, ...]:
        """Run one batch and return its outputs; raises SolverError where one has another shape than before."""
        self._net.forward_pass()
        outputs = outputs_of(self._net)
        for output in outputs:
            total = self._sums.setdefault(output.name, np.zeros(output.values.shape))
            if total.shape != output.values.shape:
                raise SolverError(
                    f'output "{output.name}" changed its shape from {total.shape} to {output.values.shape}, '
                    "so it has no mean",
                    mend="end that branch in a layer with a fixed shape, or in Silence",
                )
            total += output.values
        self._loss += self._net.loss() if self._with_loss else 0.0
        self.batches += 1
        return outputs

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self._loss / self.batches

    def means(self) -> tuple[Output, ...]:
        """The mean of each output."""
        return outputs_of(self._net, {name: total / self.batches for name, total in self._sums.items()})
