"""Tests during training: the mean of a test net's outputs over its batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import SolverError
from netforge.net import Net
from netforge.solver.events import TestResult, outputs_of


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
