"""What every layer has to keep to, one function a rule; `check_layer` runs them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netforge.errors import NetforgeError
from netforge.layers.base import LAYERS
from netforge.schema import parse_net
from netforge.testing.cases import Array, LayerCase, LayerRun, layer_definition
from netforge.testing.gradient import check_gradient


def run_case(case: LayerCase, inputs: Sequence[Array] | None = None, **options: Any) -> LayerRun:
    """A `LayerRun` of the case; inputs: values (N, ...) of the bottoms in the place of the case's own."""
    return LayerRun(case.layer, case.inputs() if inputs is None else inputs, phase=case.phase, **options)


def top_diffs(run: LayerRun) -> list[Array]:
    """Gradients for the tops of a run (their shapes): the same numbers for the same shapes."""
    rng = np.random.default_rng(3)
    return [rng.standard_normal(blob.shape) for blob in run.top]


def gradients_are_right(case: LayerCase) -> None:
    """Backward agrees with finite differences."""
    if LAYERS[layer_definition(case.layer).type].differentiable and (case.bottoms or run_case(case).layer.weights):
        check_gradient(
            case.layer,
            case.inputs(),
            phase=case.phase,
            tolerance=case.tolerance,
            zero_gradient=case.zero_gradient,
        )


def shapes_are_as_stated(case: LayerCase) -> None:
    """Tops have the case's shapes, after `reshape` and after `forward`, and hold finite numbers."""
    run = run_case(case)
    dynamic = run.layer.dynamic_shape
    if not dynamic:
        assert [blob.shape for blob in run.top] == [tuple(shape) for shape in case.tops]
    tops = run.forward()
    assert [top.shape for top in tops] == [tuple(shape) for shape in case.tops]
    assert all(np.isfinite(top).all() for top in tops)


def other_batches_work(case: LayerCase) -> None:
    """After a reshape to fewer items, and to one, a layer gives what a fresh layer gives."""
    if case.batch_axis is None or not case.bottoms:
        return
    for keep in (slice(0, 2), slice(0, 1)):
        some = case.items(case.inputs(), keep)
        run = run_case(case)
        run.forward()
        run.feed(some)
        fresh = run_case(case, some, weights=run.start[1])
        _assert_same(run.forward(), fresh.forward(), f"tops for {keep.stop} items")
        if run.layer.differentiable:
            diffs = top_diffs(run)
            _assert_same(_flat(run.backward(diffs)), _flat(fresh.backward(diffs)), f"gradients for {keep.stop} items")


def no_items_are_fine(case: LayerCase) -> None:
    """A batch without any item, as Filter may leave it, runs, or is refused with a NetforgeError."""
    if case.batch_axis is None or not case.bottoms:
        return
    run = run_case(case)
    run.feed(case.items(case.inputs(), slice(0, 0)))
    try:
        run.forward()
    except NetforgeError:
        return
    if run.layer.differentiable:
        run.backward(top_diffs(run))


def items_are_apart(case: LayerCase) -> None:
    """Where a layer says so (`per_item`), the first item's tops do not depend on the others."""
    layer = LAYERS[layer_definition(case.layer).type]
    if not layer.per_item or case.batch_axis is None or not case.bottoms:
        return
    axis = case.batch_axis
    whole = run_case(case)
    alone = run_case(case, case.items(case.inputs(), slice(0, 1)), weights=whole.start[1])
    for top, first in zip(whole.forward(), alone.forward(), strict=True):
        _assert_same([np.take(top, [0], axis=axis)], [first], "the first item")


def in_place_is_the_same(case: LayerCase) -> None:
    """Working in the bottom's memory changes no number, where a layer allows it."""
    layer = LAYERS[layer_definition(case.layer).type]
    if not layer.in_place:
        return
    apart, together = run_case(case), run_case(case, in_place=True)
    _assert_same(apart.forward(), together.forward(), "tops in place")
    if not layer.differentiable:
        return
    diffs = top_diffs(apart)
    expected, _ = apart.backward(diffs)
    for blob in together.learnable():
        blob.diff[...] = 0
    together.top[0].diff[...] = diffs[0]
    together.layer.backward(together.top, together.wanted(), together.bottom)
    _assert_same([together.bottom[0].diff], [expected[0]], "gradients in place")


