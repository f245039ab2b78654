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
from netforge.solver.events import TestResult, outputs_of

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
    sums: dict[str, npt.NDArray[Any]] = {}
    loss = 0.0
    for _ in range(batches):
        if interrupted():
            return None
        net.forward_pass()
        _add(sums, net.output_values())
        loss += net.loss() if with_loss else 0.0
    means = {name: total / batches for name, total in sums.items()}
    seconds = time.perf_counter() - start
    return TestResult(
        number, iteration, batches, outputs_of(net, means), loss / batches if with_loss else None, seconds
    )


def _add(sums: dict[str, npt.NDArray[Any]], values: dict[str, npt.NDArray[Any]]) -> None:
    for name, array in values.items():
        total = sums.setdefault(name, np.zeros(array.shape))
        if total.shape != array.shape:
            raise SolverError(
                f'test output "{name}" changed its shape from {total.shape} to {array.shape}, so it has no mean',
                mend="end that branch in a layer with a fixed shape, or in Silence",
            )
        total += array
