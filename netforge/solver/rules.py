"""Update rules: what a solver does with gradients, found by the solver's `type` string.

A rule reads and checks its settings once, says how many history buffers it keeps for each weight, and makes one call of
an operation of the device (`netforge.device.operations.update`, where the formulas are).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from netforge.device.operations import Ops
from netforge.device.operations.update import Segment
from netforge.errors import SettingsError, SolverError, UnknownNameError
from netforge.registry import Registry
from netforge.schema import SolverDefinition

Array = Any  # a NumPy or a CuPy array


@dataclass(frozen=True)
class Buffers:
    """Flat arrays of one size and type: weights, diffs and the histories; and where each blob lies in them."""

    weights: Array
    diffs: Array
    histories: Sequence[Array]
    segments: tuple[Segment, ...]
    control: Array


class UpdateRule:
    """One way of turning gradients into updates.

    histories: number of buffers kept for each weight. A .solverstate holds the first buffer of all weights in file
    order, then the second.
    """

    histories: ClassVar[int] = 1

    def __init__(self, definition: SolverDefinition) -> None:
        self.definition = definition
        settings = definition.message
        self.momentum = float(settings.momentum)
        self.delta = float(settings.delta)
        kind = _regularization(definition)
        self.decay: dict[str, Any] = {
            "weight_decay": float(settings.weight_decay) if kind != "NONE" else 0.0,
            "l1": kind == "L1",
        }

    def apply(self, ops: Ops, buffers: Buffers) -> None:
        """Update the weights and the histories; afterwards the diffs hold what was subtracted.

        Raises SolverError where a rule does not define it.
        """
        raise SolverError(
            f"class {type(self).__name__} has no method apply",
            where=self.definition.locate("type"),
            mend="define apply(ops, buffers), as in netforge.solver.rules",
        )

    def correction(self, iteration: int) -> float:
        """The factor for control[CORRECTION] in the iteration that follows `iteration` finished ones."""
        return 1.0

    def require(self, field: str, condition: bool, expected: str, mend: str) -> None:
        """Raise SettingsError at the line of `field` unless `condition` holds."""
        if not condition:
            raise SettingsError(
                f'{field} must be {expected} with type "{self.definition.message.type}", '
                f"found {getattr(self.definition.message, field):g}",
                where=self.definition.locate(field),
                mend=mend,
            )

    def require_fraction(self, field: str) -> None:
        """Raise SettingsError unless 0 <= field < 1."""
        value = getattr(self.definition.message, field)
        self.require(field, 0 <= value < 1, "in [0, 1)", f"set {field} to a value such as 0.9")


def _regularization(definition: SolverDefinition) -> str:
    kind = definition.message.regularization_type.upper()
    if kind not in ("L1", "L2", "NONE"):
        raise SettingsError(
            f'unknown regularization_type "{definition.message.regularization_type}"',
            where=definition.locate("regularization_type"),
            mend='use "L2", "L1" or "NONE"',
        )
    return str(kind)


SOLVERS: Registry[type[UpdateRule]] = Registry("solver type")

R = TypeVar("R", bound=type[UpdateRule])


def register_solver(name: str) -> Callable[[R], R]:
    """Class decorator that makes an update rule known as the solver's `type: name`."""
    return lambda cls: SOLVERS.add(name, cls)  # type: ignore[return-value]


def make_rule(definition: SolverDefinition) -> UpdateRule:
    """The rule that a solver file names; raises UnknownNameError or SettingsError at its line."""
    try:
        return SOLVERS[definition.message.type](definition)
    except UnknownNameError as error:
        raise error.at(definition.locate("type")) from None


@register_solver("SGD")
class SGD(UpdateRule):
    """Stochastic gradient descent with momentum."""

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        ops.update_sgd(b.weights, b.diffs, b.histories[0], b.segments, b.control, momentum=self.momentum, **self.decay)


@register_solver("Nesterov")
class Nesterov(UpdateRule):
    """Nesterov's accelerated gradient (Nesterov 1983; in this form Sutskever et al. 2013)."""

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        ops.update_nesterov(
            b.weights, b.diffs, b.histories[0], b.segments, b.control, momentum=self.momentum, **self.decay
        )


@register_solver("AdaGrad")
class AdaGrad(UpdateRule):
    """Rates that shrink with the sum of squared gradients (Duchi et al. 2011)."""

    def __init__(self, definition: SolverDefinition) -> None:
        super().__init__(definition)
        self.require("momentum", self.momentum == 0, "0", "remove momentum; this rule has none")

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        ops.update_adagrad(b.weights, b.diffs, b.histories[0], b.segments, b.control, delta=self.delta, **self.decay)


@register_solver("RMSProp")
class RMSProp(UpdateRule):
    """Gradients divided by a running root mean square (Tieleman and Hinton 2012)."""

    def __init__(self, definition: SolverDefinition) -> None:
        super().__init__(definition)
        self.require("momentum", self.momentum == 0, "0", "remove momentum; rms_decay takes its place")
        self.require_fraction("rms_decay")
        self.rms_decay = float(definition.message.rms_decay)

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        ops.update_rmsprop(
            b.weights,
            b.diffs,
            b.histories[0],
            b.segments,
            b.control,
            rms_decay=self.rms_decay,
            delta=self.delta,
            **self.decay,
        )


@register_solver("AdaDelta")
class AdaDelta(UpdateRule):
    """Gradients scaled by the ratio of running updates to running gradients (Zeiler 2012); `momentum` is its rho."""

    histories = 2

    def __init__(self, definition: SolverDefinition) -> None:
        super().__init__(definition)
        self.require_fraction("momentum")

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        squares, updates = b.histories
        ops.update_adadelta(
            b.weights,
            b.diffs,
            squares,
            updates,
            b.segments,
            b.control,
            momentum=self.momentum,
            delta=self.delta,
            **self.decay,
        )


@register_solver("Adam")
class Adam(UpdateRule):
    """Adaptive moments (Kingma and Ba 2015).

    `momentum` is beta1 (0 unless it is set, as in Caffe) and `momentum2` is beta2.
    """

    histories = 2

    def __init__(self, definition: SolverDefinition) -> None:
        super().__init__(definition)
        self.require_fraction("momentum")
        self.require_fraction("momentum2")
        self.settings: dict[str, Any] = {
            "beta1": self.momentum,
            "beta2": float(definition.message.momentum2),
            "delta": self.delta,
            **self.decay,
        }

    def correction(self, iteration: int) -> float:
        """sqrt(1 - beta2^t) / (1 - beta1^t) with t = iteration + 1."""
        t = iteration + 1
        beta1, beta2 = float(self.settings["beta1"]), float(self.settings["beta2"])
        return math.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)

    def apply(self, ops: Ops, b: Buffers) -> None:
        """One step."""
        mean, variance = b.histories
        ops.update_adam(b.weights, b.diffs, mean, variance, b.segments, b.control, **self.settings)


@register_solver("AdamW")
class AdamW(Adam):
    """Adam with decoupled decay `adamw_decay` (Loshchilov and Hutter 2019).

    `weight_decay`, where it is set, still goes through the gradient.
    """

    def __init__(self, definition: SolverDefinition) -> None:
        super().__init__(definition)
        self.settings["adamw_decay"] = float(definition.message.adamw_decay)