def inputs_stay(case: LayerCase) -> None:
    """Neither forward nor backward changes the bottoms' values."""
    run = run_case(case)
    run.forward()
    if run.layer.differentiable:
        run.backward(top_diffs(run))
    for blob, array in zip(run.bottom, case.inputs(), strict=True):
        np.testing.assert_array_equal(blob.data, array, err_msg=f'"{blob.name}" was changed')


def forward_repeats(case: LayerCase) -> None:
    """The same forward twice gives the same bits."""
    run = run_case(case)
    for first, second in zip(run.forward(), run.forward(), strict=True):
        np.testing.assert_array_equal(first, second)


def single_precision_is_near(case: LayerCase) -> None:
    """float32 gives what float64 gives, to within its precision."""
    double = run_case(case)
    single = run_case(case, dtype=np.float32, weights=double.start[1])
    _assert_same(single.forward(), double.forward(), "tops in float32", 2e-5 * case.loose)
    assert all(blob.data.dtype == np.float32 for blob in single.top)
    if double.layer.differentiable:
        diffs = top_diffs(double)
        got, expected = _flat(single.backward(diffs)), _flat(double.backward(diffs))
        _assert_same(got, expected, "gradients in float32", 1e-4 * case.loose)


def prototxt_comes_back(case: LayerCase) -> None:
    """Written as text and read again, the layer is the same."""
    net = parse_net(f"layer {{ {case.layer} }}")
    assert parse_net(net.to_text()).layers[0].message == net.layers[0].message


def wrong_counts_are_refused(case: LayerCase) -> None:
    """One bottom or top too few, or too many, raises an error that names the layer."""
    from netforge.net import Net

    definition = layer_definition(case.layer)
    layer = LAYERS[definition.type]
    for field, slots in (("bottom", layer.bottoms), ("top", layer.tops)):
        for count in (len(slots.required) - 1, int(slots.most + 1) if slots.most < math.inf else -1):
            made_by_the_net = field == "top" and layer.is_loss and count == 0
            if count < 0 or made_by_the_net:
                continue
            message = type(definition.message)()
            message.CopyFrom(definition.message)
            del getattr(message, field)[:]
            getattr(message, field).extend(f"{field}{i}" for i in range(count))
            inputs = "".join(
                f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}'
                for name in dict.fromkeys(message.bottom)
            )
            net = parse_net(inputs)
            try:
                Net(net.replace_layers([*net.layers, definition.copy_with(message)]), case.phase)
            except NetforgeError as error:
                assert definition.type in str(error) or definition.name in str(error), (
                    f"the layer is not named: {error}"
                )
            else:
                raise AssertionError(f"{count} {field}s were accepted")


def _flat(gradients: tuple[list[Array | None], list[Array]]) -> list[Array | None]:
    """Gradients of bottoms, then of weights."""
    return [*gradients[0], *gradients[1]]


def _assert_same(got: Sequence[Any], expected: Sequence[Any], what: str, tolerance: float = 1e-9) -> None:
    """Arrays agree to within `tolerance` of the largest expected number."""
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        if b is not None:
            size = float(np.abs(b).max(initial=0))
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(size, 1e-3), err_msg=f"{what}, number {i}")


CHECKS: tuple[Callable[[LayerCase], None], ...] = (
    shapes_are_as_stated,
    gradients_are_right,
    other_batches_work,
    items_are_apart,
    no_items_are_fine,
    in_place_is_the_same,
    inputs_stay,
    forward_repeats,
    single_precision_is_near,
    prototxt_comes_back,
    wrong_counts_are_refused,
)


def check_layer(case: LayerCase) -> None:
    """Run all `CHECKS` on a case; raises AssertionError that names the check and the case."""
    for check in CHECKS:
        try:
            check(case)
        except AssertionError as error:
            raise AssertionError(f"{case.id}: {check.__name__}: {error}") from error
