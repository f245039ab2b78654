"""The outputs of a net as scalars with names, as Caffe's log lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netforge.solver import Output

MOST_SCALARS = 32


def scalars(outputs: Iterable[Output]) -> Iterator[tuple[Output, float]]:
    """Each element of each output.

    Outputs of more than 32 elements (embeddings that nothing reads, say) are left out: nobody reads them in a log.
    """
    for output in outputs:
        if output.values.size <= MOST_SCALARS:
            for element in output.values.ravel():
                yield output, float(element)


def single_values(outputs: Iterable[Output]) -> dict[str, float]:
    """The outputs that are one number each, by name: accuracies and losses."""
    return {output.name: float(output.values.ravel()[0]) for output in outputs if output.values.size == 1}


def loss_tail(output: Output, value: float) -> str:
    """Caffe's tail of an output that counts towards the loss: " (* 1 = 0.21 loss)"; "" for all others."""
    weight = output.loss_weight
    return f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
