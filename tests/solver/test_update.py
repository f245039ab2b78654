"""The update rules against plain loops, and against numbers worked out from Caffe's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netforge.device import get_device
from netforge.device.operations.update import CHUNK, CONTROL_SIZE, CORRECTION, NORM, RATE, SCALE, Segment

OPS = get_device("cpu").ops


def control(rate: float = 0.1, scale: float = 1.0, correction: float = 1.0) -> np.ndarray:
    array = np.zeros(CONTROL_SIZE)
    array[[RATE, SCALE, CORRECTION]] = rate, scale, correction
    return array


RULES = {
    "sgd": ("update_sgd", 1, {"momentum": 0.9}),
    "nesterov": ("update_nesterov", 1, {"momentum": 0.9}),
    "adagrad": ("update_adagrad", 1, {"delta": 1e-8}),
    "rmsprop": ("update_rmsprop", 1, {"rms_decay": 0.99, "delta": 1e-8}),
    "adadelta": ("update_adadelta", 2, {"momentum": 0.95, "delta": 1e-6}),
    "adam": ("update_adam", 2, {"beta1": 0.9, "beta2": 0.999, "delta": 1e-8}),
    "adamw": ("update_adam", 2, {"beta1": 0.9, "beta2": 0.999, "delta": 1e-8, "adamw_decay": 0.2}),
}


def naive(
    name: str, w: float, g: float, h: list[float], a: float, s: dict, correction: float, decay_mult: float
) -> float:
    """One update of one weight; changes h in place and returns what is subtracted."""
    if name == "sgd":
        h[0] = s["momentum"] * h[0] + a * g
        return h[0]
    if name == "nesterov":
        previous = h[0]
        h[0] = s["momentum"] * h[0] + a * g
        return (1 + s["momentum"]) * h[0] - s["momentum"] * previous
    if name == "adagrad":
        h[0] += g * g
        return a * g / (math.sqrt(h[0]) + s["delta"])
    if name == "rmsprop":
        h[0] = s["rms_decay"] * h[0] + (1 - s["rms_decay"]) * g * g
        return a * g / (math.sqrt(h[0]) + s["delta"])
    if name == "adadelta":
        h[0] = s["momentum"] * h[0] + (1 - s["momentum"]) * g * g
        v = g * math.sqrt((h[1] + s["delta"]) / (h[0] + s["delta"]))
        h[1] = s["momentum"] * h[1] + (1 - s["momentum"]) * v * v
        return a * v
    h[0] = s["beta1"] * h[0] + (1 - s["beta1"]) * g
    h[1] = s["beta2"] * h[1] + (1 - s["beta2"]) * g * g
    return a * (correction * h[0] / (math.sqrt(h[1]) + s["delta"]) + s.get("adamw_decay", 0) * decay_mult * w)


@pytest.mark.parametrize("l1", [False, True], ids=["L2", "L1"])
@pytest.mark.parametrize("name", RULES)
def test_rule_equals_a_plain_loop(name: str, l1: bool, rng: np.random.Generator) -> None:
    op, count, settings = RULES[name]
    segments = (Segment(0, 5, 1.0, 1.0), Segment(8, 3, 2.0, 0.0), Segment(16, 4, 0.5, 3.0))
    weights, start = (lambda w: (w.copy(), w))(rng.normal(size=20))
    histories = [abs(rng.normal(size=20)) for _ in range(count)]
    before = [h.copy() for h in histories]
    diffs = rng.normal(size=20)
    gradient = diffs.copy()
    getattr(OPS, op)(weights, diffs, *histories, segments, control(0.3, 0.25, 0.7), weight_decay=0.1, l1=l1, **settings)
    covered = np.zeros(20, bool)
    for segment in segments:
        for i in range(segment.offset, segment.offset + segment.size):
            covered[i] = True
            penalty = np.sign(start[i]) if l1 else start[i]
            g = gradient[i] * 0.25 + 0.1 * segment.decay_mult * penalty
            h = [b[i] for b in before]
            update = naive(name, start[i], g, h, 0.3 * segment.lr_mult, settings, 0.7, segment.decay_mult)
            assert weights[i] == pytest.approx(start[i] - update, rel=1e-12)
            assert diffs[i] == pytest.approx(update, rel=1e-12)
            assert [flat[i] for flat in histories] == pytest.approx(h, rel=1e-12)
    np.testing.assert_array_equal(weights[~covered], start[~covered])


# w0 = 1, loss = w^2, weight decay 0.01: three steps by hand.
STEPS = {
    "sgd": (0.1, {}, (0.799, 0.457501, 0.058194199)),
    "nesterov": (0.1, {}, (0.6181, 0.21923761, -0.111651094)),
    "adagrad": (0.1, {}, (0.9, 0.833103528, 0.780456182)),
    "rmsprop": (0.01, {}, (0.900000005, 0.832917968, 0.779982273)),
    "adadelta": (1.0, {}, (0.995527875, 0.99100868, 0.986464462)),
    "adam": (0.1, {}, (0.900000016, 0.800412255, 0.701586308)),
}


@pytest.mark.parametrize("name", STEPS)
def test_three_steps(name: str) -> None:
    rate, _, expected = STEPS[name]
    op, count, settings = RULES[name]
    w = np.ones(1)
    histories = [np.zeros(1) for _ in range(count)]
    for t, value in enumerate(expected, start=1):
        correction = math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        diffs = 2 * w
        getattr(OPS, op)(
            w,
            diffs,
            *histories,
            (Segment(0, 1),),
            control(rate, 1.0, correction),
            weight_decay=0.01,
            l1=False,
            **settings,
        )
        assert w[0] == pytest.approx(value, abs=2e-8)


@pytest.mark.parametrize("name", RULES)
def test_long_segments_are_cut_without_a_seam(name: str, rng: np.random.Generator) -> None:
    """A segment longer than the working size gives what its elements give one by one, in float32 too."""
    op, count, settings = RULES[name]
    size = 2 * CHUNK + 3
    data = [rng.random(size).astype(np.float32) for _ in range(2 + count)]
    whole = [array.copy() for array in data]
    getattr(OPS, op)(*whole, (Segment(0, size, 2.0, 1.0),), control(), weight_decay=0.1, l1=False, **settings)
    places = [0, CHUNK - 1, CHUNK, 2 * CHUNK - 1, 2 * CHUNK, size - 1]
    few = [array[places].copy() for array in data]
    getattr(OPS, op)(*few, (Segment(0, len(places), 2.0, 1.0),), control(), weight_decay=0.1, l1=False, **settings)
    for a, b in zip(whole, few, strict=True):
        np.testing.assert_array_equal(a[places], b)
        assert a.dtype == np.float32


@pytest.mark.parametrize("name", RULES)
def test_a_frozen_weight_keeps_its_values_and_histories(name: str, rng: np.random.Generator) -> None:
    op, count, settings = RULES[name]
    arrays = [rng.random(6) for _ in range(2 + count)]
    before = [array.copy() for array in arrays]
    segments = (Segment(0, 3, lr_mult=0.0), Segment(3, 3))
    getattr(OPS, op)(*arrays, segments, control(), weight_decay=0.1, l1=False, **settings)
    for index, (array, old) in enumerate(zip(arrays, before, strict=True)):
        if index != 1:
            np.testing.assert_array_equal(array[:3], old[:3])
        assert (array[3:] != old[3:]).all()


@pytest.mark.parametrize(("threshold", "scale"), [(10.0, 1.0), (2.5, 0.5), (0.0, 0.0)])
@pytest.mark.parametrize("iter_size", [1, 4])
def test_clip_gradients(threshold: float, scale: float, iter_size: int) -> None:
    diffs = np.array([3.0, 0.0, 9.9, 4.0])  # 9.9 lies between the segments
    numbers = control()
    OPS.clip_gradients(diffs, (Segment(0, 2), Segment(3, 1)), numbers, threshold=threshold, iter_size=iter_size)
    assert numbers[NORM] == 5.0
    assert numbers[SCALE] == pytest.approx(scale / iter_size)
    assert diffs[0] == 3.0


def test_clipping_zero_gradients() -> None:
    numbers = control()
    OPS.clip_gradients(np.zeros(3), (Segment(0, 3),), numbers, threshold=0.0, iter_size=1)
    assert numbers[SCALE] == 1.0
