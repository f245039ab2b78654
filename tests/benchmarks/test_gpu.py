"""The benchmark for GPUs, as far as a computer without one can tell: it would measure every operation, and right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from netforge.device import Device, get_device
from netforge.device.operations import Ops
from netforge.errors import DeviceError
from tests.benchmarks import gpu
from tests.benchmarks.operations import Bench, Work, all_work

SHAPE = (2, 4, 7, 6)
COUNT = 2 * 4 * 7 * 6
HOST_ANSWERS = {"selected_rows"}  # the time of these is that of a transfer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> float:
    """Operations run once, and are said to take 100 us."""

    def time_call(device: Device, run: Callable[[], object]) -> float:
        with np.errstate(all="ignore"):
            run()
        return 1e-4

    monkeypatch.setattr(gpu, "time_call", time_call)
    return 1e-4


def work() -> dict[str, Work]:
    return {entry.name: entry for entry in all_work(Bench(get_device("cpu"), SHAPE))}


def test_every_operation_is_measured() -> None:
    operations = {name for name in dir(Ops) if not name.startswith("_")}
    missing = operations - HOST_ANSWERS - set(work())
    assert not missing, "add them to tests/benchmarks/operations.py"


def test_memory_moved_is_that_of_the_arrays() -> None:
    moved = {name: entry.moved_bytes for name, entry in work().items()}
    assert moved["relu_forward"] == 2 * 4 * COUNT
    assert moved["relu_backward"] == 3 * 4 * COUNT
    assert moved["update_sgd"] == 2 * 3 * 4 * COUNT
    assert moved["update_adam"] == 2 * 4 * 4 * COUNT
    assert moved["pool_max_forward"] == 4 * (COUNT + 2 * (2 * 4 * 3 * 3))
    assert work()["conv_forward"].multiply_adds == COUNT * 4 * 9


def test_times_stand_beside_floors(clock: float) -> None:
    device = get_device("cpu")
    limits = gpu.Limits(bytes_per_s=2 * 4 * COUNT / (clock / 4), multiply_adds_per_s=1e30)
    times = gpu.time_operations(Bench(device, SHAPE), limits)
    (relu,) = (row for row in times if row.name == "relu_forward")
    assert relu.floor_s == pytest.approx(clock / 4) and relu.share == pytest.approx(0.25)
    (labels,) = (row for row in times if row.name == "advance")
    assert labels.share is None  # takes a launch, whatever it moves
    nets = [gpu.NetTimes("siamese", 64, dict(zip(gpu.SIDES, (1e-3, 5e-3, 1.5e-3), strict=True)))]
    text = gpu.report(device, nets, limits, times)
    assert "siamese, 64 items" in text and "PyTorch / netforge: 5.00, 1.50" in text
    line = next(line for line in text.splitlines() if line.startswith("relu_forward"))
    assert line.split() == ["relu_forward", "0.0", "100.0", "0", "25%"]


def test_sides_take_turns() -> None:
    calls: list[tuple[str, int]] = []

    def side(name: str) -> Callable[[int], None]:
        return lambda count: calls.append((name, count))

    times = gpu.time_turns({name: side(name) for name in "ab"}, iterations=5, rounds=2)
    assert calls == [("a", 5), ("b", 5)] * (gpu.WARM_TURNS + 2)
    assert set(times) == {"a", "b"} and min(times.values()) > 0


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def no_device(name: str) -> None:
        raise DeviceError(f'device "{name}" is not usable: there is no NVIDIA driver')

    monkeypatch.setattr(gpu, "get_device", no_device)
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert gpu.main() == 2
    out, err = capsys.readouterr()
    assert not out
    assert err == 'nothing was measured: device "cuda:0" is not usable: there is no NVIDIA driver.\n'
