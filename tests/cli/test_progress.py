"""The live lines of a run: what they say, and that they fit any window."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from netforge.cli.live_lines import LiveLines
from netforge.cli.progress import Metric, Progress


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
    progress.show_test(0, "accuracy", 0.1, falls=False)
    progress.show_test(500, "accuracy", 0.9712, falls=False)
    return progress


def lines(progress: Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, legacy_windows=False)
    console.print(progress)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_what_the_lines_say() -> None:
    _, bar, *numbers = lines(running(Clock()), 100)
    assert bar.startswith("1,000 / 4,000  ━━━") and bar.endswith(" 25%  0:30 left")
    text = "   ".join(numbers)
    assert "loss 0.002   █▆▅▄▄▃" in text
    assert "smoothed 0.00" in text
    assert "accuracy 0.9712 (highest)" in text
    assert "100 it/s   12,8" in text and "images/s" in text
    assert "learning rate 0.01" in text


@pytest.mark.parametrize("width", [12, 20, 30, 40, 60, 80, 200])
def test_they_fit_into_any_window(width: int) -> None:
    shown = lines(running(Clock()), width)
    assert 3 <= len(shown) <= 2 + 5
    assert all(len(line) < width for line in shown)
    assert "loss" in shown[2] or width < 14


def test_wide_windows_have_one_line_of_numbers() -> None:
    assert len(lines(running(Clock()), 200)) == 3


def test_newest_and_best_of_what_tests_found() -> None:
    metric = Metric()
    for iteration, value in enumerate([0.5, 0.9, float("nan"), 0.7]):
        metric.add(iteration, value)
    assert (metric.value, metric.best, metric.at) == (0.7, 0.9, 1)
    assert metric.remark == " (highest 0.9 at 1)"
    metric.add(4, 0.95)
    assert metric.remark == " (highest)"
    falling = Metric(falls=True)
    falling.add(0, 0.3)
    assert falling.remark == ""
    falling.add(1000, 0.2)
    falling.add(2000, 0.4)
    assert falling.remark == " (lowest 0.2 at 1,000)"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0, -3.0, 1e300])
def test_whatever_the_loss_is_it_is_shown(loss: float) -> None:
    progress = Progress(first=0, last=10, images_per_iteration=1, clock=Clock())
    for _ in range(6):
        progress.show_loss(loss, 0.1)
    assert f"loss {loss:.4g}" in lines(progress, 80)[2]


def live(width: int) -> tuple[LiveLines, Console, io.StringIO]:
    written = io.StringIO()
    screen = Console(file=written, width=width, height=20, force_terminal=True, legacy_windows=False, color_system=None)
    return LiveLines(screen, running(Clock())), screen, written


def test_the_cursor_waits_where_the_lines_begin() -> None:
    shown, screen, written = live(100)
    shown.start()
    first = written.getvalue()
    count = first.count("\n")
    assert first.startswith("\x1b[?25l\r\x1b[J\n1,000 / 4,000")
    assert first.endswith(f"\r\x1b[{count}A")
    screen.print("a line")
    above = written.getvalue()[len(first) :]
    assert above.startswith("\r\x1b[Ja line\n\n1,000 / 4,000"), "above the lines, which are erased and drawn again"
    before = len(written.getvalue())
    shown.stop()
    last = written.getvalue()[before:]
    assert last.startswith("\r\x1b[J\n1,000") and last.endswith("\n\x1b[?25h") and not last.endswith("A\n\x1b[?25h")


def test_what_others_print_stands_above(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, _, written = live(100)
    before = sys.stdout
    shown.start()
    start = len(written.getvalue())
    print("a layer says something")
    assert written.getvalue()[start:].startswith("\r\x1b[Ja layer says something\n\n1,000 / 4,000")
    shown.stop()
    assert sys.stdout is before


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
        progress.losses.add(loss)
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Console(file=terminal, force_terminal=True, width=80, color_system=None).print(progress)
    shown = raw.getvalue().decode("ascii")
    assert "==" in shown
    assert "#" in shown
