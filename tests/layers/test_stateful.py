"""Layers that carry something from one forward to the next: masks, running statistics, hidden states, draws."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.errors import SnapshotError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.testing import LayerRun
from tests.layers.cases import row


def step(run: LayerRun, *arrays: np.ndarray) -> list[np.ndarray]:
    """One forward that keeps what the layer carries over."""
    if arrays:
        run.feed(arrays)
    return run.step()


def dropout(**options) -> LayerRun:
    return LayerRun(row("Dropout", "x", "y"), [np.ones((20, 50))], **options)


def test_each_training_pass_draws_another_mask() -> None:
    first, again = dropout(), dropout()
    masks = [step(first)[0] for _ in range(2)]
    assert (masks[0] != masks[1]).any()
    np.testing.assert_array_equal([step(again)[0] for _ in range(2)], masks)
    assert (step(dropout(seed=2))[0] != masks[0]).any()


def test_a_mask_is_resumed_from_one_number() -> None:
    run, resumed = dropout(), dropout()
    step(run)
    resumed.layer.restore(run.layer.state())
    np.testing.assert_array_equal(step(run), step(resumed))


@pytest.mark.parametrize("phase", ["TEST", "RUN"])
def test_nothing_is_dropped_outside_training(phase: str) -> None:
    run = dropout(phase=phase)
    assert (step(run)[0] == 1).all() and run.layer.state()["position"] == 0


def test_running_statistics_are_weighted_sums(rng: np.random.Generator) -> None:
    batches = rng.standard_normal((3, 4, 2, 5))
    run = LayerRun(row("BatchNorm", "x", "y", "batch_norm_param { moving_average_fraction: 0.75 }"), [batches[0]])
    means, variances, weight = np.zeros(2), np.zeros(2), 0.0
    for batch in batches:
        step(run, batch)
        means = 0.75 * means + batch.mean(axis=(0, 2))
        variances = 0.75 * variances + batch.var(axis=(0, 2), ddof=1)
        weight = 0.75 * weight + 1
    for blob, expected in zip(run.layer.weights, (means, variances, weight), strict=True):
        np.testing.assert_allclose(blob.data, np.broadcast_to(expected, blob.shape), rtol=1e-12)
    stored = [blob.data for blob in run.layer.weights]
    test = LayerRun(row("BatchNorm", "x", "y"), [batches[0]], phase="TEST", weights=stored)
    mean, variance = (means / weight)[:, None], (variances / weight)[:, None]
    np.testing.assert_allclose(step(test)[0], (batches[0] - mean) / np.sqrt(variance + 1e-5))


def test_statistics_that_were_never_filled_stay_finite() -> None:
    run = LayerRun(row("BatchNorm", "x", "y"), [np.ones((2, 3))], phase="TEST")
    np.testing.assert_allclose(step(run)[0], 1 / np.sqrt(1e-5))


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
def test_hidden_states_carry_over(type_: str, rng: np.random.Generator) -> None:
    x, cont = rng.standard_normal((6, 2, 3)), np.ones((6, 2))
    cont[0], cont[4, 1] = 0, 0
    text = row(type_, "x cont", "h", "recurrent_param { num_output: 4 }")
    whole, parts = LayerRun(text, [x, cont]), LayerRun(text, [x[:3], cont[:3]])
    (expected,) = step(whole)
    (first,) = step(parts)
    state = parts.layer.state()
    (second,) = step(parts, x[3:], cont[3:])
    np.testing.assert_allclose(np.concatenate([first, second]), expected)
    resumed = LayerRun(text, [x[3:], cont[3:]])
    resumed.layer.restore(state)
    np.testing.assert_array_equal(step(resumed)[0], second)


def test_a_state_of_another_batch_size_is_refused() -> None:
    text = row("RNN", "x cont", "h", "recurrent_param { num_output: 4 }")
    one, two = (LayerRun(text, [np.zeros((3, n, 2)), np.zeros((3, n))]) for n in (1, 2))
    with pytest.raises(SnapshotError, match=r"stored state has shape \(1, 1, 4\)"):
        two.layer.restore(one.layer.state())


def test_random_data_is_drawn_anew_and_repeats_for_a_seed() -> None:
    text = row("DummyData", "", "x z", 'dummy_data_param { shape { dim: 50 } data_filler { type: "gaussian" } }')
    runs = [LayerRun(text, []), LayerRun(text, [])]
    passes = [[step(run) for _ in range(2)] for run in runs]
    np.testing.assert_array_equal(passes[0], passes[1])
    values = np.array(passes[0]).reshape(4, 50)
    assert len(np.unique(values)) == 200


def test_constant_dummy_data_is_filled_once_so_that_it_can_be_assigned() -> None:
    run = LayerRun(row("DummyData", "", "x", "dummy_data_param { shape { dim: 5 } data_filler { value: 3 } }"), [])
    np.testing.assert_array_equal(step(run)[0], np.full(5, 3))
    run.top[0].data[...] = 7
    np.testing.assert_array_equal(step(run)[0], np.full(5, 7))


def test_constant_dummy_data_is_not_overwritten_in_place() -> None:
    filled = row("DummyData", "", "x", "dummy_data_param { shape { dim: 5 } data_filler { value: 3 } }")
    doubled = row("Power", "x", "x", "power_param { scale: 2 }")
    net = Net(parse_net(f"layer {{ {filled} }} layer {{ {doubled} }}"))
    for _ in range(2):
        np.testing.assert_array_equal(net.forward()["x"], np.full(5, 6))
