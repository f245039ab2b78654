"""Stopping where NaN or infinity appears, with the layer and blob that held it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netforge.errors import NonFiniteError

if TYPE_CHECKING:
    from netforge.solver.solver import Solver

_MEND = (
    "lower base_lr or set clip_gradients, and look for bad values in the data; the snapshots written before are sound"
)


def nonfinite_loss(solver: Solver, loss: float) -> NonFiniteError:
    """The error for a loss that is NaN or infinite, before its gradients touch the weights."""
    layer, blob = solver.net.find_nonfinite() or (None, "no blob, so the sum of the losses overflowed")
    return NonFiniteError(
        f"the loss is {loss} after {solver.iteration} updates; the first NaN or infinity is in {blob}",
        where=solver.definition.place,
        layer=layer,
        mend=_MEND,
    )


def refuse_bad_weights(solver: Solver) -> None:
    """Raise NonFiniteError where a weight is NaN or infinite, so that what is on the disk stays good.

    Raises DataError where a label was bad that a device has kept to itself until now.
    """
    solver.net.settle()
    for layer in solver.net.layers:
        for blob in layer.weights:
            if not np.isfinite(solver.device.to_host(blob.data)).all():
                raise NonFiniteError(
                    f'weight "{blob.name}" is not finite after {solver.iteration} updates; no snapshot was written',
                    where=solver.definition.place,
                    layer=layer.label,
                    mend=_MEND,
                )
