"""Checks for layers, for netforge's own and for yours.

    from netforge.testing import LayerCase, check_layer

    def test_swish():
        check_layer(LayerCase("swish", 'name: "y" type: "Swish" bottom: "x" top: "y"', [(3, 4)], [(3, 4)]))

`check_layer` runs all of `CHECKS` on one case; `check_gradient` compares a layer's backward with finite differences.
They raise AssertionError where the layer is wrong. Arrays are float64 on the CPU unless a check says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.blob import Blob
from netforge.device import get_device
from netforge.errors import NetforgeError
from netforge.layers.base import LAYERS, Layer, LayerContext
from netforge.schema import LayerDefinition, parse_net

Array = npt.NDArray[Any]
Values = Callable[[np.random.Generator, tuple[int, ...]], Array]

SMALL = 100
"""Blobs with more elements than this are checked along random directions, not element by element."""
DIRECTIONS = 8
STEP = 1e-6
UNUSED = 7.0


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal values, none nearer than 0.05 to 0, where many functions have a kink."""
    values = rng.standard_normal(shape)
    return values + np.copysign(0.05, values)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values in [0.2, 1.2)."""
    return rng.random(shape) + 0.2


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values in [-1, 1) in random order that differ by at least 2 / count: no ties for a maximum."""
    count = math.prod(shape)
    return rng.permutation(np.linspace(-1, 1, count, endpoint=False)).reshape(shape)


def labels(classes: int) -> Values:
    """Whole numbers from 0 to classes - 1; every class appears where there is room."""

    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.permutation(np.arange(math.prod(shape)) % classes).astype(np.float64).reshape(shape)

    return make


def exactly(values: Any) -> Values:
    """The given values, cut or repeated to the shape."""
    return lambda rng, shape: np.resize(np.asarray(values, np.float64), shape)


@dataclass(frozen=True)
class LayerCase:
    """One layer with bottoms to try it on.

    id: name of the case. layer: prototxt of the layer, what stands between the braces of `layer { ... }`.
    bottoms, tops: their shapes. values: a maker of values for each bottom (`normal` where None or missing).
    phase: TRAIN, TEST or RUN. batch_axis: the axis along which items are counted, in the bottoms of `batched` (None:
    all that have as many there as the first); None where the number of items is fixed. zero_gradient: bottoms whose
    gradient is zero by definition. tolerance: of gradients. loose: factor on the tolerance of float32.
    """

    id: str
    layer: str
    bottoms: Sequence[tuple[int, ...]]
    tops: Sequence[tuple[int, ...]]
    values: Sequence[Values | None] = ()
    phase: str = "TRAIN"
    batch_axis: int | None = 0
    batched: tuple[int, ...] | None = None
    zero_gradient: tuple[int, ...] = ()
    tolerance: float = 1e-5
    loose: float = 1.0

    def inputs(self, seed: int = 0) -> list[Array]:
        """Values for the bottoms, the same for the same seed."""
        rng = np.random.default_rng(seed)
        makers = [*self.values, *[None] * (len(self.bottoms) - len(self.values))]
        return [(make or normal)(rng, shape) for make, shape in zip(makers, self.bottoms, strict=True)]

    def items(self, arrays: Sequence[Array], keep: slice) -> list[Array]:
        """The inputs cut to some of their items."""
        axis = self.batch_axis
        assert axis is not None
        size = arrays[0].shape[axis]
        batched = self.batched or tuple(
            i for i, array in enumerate(arrays) if array.ndim > axis and array.shape[axis] == size
        )
        index = (*(slice(None) for _ in range(axis)), keep)
        return [np.ascontiguousarray(array[index]) if i in batched else array for i, array in enumerate(arrays)]


