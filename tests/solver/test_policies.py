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


def test_cosine() -> None:
    """Values of PyTorch's CosineAnnealingLR(T_max=8, eta_min=0.125); beyond max_iter it would rise again."""
    rate = policy("cosine", max_iter=8, min_lr=0.125)
    expected = (1.0, 0.966697295473688, 0.8718592167691146, 0.7299240016597269, 0.5625, 0.39507599834027324)
    assert [rate(i) for i in range(6)] == pytest.approx(expected, rel=1e-12)
    assert rate(8) == rate(9) == rate(100) == 0.125
    assert policy("cosine", max_iter=8)(8) == 0.0


ONE_CYCLE = [
    # max_iter, rise_fraction, start_divisor, end_divisor, rates by iteration
    (
        (100, 0.3, 25, 1e4),
        {
            0: 0.08000000000000007,
            1: 0.08562756113181491,
            10: 0.5903278969282015,
            28: 1.9943724388681852,
            29: 2.0,
            30: 1.9989930705690486,
            50: 1.587786901151464,
            75: 0.5261372330016513,
            98: 0.0010149294309515758,
            99: 8e-06,
        },
    ),
    (
        (10, 0.25, 4, 100),
        {
            0: 0.5,
            1: 1.6249999999999998,
            2: 1.9782022317319712,
            3: 1.8094944518890101,
            4: 1.50125,
            5: 1.1067671421094842,
            6: 0.6942555481109901,
            7: 0.33504222015703927,
            8: 0.09123840600150554,
            9: 0.005,
        },
    ),
    ((3, 0.5, 2, 10), {0: 1.0, 1: 1.525, 2: 0.1}),
    ((2, 0.3, 25, 1e4), {0: 1.623491307899526, 1: 8e-06}),
    ((1, 0.3, 25, 1e4), {0: 8e-06}),
]


@pytest.mark.parametrize(("cycle", "expected"), ONE_CYCLE, ids=["100", "10", "3", "2", "1"])
def test_one_cycle(cycle: tuple[float, ...], expected: dict[int, float]) -> None:
    """Rates of PyTorch's OneCycleLR(max_lr=2, anneal_strategy="cos"); the top lies between iterations 1 and 2 of 10."""
    names = ("max_iter", "rise_fraction", "start_divisor", "end_divisor")
    rate = policy("one_cycle", base_lr=2.0, **dict(zip(names, cycle, strict=True)))
    # rise_fraction is stored as a float32, which moves the top by less than a millionth of an iteration
    assert {i: rate(i) for i in expected} == pytest.approx(expected, rel=1e-6)
    assert rate(int(cycle[0]) + 50) == rate(int(cycle[0]) - 1)


def test_one_cycle_that_begins_at_its_top() -> None:
    rate = policy("one_cycle", max_iter=4, rise_fraction=0.25)
    assert rate(0) == 1.0 and rate(3) == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_a_warm_up_multiplies_the_rate_of_the_policy(start: float) -> None:
    plain = policy("step", gamma=0.5, stepsize=3)
    warm = policy("step", gamma=0.5, stepsize=3, warmup_iter=5, warmup_start=start)
    shares = [start + (1 - start) * (i + 1) / 5 for i in range(5)] + [1.0] * 4
    assert [warm(i) for i in range(9)] == pytest.approx([plain(i) * share for i, share in enumerate(shares)])
    assert warm(4) == plain(4) and warm(1000) == plain(1000)


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
        ("cosine", {}, "needs max_iter"),
        ("cosine", {"max_iter": 0}, "needs max_iter of at least 1"),
        ("cosine", {"max_iter": 9, "min_lr": 2}, "ends at min_lr 2, above base_lr 1"),
        ("one_cycle", {}, "needs max_iter"),
        ("one_cycle", {"max_iter": 9, "rise_fraction": 1}, "rise_fraction"),
        ("one_cycle", {"max_iter": 9, "start_divisor": 0.5}, "start_divisor"),
        ("fixed", {"warmup_iter": -1}, "warmup_iter"),
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
