"""The outputs of a net as scalars with names, as Caffe's log lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_SCALARS = 32


def scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each element of each output with the output's name.

    Outputs of more than 32 elements (embeddings that nothing reads, say) are left out: nobody reads them in a log.
    """
    for name, value in values.items():
        if value.size <= MOST_SCALARS:
            for element in value.ravel():
                yield name, float(element)


def loss_tail(weight: float | None, value: float) -> str:
    """Caffe's tail of an output that counts towards the loss: " (* 1 = 0.21 loss)"; "" for all others."""
    return f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
