"""How large values and gradients are, layer by layer: whether gradients vanish or explode on their way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netforge.errors import NetError, counted
from netforge.inspect.charts import Series, line_chart
from netforge.inspect.page import card, page, table
from netforge.net import Net

NORM_COLUMNS = ("weight", "value", "gradient", "ratio", "remark")
VANISHING, EXPLODING = 1e-4, 1e3
"""Of the median root mean square of all weight gradients: what is below or above is remarked on."""


@dataclass(frozen=True)
class WeightNorms:
    """Root mean squares of a learnable weight and of its gradient, one for each batch."""

    layer: str
    index: int
    data: tuple[float, ...]
    diff: tuple[float, ...]

    @property
    def name(self) -> str:
        """Layer and number."""
        return f"{self.layer}[{self.index}]"

    @property
    def mean_data(self) -> float:
        """The mean over the batches, of the values."""
        return float(np.mean(self.data))

    @property
    def mean_diff(self) -> float:
        """The mean over the batches, of the gradient."""
        return float(np.mean(self.diff))

    @property
    def ratio(self) -> float:
        """Gradient by value; 0 / 0 is 0."""
        return self.mean_diff / self.mean_data if self.mean_data else (math.inf if self.mean_diff else 0.0)


def gradient_norms(net: Net, batches: int) -> list[WeightNorms]:
    """Run `batches` training batches forward and backward, without an update, and measure every learnable weight.

    net: in phase TRAIN. Weights that two layers share are measured once, with the gradients of both. Raises NetError
    where nothing learns.
    """
    if not net.learnable:
        raise NetError("no layer of the net learns", where=net.definition.place, mend="give a net with weights")
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in net.learnable]
    for _ in range(batches):
        net.clear_weight_diffs()
        net.forward_pass()
        net.backward_pass()
        net.settle()
        for entry, (data, diff) in zip(net.learnable, found, strict=True):
            data.append(_root_mean_square(net.device.to_host(entry.blob.data)))
            diff.append(_root_mean_square(net.device.to_host(entry.blob.diff)))
    return [
        WeightNorms(entry.layer, entry.index, tuple(data), tuple(diff))
        for entry, (data, diff) in zip(net.learnable, found, strict=True)
    ]


def _root_mean_square(array: Any) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def verdicts(norms: Sequence[WeightNorms]) -> dict[str, str]:
    """What is remarkable about gradients, by the name of the weight: none, not finite, vanishing or exploding.

    Vanishing is below 1/10,000 of the median of all, exploding above 1,000 times of it.
    """
    sizes = [one.mean_diff for one in norms if math.isfinite(one.mean_diff) and one.mean_diff > 0]
    middle = float(np.median(sizes)) if sizes else 0.0
    found = {}
    for one in norms:
        size = one.mean_diff
        if not math.isfinite(size):
            found[one.name] = "NaN or infinite"
        elif not size:
            found[one.name] = "no gradient"
        elif size < VANISHING * middle:
            found[one.name] = "vanishing"
        elif size > EXPLODING * middle:
            found[one.name] = "exploding"
    return found


def norm_rows(norms: Sequence[WeightNorms]) -> list[tuple[str, ...]]:
    """Each weight in words, in the order of NORM_COLUMNS, with what is remarkable about its gradient."""
    found = verdicts(norms)
    return [
        (one.name, f"{one.mean_data:.3g}", f"{one.mean_diff:.3g}", f"{one.ratio:.3g}", found.get(one.name, ""))
        for one in norms
    ]


def gradients_page(norms: Sequence[WeightNorms], name: str, batches: int) -> str:
    """A page with the norms of values and gradients from the first layer to the last, and a table of them."""
    x = [float(number) for number in range(1, len(norms) + 1)]
    curves = [
        Series("gradient", x, [one.mean_diff for one in norms], hue=1, dots=True),
        Series("value", x, [one.mean_data for one in norms], hue=0, dots=True),
    ]
    rows = [(number, *row) for number, row in enumerate(norm_rows(norms), start=1)]
    return page(
        f"Gradients of {name}",
        card(
            "From the first layer to the last",
            line_chart(curves, x="number of the weight", label="Root mean squares of weights and gradients", log=True),
            note="Root mean squares; of the loss as the net has it, before clipping, decay and rate.",
        ),
        card("Weights", table(("", *NORM_COLUMNS), rows, right=(0, 2, 3, 4))),
        subtitle=f"mean of {counted(batches, 'training batch', 'training batches')}, without updates",
    )
