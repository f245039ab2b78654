"""The live lines of a run: what they say, and that they fit any window."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from netforge.cli.progress import Progress, sparkline


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def running(clock: Clock) -> Progress:
    progress = Progress(first=0, last=4000, images_per_iteration=128, clock=clock)
    for iteration in range(1, 1001):
        clock.now += 0.01
        progress.advance(iteration)
        if iteration % 50 == 0:
            progress.show_loss(2.0 / iteration, 0.01)
    progress.metrics = {"accuracy": 0.9712}
    return progress


def lines(progress: Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, legacy_windows=False)
    console.print(progress)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_what_the_lines_say() -> None:
    _, bar, numbers = lines(running(Clock()), 100)
    assert bar.startswith("1,000 / 4,000  ━━━") and bar.endswith(" 25%  0:30 left")
    assert "loss 0.002" in numbers
    assert "accuracy 0.9712" in numbers
    assert "12,8" in numbers and "images/s" in numbers
    assert "rate 0.01" in numbers


@pytest.mark.parametrize("width", [12, 20, 30, 40, 60, 80, 200])
def test_they_fit_into_any_window(width: int) -> None:
    shown = lines(running(Clock()), width)
    assert len(shown) == 3
    assert all(len(line) < width for line in shown)


def test_the_loss_is_the_last_to_go() -> None:
    assert lines(running(Clock()), 14)[2] == "loss 0.002"


def test_tests_count_in_the_time_left_but_not_in_the_speed() -> None:
    clock = Clock()
    progress = running(clock)
    speed = progress.speed
    clock.now += 10
    progress.pause(10)
    assert progress.speed == pytest.approx(speed)
    assert progress.seconds_left == pytest.approx(30 + 30, rel=0.02)


def test_a_resumed_run_counts_from_where_it_stands() -> None:
    clock = Clock()
    progress = Progress(first=2000, last=4000, images_per_iteration=1, clock=clock)
    assert progress.seconds_left is None
    clock.now += 10
    progress.advance(2100)
    assert progress.speed == pytest.approx(10)
    assert progress.seconds_left == pytest.approx(190)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    from rich.console import Console

    clock = Clock()
    progress = running(clock)
    for loss in (0.5, 0.2, 0.1, 0.05):
        progress.losses.append(loss)
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Console(file=terminal, force_terminal=True, width=80, color_system=None).print(progress)
    shown = raw.getvalue().decode("ascii")
    assert "==" in shown
    assert "#" in shown


def test_sparkline() -> None:
    assert sparkline([128, 64, 32, 16, 8, 4, 2, 1], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([7, 6, 5, 4, 3, 2, 1, 0], 8) == "█▇▆▅▄▃▂▁"
    assert sparkline([1.0, 1.0, 1.0], 8) == "▁▁▁"
    assert len(sparkline(list(range(1000)), 16)) == 16
