"""Learning-rate policies: the rate as a function of the iteration, found by the `lr_policy` string.

A policy of one's own takes a decorator and the names of the settings that it cannot do without:

    @register_policy("half", needs=("stepsize",))
    def half(settings, iteration):
        return settings.base_lr * 0.5 ** (iteration // settings.stepsize)
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from netforge.errors import SettingsError, UnknownNameError
from netforge.registry import Registry
from netforge.schema import SolverDefinition

Formula = Callable[[Any, int], float]


POLICIES: Registry[Formula] = Registry("lr_policy")
_NEEDS: dict[str, tuple[str, ...]] = {}


def register_policy(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[Formula], Formula]:
    """Decorator that makes a formula (settings: SolverParameter, iteration) -> rate known as `lr_policy: name`.

    needs: fields of SolverParameter that must be given. Raises PluginError where the name is taken.
    """

    def decorate(formula: Formula) -> Formula:
        POLICIES.add(name, formula)
        _NEEDS[name] = needs
        return formula

    return decorate


@register_policy("fixed")
def fixed(settings: Any, iteration: int) -> float:
    """base_lr, always."""
    return float(settings.base_lr)


@register_policy("step", needs=("gamma", "stepsize"))
def step(settings: Any, iteration: int) -> float:
    """base_lr * gamma ^ floor(iteration / stepsize)."""
    return float(settings.base_lr * settings.gamma ** (iteration // settings.stepsize))


@register_policy("exp", needs=("gamma",))
def exp(settings: Any, iteration: int) -> float:
    """base_lr * gamma ^ iteration."""
    return float(settings.base_lr * settings.gamma**iteration)


@register_policy("inv", needs=("gamma", "power"))
def inv(settings: Any, iteration: int) -> float:
    """base_lr * (1 + gamma * iteration) ^ -power."""
    return float(settings.base_lr * (1.0 + settings.gamma * iteration) ** -settings.power)


@register_policy("multistep", needs=("gamma", "stepvalue"))
def multistep(settings: Any, iteration: int) -> float:
    """base_lr * gamma ^ (number of stepvalues reached)."""
    return float(settings.base_lr * settings.gamma ** bisect_right(settings.stepvalue, iteration))


@register_policy("poly", needs=("power", "max_iter"))
def poly(settings: Any, iteration: int) -> float:
    """base_lr * (1 - iteration / max_iter) ^ power; 0 from max_iter on."""
    return float(settings.base_lr * max(0.0, 1.0 - iteration / settings.max_iter) ** settings.power)


@register_policy("sigmoid", needs=("gamma", "stepsize"))
def sigmoid(settings: Any, iteration: int) -> float:
    """base_lr / (1 + e ^ -(gamma * (iteration - stepsize))): with a positive gamma it RISES from about 0 to base_lr."""
    return float(settings.base_lr * _logistic(settings.gamma * (iteration - settings.stepsize)))


@register_policy("sigmoid_inv", needs=("gamma", "stepsize"))
def sigmoid_inv(settings: Any, iteration: int) -> float:
    """base_lr * (1 - 1 / (1 + e ^ -(gamma * (iteration - stepsize)))): falls from base_lr to about 0."""
    return float(settings.base_lr * _logistic(-settings.gamma * (iteration - settings.stepsize)))


@register_policy("cosine", needs=("max_iter",))
def cosine(settings: Any, iteration: int) -> float:
    """Half a cosine from base_lr at iteration 0 down to min_lr at max_iter, and min_lr from there on.

    Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """
    share = min(1.0, iteration / settings.max_iter)
    return _half_cosine(settings.base_lr, settings.min_lr, share)


@register_policy("one_cycle", needs=("max_iter",))
def one_cycle(settings: Any, iteration: int) -> float:
    """Half a cosine up from base_lr / start_divisor to base_lr, another down to that start / end_divisor.

    The top lies at rise_fraction * max_iter - 1, the end at max_iter - 1, the last iteration; later ones stay there.
    Smith and Topin 2018, "Super-Convergence", with cosines in the place of lines. The momentum does not change; the
    paper, and some implementations unless told otherwise, lower it while the rate is high.
    """
    start = settings.base_lr / settings.start_divisor
    end = start / settings.end_divisor
    last = settings.max_iter - 1
    top = settings.rise_fraction * settings.max_iter - 1
    if iteration < top:
        return _half_cosine(start, settings.base_lr, iteration / top)
    return _half_cosine(settings.base_lr, end, min(1.0, (iteration - top) / (last - top)))


def _half_cosine(start: float, end: float, share: float) -> float:
    """From start, at share 0, to end, at share 1."""
    return float(end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def steps_taken(settings: Any, iteration: int) -> int:
    """How often the rate of that iteration was lowered by the policies step and multistep; 0 for all others.

    Caffe counts multistep's steps up as it goes and keeps the count in the solver state (`current_step`), so that
    stepvalues edited before a resume can leave the rate wrong for good. Here the count follows from the iteration
    alone; it is written into the state for Caffe to read, and ignored when a state is read.
    """
    match POLICIES.canonical(settings.lr_policy):
        case "step":
            return int(iteration // settings.stepsize)
        case "multistep":
            return bisect_right(settings.stepvalue, iteration)
    return 0


def make_policy(definition: SolverDefinition) -> Callable[[int], float]:
    """The rate as a function of the iteration alone, so that a resumed run goes on with the rates it would have had.

    Through the first warmup_iter iterations the rate of the policy is multiplied with
    warmup_start + (1 - warmup_start) * (iteration + 1) / warmup_iter: a line from warmup_start, which would belong to
    the iteration before the first, to 1 at iteration warmup_iter - 1. Goyal et al. 2017, section 2.2.

    Raises SettingsError or UnknownNameError with the line to mend.
    """
    settings = definition.message
    if not settings.lr_policy:
        raise SettingsError(
            "lr_policy is not set", where=definition.place, mend='add a line such as lr_policy: "fixed"'
        )
    try:
        name = POLICIES.canonical(settings.lr_policy)
    except UnknownNameError as error:
        raise error.at(definition.locate("lr_policy")) from None
    for field in ("base_lr", *_NEEDS[name]):
        _check_field(definition, name, field)
    _check_cosine(definition, name)
    formula, warmup = POLICIES[name], settings.warmup_iter
    if not warmup:
        return lambda iteration: formula(settings, iteration)
    return lambda iteration: formula(settings, iteration) * _warmup_share(settings, iteration)


def _warmup_share(settings: Any, iteration: int) -> float:
    """The factor of the warm-up; 1 when it is over."""
    climbed = min(1.0, (iteration + 1) / settings.warmup_iter)
    return float(settings.warmup_start + (1.0 - settings.warmup_start) * climbed)


def _check_cosine(definition: SolverDefinition, policy: str) -> None:
    settings = definition.message
    if policy == "cosine" and settings.min_lr > settings.base_lr:
        raise SettingsError(
            f'lr_policy "cosine" ends at min_lr {settings.min_lr:g}, above base_lr {settings.base_lr:g}',
            where=definition.locate("min_lr"),
            mend="write a min_lr of at most base_lr",
        )


def _check_field(definition: SolverDefinition, policy: str, field: str) -> None:
    settings = definition.message
    value = getattr(settings, field)
    if not (len(value) if field == "stepvalue" else settings.HasField(field)):
        raise SettingsError(
            f'lr_policy "{policy}" needs {field}, which is not set',
            where=definition.locate("lr_policy"),
            mend=f"add a line with {field}",
        )
    if field in ("stepsize", "max_iter") and value < 1:
        raise SettingsError(
            f'lr_policy "{policy}" needs {field} of at least 1, found {value}', where=definition.locate(field)
        )
    if field == "stepvalue" and list(value) != sorted(value):
        raise SettingsError(
            f"stepvalue must rise, found {', '.join(map(str, value))}",
            where=definition.locate("stepvalue"),
            mend="put the values in rising order",
        )
