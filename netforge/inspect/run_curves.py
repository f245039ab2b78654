"""The curves of a run: its losses, the scores of its tests, and what else its net gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from netforge.inspect.charts import Series
from netforge.inspect.run import Run, Tested

LOG_RATIO = 20  # a loss that falls so many times is shown on a logarithmic scale at first


def training_loss(run: Run, name: str = "training", hue: int = 0) -> Series:
    """The mean loss that displays show."""
    return curve(name, ((shown.iteration, shown.loss) for shown in run.displays), hue)


def learning_rate(run: Run) -> Series:
    """The learning rate at each display."""
    return curve("learning rate", ((shown.iteration, shown.rate) for shown in run.displays), 3)


def loss_series(run: Run) -> list[Series]:
    """The training loss and the losses of tests."""
    training = [training_loss(run)] if run.displays else []
    tested = _of_tests(run, lambda test: test.losses, lambda net, name: f"test{f' #{net}' if net else ''} {name}")
    return [*training, *(replace(one, hue=number) for number, one in enumerate(tested, start=len(training)))]


def score_series(run: Run) -> list[Series]:
    """The outputs of tests that are no losses, of one number each."""
    return _of_tests(run, lambda test: test.scores, lambda net, name: f"{name}{f' (test net #{net})' if net else ''}")


def _of_tests(run: Run, outputs: Callable[[Tested], Iterable[str]], title: Callable[[int, str], str]) -> list[Series]:
    """The curves of those outputs of each test net, by name."""
    wanted = [
        (tests, output, title(net, output))
        for net, tests in by_test_net(run).items()
        for output in dict.fromkeys(output for test in tests for output in outputs(test))
    ]
    return [tested_series(*one, number) for number, one in enumerate(wanted)]


def output_series(run: Run) -> list[Series]:
    """Outputs of one number of the training net, where they are not the loss itself."""
    points: dict[str, list[tuple[int, float]]] = {}
    differ = False
    for shown in run.displays:
        for name, value in shown.outputs.items():
            if isinstance(value, float):
                points.setdefault(name, []).append((shown.iteration, value))
                differ = differ or abs(value - shown.loss) > 1e-6
    if len(points) < 2 and not differ:
        return []
    return [curve(name, found, number) for number, (name, found) in enumerate(points.items())]


def by_test_net(run: Run) -> dict[int, list[Tested]]:
    """The tests of each test net, in their order."""
    found: dict[int, list[Tested]] = {}
    for test in run.tests:
        found.setdefault(test.net, []).append(test)
    return dict(sorted(found.items()))


def tested_series(tests: Iterable[Tested], output: str, name: str, hue: int) -> Series:
    """An output of tests as a curve, where it is one number."""
    values = ((test.iteration, test.outputs.get(output)) for test in tests)
    return curve(name, ((iteration, value) for iteration, value in values if isinstance(value, float)), hue)


def curve(name: str, points: Iterable[tuple[int, float]], hue: int) -> Series:
    """Points as a curve."""
    found = list(points)
    return Series(name, [x for x, _ in found], [y for _, y in found], hue)


def falls_far(series: Sequence[Series]) -> bool:
    """Whether values differ so much that a logarithmic scale shows more."""
    values = [y for one in series for y in one.y if math.isfinite(y) and y > 0]
    return bool(values) and max(values) > LOG_RATIO * min(values)