class LayerRun:
    """A layer outside any net, with blobs of its own.

    layer: prototxt of it (with or without `layer { }`), or a LayerDefinition. inputs: values of the bottoms. tops: how
    many; None takes what the layer names. weights: values to start from; None draws normal ones for learnable weights.
    """

    def __init__(
        self,
        layer: str | LayerDefinition,
        inputs: Sequence[npt.ArrayLike],
        *,
        phase: str = "TRAIN",
        dtype: npt.DTypeLike = np.float64,
        in_place: bool = False,
        seed: int = 1,
        weights: Sequence[Array] | None = None,
    ) -> None:
        definition = _definition(layer)
        device = get_device("cpu")
        self.dtype = np.dtype(dtype)
        context = LayerContext(phase, device, self.dtype, seed)
        self.layer: Layer = LAYERS[definition.type](definition, context)
        arrays = [np.asarray(array) for array in inputs]
        names = list(definition.message.bottom)
        self.bottom = [
            Blob(array.shape, device=device, dtype=dtype, name=names[i] if i < len(names) else f"bottom{i}")
            for i, array in enumerate(arrays)
        ]
        count = max(len(definition.message.top), 1 if self.layer.is_loss else 0)
        self.top = [
            self.bottom[0] if in_place and i == 0 else Blob(device=device, dtype=dtype, name=f"top{i}")
            for i in range(count)
        ]
        self.layer.setup(self.bottom, self.top)
        self.layer.reshape(self.bottom, self.top)
        self.feed(arrays)
        self._fill_weights(weights, seed)
        self.start = self._state()

    def _fill_weights(self, values: Sequence[Array] | None, seed: int) -> None:
        rng = np.random.default_rng(seed + 1)
        for i, blob in enumerate(self.layer.weights):
            if values is not None:
                blob.reshape(values[i].shape)
                blob.data[...] = values[i]
            elif blob.learnable:
                blob.data[...] = 0.5 * normal(rng, blob.shape)

    def _state(self) -> tuple[dict[str, Any], list[Array]]:
        return self.layer.state(), [blob.data.copy() for blob in self.layer.weights]

    def feed(self, arrays: Sequence[Array]) -> None:
        """Give the bottoms values, of other shapes than before where wanted."""
        for blob, array in zip(self.bottom, arrays, strict=True):
            blob.reshape(np.shape(array))
            blob.data[...] = array

    def rewind(self) -> None:
        """Take back draws, running sums and carried states, so that a forward repeats the first one."""
        state, weights = self.start
        self.layer.restore(state)
        for blob, values in zip(self.layer.weights, weights, strict=True):
            if not blob.learnable:
                blob.reshape(values.shape)
                blob.data[...] = values

    def forward(self) -> list[Array]:
        """Reshape, run forward from the starting state, and return copies of the tops."""
        self.rewind()
        self.layer.reshape(self.bottom, self.top)
        self.layer.forward(self.bottom, self.top)
        return [blob.data.copy() for blob in self.top]

    def wanted(self) -> list[bool]:
        """Which bottoms can get a gradient."""
        return [self.layer.differentiable and i not in self.layer.blocked_bottoms for i in range(len(self.bottom))]

    def learnable(self) -> list[Blob]:
        """The weights that can get a gradient."""
        return [blob for blob in self.layer.weights if blob.learnable] if self.layer.differentiable else []

    def backward(self, top_diffs: Sequence[Array]) -> tuple[list[Array | None], list[Array]]:
        """Gradients of bottoms (None where there is none) and of learnable weights, for these gradients of the tops.

        Diffs are full of other numbers before, so that a gradient that is not written, or not added, shows.
        """
        for blob in [*self.bottom, *self.learnable()]:
            blob.diff[...] = UNUSED
        for blob, diff in zip(self.top, top_diffs, strict=True):
            blob.diff[...] = diff
        wanted = self.wanted()
        self.layer.backward(self.top, wanted, self.bottom)
        bottoms = [blob.diff.copy() if flag else None for blob, flag in zip(self.bottom, wanted, strict=True)]
        return bottoms, [blob.diff - UNUSED for blob in self.learnable()]


def _definition(layer: str | LayerDefinition) -> LayerDefinition:
    if isinstance(layer, LayerDefinition):
        return layer
    return parse_net(layer if layer.lstrip().startswith("layer") else f"layer {{ {layer} }}").layers[0]


# --- gradients -----------------------------------------------------------------------------------------------------


def check_gradient(
    layer: str | LayerDefinition,
    inputs: Sequence[npt.ArrayLike],
    *,
    phase: str = "TRAIN",
    tolerance: float = 1e-5,
    zero_gradient: tuple[int, ...] = (),
    seed: int = 1,
) -> None:
    """Compare a layer's gradients with central differences in float64.

    The objective is a sum of all top values, each with a random factor. For each bottom that can get a gradient and
    each learnable weight: max |analytic - numeric| <= tolerance * max |numeric|, so a backward that writes zeros fails.
    Elements are changed one by one, in blobs of more than 100 elements along random directions instead; where the
    differences to both sides disagree the point lies at a kink and is left out, up to a fifth of them.
    zero_gradient: bottoms whose gradient is zero by definition.
    Raises AssertionError with the blob and the worst element.
    """
    run = LayerRun(layer, inputs, phase=phase, seed=seed)
    rng = np.random.default_rng(seed)
    factors = [rng.uniform(0.5, 1.5, top.shape) * rng.choice([-1, 1], top.shape) for top in run.forward()]
    bottom_diffs, weight_diffs = run.backward(factors)

    def objective() -> float:
        return float(sum((factor * top).sum() for factor, top in zip(factors, run.forward(), strict=True)))

    for i, (blob, diff) in enumerate(zip(run.bottom, bottom_diffs, strict=True)):
        if diff is not None:
            _compare(objective, blob, diff, tolerance, rng, f'bottom {i} ("{blob.name}")', i in zero_gradient)
    for blob, diff in zip(run.learnable(), weight_diffs, strict=True):
        _compare(objective, blob, diff, tolerance, rng, f"weight {blob.name}", False)


