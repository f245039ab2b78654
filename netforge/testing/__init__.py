"""Checks for layers, for netforge's own and for yours.

    from netforge.testing import LayerCase, check_layer

    def test_swish():
        check_layer(LayerCase("swish", 'name: "y" type: "Swish" bottom: "x" top: "y"', [(3, 4)], [(3, 4)]))

`check_layer` runs all of `CHECKS` on one case; `check_gradient` compares a layer's backward with finite differences.
They raise AssertionError where the layer is wrong. Arrays are float64 on the CPU unless a check says otherwise.
"""

from netforge.testing.cases import LayerCase, LayerRun, Values, distinct, exactly, labels, normal, positive
from netforge.testing.checks import CHECKS, check_layer
from netforge.testing.gradient import check_gradient

__all__ = [
    "CHECKS",
    "LayerCase",
    "LayerRun",
    "Values",
    "check_gradient",
    "check_layer",
    "distinct",
    "exactly",
    "labels",
    "normal",
    "positive",
]
