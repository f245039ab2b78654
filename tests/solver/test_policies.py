"""Learning-rate policies: values worked out from Caffe's formulas, and what is said about missing settings."""

from __future__ import annotations

import pytest

from netforge.errors import NetforgeError, SettingsError
from netforge.schema import parse_solver
from netforge.solver.policies import POLICIES, make_policy, register_policy, steps_taken

SETTINGS = {"gamma": 0.5, "stepsize": 5, "power": 2, "max_iter": 20}


def policy(name: str, base_lr: float | None = 1.0, **fields: object):
    lines = [f'lr_policy: "{name}"'] if name else []
    lines += [f"base_lr: {base_lr}"] if base_lr is not None else []
    for field, value in fields.items():
        lines += [f"{field}: {v}" for v in (value if isinstance(value, list) else [value])]
    return make_policy(parse_solver("\n".join(lines), "solver.prototxt"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("fixed", (1, 1, 1, 1)),
        ("step", (1, 1, 0.5, 0.25)),
        ("exp", (1, 0.5, 0.03125, 0.000977)),
        ("inv", (1, 0.444444, 0.081633, 0.027778)),
        ("poly", (1, 0.9025, 0.5625, 0.25)),
        ("sigmoid", (0.075858, 0.119203, 0.5, 0.924142)),
        ("sigmoid_inv", (0.924142, 0.880797, 0.5, 0.075858)),
    ],
)
def test_values(name: str, values: tuple[float, ...]) -> None:
    rate = policy(name, **SETTINGS)
    assert [rate(iteration) for iteration in (0, 1, 5, 10)] == pytest.approx(values, abs=1e-6)


def test_multistep() -> None:
    rate = policy("multistep", gamma=0.1, stepvalue=[3, 7, 7])
    assert [rate(i) for i in (0, 2, 3, 6, 7, 100)] == pytest.approx([1, 1, 0.1, 0.1, 0.001, 0.001])


def test_multistep_follows_from_the_iteration_alone() -> None:
    """Caffe keeps a count in the state, which goes wrong for good once stepvalues are edited; here it cannot."""
    settings = parse_solver('lr_policy: "multistep" stepvalue: 3 stepvalue: 7').message
    assert [steps_taken(settings, i) for i in (0, 2, 3, 7)] == [0, 0, 1, 2]
    settings = parse_solver('lr_policy: "step" stepsize: 4').message
    assert [steps_taken(settings, i) for i in (0, 3, 4, 11)] == [0, 0, 1, 2]
    settings = parse_solver('lr_policy: "fixed" stepvalue: 3').message
    assert steps_taken(settings, 9) == 0


def test_the_rate_stays_zero_beyond_the_end_of_poly() -> None:
    assert policy("poly", **SETTINGS)(25) == 0.0


def test_sigmoid_does_not_overflow() -> None:
    rate = policy("sigmoid", gamma=10, stepsize=1_000_000)
    assert rate(0) == 0.0
    assert rate(2_000_000) == 1.0


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("step", {"gamma": 0.1}, "needs stepsize, which is not set"),
        ("step", {"stepsize": 5}, "needs gamma, which is not set"),
        ("step", {"gamma": 0.1, "stepsize": 0}, "needs stepsize of at least 1, found 0"),
        ("exp", {}, "needs gamma"),
        ("inv", {"gamma": 1}, "needs power"),
        ("multistep", {"gamma": 1}, "needs stepvalue"),
        ("multistep", {"gamma": 1, "stepvalue": [7, 3]}, "stepvalue must rise, found 7, 3"),
        ("poly", {"power": 1}, "needs max_iter"),
        ("poly", {"power": 1, "max_iter": 0}, "needs max_iter of at least 1"),
        ("sigmoid", {"gamma": 1}, "needs stepsize"),
        ("fixed", {"base_lr": None}, "needs base_lr"),
        ("fxed", {}, 'Did you mean "fixed"?'),
        ("", {}, "lr_policy is not set"),
    ],
)
def test_what_is_missing_is_said_with_its_line(name: str, fields: dict[str, object], words: str) -> None:
    with pytest.raises(NetforgeError) as caught:
        policy(name, **fields)
    message = str(caught.value)
    assert words in message
    assert message.startswith("solver.prototxt")


def test_a_policy_of_ones_own() -> None:
    @register_policy("Halving", needs=("stepsize",))
    def halving(settings, iteration):
        return settings.base_lr * 0.5 ** (iteration // settings.stepsize)

    try:
        assert policy("halving", base_lr=8.0, stepsize=2)(5) == 2.0
        with pytest.raises(SettingsError, match="needs stepsize"):
            policy("halving")
    finally:
        POLICIES.remove("Halving")