def _compare(
    objective: Callable[[], float],
    blob: Blob,
    analytic: Array,
    tolerance: float,
    rng: np.random.Generator,
    what: str,
    zero: bool,
) -> None:
    """Compare one blob's gradient along each unit vector, or along random directions."""
    elementwise = blob.count <= SMALL
    directions = range(blob.count) if elementwise else range(DIRECTIONS)
    flat = analytic.reshape(-1)
    assert np.isfinite(flat).all(), f"{what}: backward gives NaN or infinity"
    slopes, kinks = [], 0
    for number in directions:
        direction = np.zeros(blob.count)
        if elementwise:
            direction[number] = 1
        else:
            direction = rng.standard_normal(blob.count)
        numeric, smooth = _slope(objective, blob, direction.reshape(blob.shape))
        kinks += not smooth
        if smooth:
            slopes.append((numeric, float(flat @ direction), number))
    assert kinks <= len(directions) / 5, (
        f"{what}: {kinks} of {len(directions)} points lie at a kink; choose other values"
    )
    largest = max((abs(numeric) for numeric, _, _ in slopes), default=0.0)
    if zero:
        assert largest < 1e-6 and not flat.any(), f"{what}: the gradient should be zero"
        return
    assert largest > 1e-6, f"{what}: the gradient is zero everywhere, which tests nothing; choose other values"
    error, numeric, got, number = max((abs(n - a), n, a, number) for n, a, number in slopes)
    place = np.unravel_index(number, blob.shape) if elementwise else f"direction {number}"
    assert error <= tolerance * largest, (
        f"{what} at {tuple(map(int, place)) if elementwise else place}: backward gives {got:.8g}, "
        f"finite differences {numeric:.8g} (largest gradient {largest:.3g})"
    )


def _slope(objective: Callable[[], float], blob: Blob, direction: Array) -> tuple[float, bool]:
    """The derivative along a direction, and whether both sides agree on it."""
    kept = blob.data.copy()
    step = STEP * max(1.0, float(np.abs(kept).max(initial=0)))
    values = []
    for shift in (-step, 0.0, step):
        blob.data[...] = kept + shift * direction
        values.append(objective())
        blob.data[...] = kept
    before, here, after = values
    left, right = (here - before) / step, (after - here) / step
    return (after - before) / (2 * step), abs(left - right) <= 1e-2 * max(abs(left), abs(right)) + 1e-3


# --- the common checks ---------------------------------------------------------------------------------------------


def run_case(case: LayerCase, inputs: Sequence[Array] | None = None, **options: Any) -> LayerRun:
    """A `LayerRun` of the case."""
    return LayerRun(case.layer, case.inputs() if inputs is None else inputs, phase=case.phase, **options)


def top_diffs(run: LayerRun) -> list[Array]:
    """Gradients for the tops of a run: the same numbers for the same shapes."""
    rng = np.random.default_rng(3)
    return [rng.standard_normal(blob.shape) for blob in run.top]


def gradients_are_right(case: LayerCase) -> None:
    """Backward agrees with finite differences."""
    if LAYERS[_definition(case.layer).type].differentiable and (case.bottoms or run_case(case).layer.weights):
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


def items_are_apart(case: LayerCase) -> None:
    """Where a layer says so (`per_item`), the first item's tops do not depend on the others."""
    layer = LAYERS[_definition(case.layer).type]
    if not layer.per_item or case.batch_axis is None or not case.bottoms:
        return
    axis = case.batch_axis
    whole = run_case(case)
    alone = run_case(case, case.items(case.inputs(), slice(0, 1)), weights=whole.start[1])
    for top, first in zip(whole.forward(), alone.forward(), strict=True):
        _assert_same([np.take(top, [0], axis=axis)], [first], "the first item")


def in_place_is_the_same(case: LayerCase) -> None:
    """Working in the bottom's memory changes no number, where a layer allows it."""
    layer = LAYERS[_definition(case.layer).type]
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
    """One bottom or top too few, or too many, is an error that names the layer."""
    from netforge.net import Net

    definition = _definition(case.layer)
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
