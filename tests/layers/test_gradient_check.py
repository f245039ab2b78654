"""The gradient check finds wrong gradients: each broken layer here has one fault."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from netforge.layers import LAYERS, Layer, register_layer
from netforge.layers.linear import InnerProduct
from netforge.layers.loss import EuclideanLoss
from netforge.layers.neuron import TanH
from netforge.testing import LayerCase, check_gradient, check_layer

DENSE = 'name: "y" type: "{}" bottom: "x" top: "y" inner_product_param {{ num_output: 2 }}'


@pytest.fixture
def broken() -> Iterator[list[str]]:
    names: list[str] = []
    yield names
    for name in names:
        LAYERS.remove(name)


def register(names: list[str], name: str, cls: type[Layer]) -> None:
    register_layer(name, settings=cls.settings_field)(cls)
    names.append(name)


def test_zero_backward_fails_even_where_gradients_are_small(broken) -> None:
    class ZeroLoss(EuclideanLoss):
        def backward(self, top, propagate_down, bottom) -> None:
            for blob in bottom:
                blob.diff[...] = 0

    register(broken, "ZeroLoss", ZeroLoss)
    inputs = list(np.random.default_rng(0).standard_normal((2, 512, 2)))
    check_gradient('name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "l"', inputs)
    with pytest.raises(AssertionError, match="backward gives 0"):
        check_gradient('name: "l" type: "ZeroLoss" bottom: "a" bottom: "b" top: "l"', inputs)


def test_bottom_diffs_must_be_overwritten(broken) -> None:
    class AddingTanH(TanH):
        def gradient(self, x, y, dy, dx) -> None:
            dx += dy * (1 - y * y)

    register(broken, "AddingTanH", AddingTanH)
    with pytest.raises(AssertionError, match="finite differences"):
        check_gradient('name: "y" type: "AddingTanH" bottom: "x" top: "y"', [np.ones((2, 2))])


def test_weight_diffs_must_be_added(broken) -> None:
    class OverwritingProduct(InnerProduct):
        def backward(self, top, propagate_down, bottom) -> None:
            for blob in self.weights:
                blob.diff[...] = 0
            super().backward(top, propagate_down, bottom)

    register(broken, "OverwritingProduct", OverwritingProduct)
    inputs = [np.random.default_rng(0).standard_normal((3, 4))]
    check_gradient(DENSE.format("InnerProduct"), inputs)
    with pytest.raises(AssertionError, match=r"weight y\[0\]"):
        check_gradient(DENSE.format("OverwritingProduct"), inputs)


def test_one_wrong_element_among_many_is_found(broken) -> None:
    class OffByOne(TanH):
        def gradient(self, x, y, dy, dx) -> None:
            super().gradient(x, y, dy, dx)
            dx.reshape(-1)[7] *= 1.01

    register(broken, "OffByOne", OffByOne)
    for shape in ((3, 4), (30, 40)):
        with pytest.raises(AssertionError, match="finite differences"):
            check_gradient('name: "y" type: "OffByOne" bottom: "x" top: "y"', [np.full(shape, 0.3)])


def test_vacuous_checks_are_refused() -> None:
    relu = 'name: "y" type: "ReLU" bottom: "x" top: "y"'
    with pytest.raises(AssertionError, match="zero everywhere"):
        check_gradient(relu, [-np.ones((2, 2))])
    with pytest.raises(AssertionError, match="lie at a kink"):
        check_gradient(relu, [np.zeros((2, 2))])


def test_gradients_through_random_masks_are_checked_at_one_draw() -> None:
    check_gradient('name: "y" type: "Dropout" bottom: "x" top: "y"', [np.ones((40, 30))])


def test_common_checks_name_the_case_and_the_check(broken) -> None:
    class Greedy(TanH):
        def compute(self, x, y) -> None:
            super().compute(x, y)
            x[...] = 0

    register(broken, "Greedy", Greedy)
    case = LayerCase("greedy", 'name: "y" type: "Greedy" bottom: "x" top: "y"', [(2, 2)], [(2, 2)])
    with pytest.raises(AssertionError, match=r"greedy: .*: "):
        check_layer(case)


def test_a_layer_that_mixes_items_must_say_so(broken) -> None:
    class Mixing(TanH):
        def compute(self, x, y) -> None:
            np.subtract(x, x.mean(axis=0), out=y)

        def gradient(self, x, y, dy, dx) -> None:
            np.subtract(dy, dy.mean(axis=0), out=dx)

    register(broken, "Mixing", Mixing)
    with pytest.raises(AssertionError, match="items_are_apart"):
        check_layer(LayerCase("mixing", 'name: "y" type: "Mixing" bottom: "x" top: "y"', [(3, 2)], [(3, 2)]))
