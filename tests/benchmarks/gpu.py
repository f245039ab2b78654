"""Times on a GPU, netforge beside PyTorch: `python -m tests.benchmarks.gpu [--json FILE]`.

First training iterations of the Siamese LeNet, AlexNet and ResNet-50 on images in the GPU's memory: netforge as it runs
by itself, PyTorch eager, and PyTorch with the iteration captured as a CUDA graph. They take turns; each turn runs some
iterations without a break and waits for the GPU once, at its end. Both sides compute in full float32 (no TF32), and
PyTorch may choose its fastest convolutions.

Then every operation of netforge on large arrays, by CUDA's own clock, beside its floor: the memory that it moves at
least over the speed of a device-to-device copy, or its multiply-adds over the rate of a large matrix product, whichever
takes longer. Both are measured in the same run.

Needs an NVIDIA GPU, CuPy (`pip install 'netforge[cuda12]'`) and PyTorch for CUDA beside netforge; where one of them is
missing it says so and ends with status 2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

from netforge.device import get_device
from netforge.device.base import Device
from netforge.errors import DeviceError
from tests.benchmarks import nets
from tests.benchmarks.operations import Bench, all_work

NAME = "cuda:0"
ITERATIONS = {"siamese": 100, "triplet": 100, "alexnet": 10, "resnet50": 10}  # of one turn
WARM_TURNS = 1
LARGE = (128, 64, 56, 56)  # 98 MiB of float32: more than any cache holds
MATRIX = 8192  # rows and columns
REPEATS, SAMPLES = 10, 9  # of an operation: calls between two looks at the clock, and such looks
SHORT_S = 5e-6  # a floor below the time of a launch says nothing
SIDES = ("netforge", "PyTorch", "PyTorch graph")


@dataclass(frozen=True)
class NetTimes:
    """Seconds of one training iteration: the median over turns, by side."""

    net: str
    batch: int
    median_s: dict[str, float]


@dataclass(frozen=True)
class OperationTime:
    """Seconds of one operation, and the least it could take; share = floor / median, None where the floor is short."""

    name: str
    moved_bytes: int
    multiply_adds: int
    median_s: float
    floor_s: float
    share: float | None


def what_is_missing() -> str | None:
    """What a run lacks on this computer, in one line; None where all is there."""
    try:
        get_device(NAME)
    except DeviceError as error:
        return str(error)
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed beside this Python: pip install torch"
    return None if torch.cuda.is_available() else "PyTorch finds no GPU: install its build for CUDA"


def time_turns(sides: dict[str, Callable[[int], None]], iterations: int, rounds: int) -> dict[str, float]:
    """Seconds of one iteration on each side, the median over its turns; a side runs n iterations and waits for them."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(WARM_TURNS + rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run(iterations)
            if number >= WARM_TURNS:
                seconds[name].append((time.perf_counter() - start) / iterations)
    return {name: statistics.median(values) for name, values in seconds.items()}


def time_net(net: nets.BenchmarkNet, device: Device, rounds: int) -> NetTimes:
    """Train one net on all three sides."""
    import torch

    from tests.benchmarks.torch_nets import capture, make_step

    solver = nets.make_solver(net, device)

    def ours(count: int) -> None:
        solver.step(count)
        device.synchronize()

    def theirs(step: Callable[[], object]) -> Callable[[int], None]:
        def run(count: int) -> None:
            for _ in range(count):
                step()
            torch.cuda.synchronize()

        return run

    eager, captured = make_step(net, NAME), capture(make_step(net, NAME))
    sides = dict(zip(SIDES, (ours, theirs(eager), theirs(captured)), strict=True))
    times = time_turns(sides, ITERATIONS[net.name], rounds)
    solver.close()
    return NetTimes(net.name, net.batch, times)


def time_nets(device: Device, rounds: int) -> list[NetTimes]:
    """Train all nets, one after the other."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    times = []
    for make in (nets.siamese, nets.triplet, nets.alexnet, nets.resnet50):
        times.append(time_net(make(), device, rounds))
        torch.cuda.empty_cache()
    return times


def time_call(device: Any, run: Callable[[], object]) -> float:
    """Seconds of one call by the GPU's clock: the median of some samples of several calls each.

    The calls are replayed as a graph, as training does it: launched one by one from Python, short kernels would wait
    for the next launch.
    """
    cuda = device.xp.cuda
    samples: list[float] = []
    with device.running():
        run()  # libraries choose and take memory

        def calls() -> None:
            for _ in range(REPEATS):
                run()

        with suppress(DeviceError):  # but for what the host takes part in
            calls = device.capture(calls).launch
        for sample in range(1 + SAMPLES):
            start, end = cuda.Event(), cuda.Event()
            start.record()
            calls()
            end.record()
            end.synchronize()
            if sample:
                samples.append(cuda.get_elapsed_time(start, end) / 1e3 / REPEATS)
    return statistics.median(samples)


@dataclass(frozen=True)
class Limits:
    """What floors come from: bytes that a copy reads and writes in a second, multiply-adds of a matrix product."""

    bytes_per_s: float
    multiply_adds_per_s: float


def measure_limits(device: Any, elements: int, size: int) -> Limits:
    """Copy an array of that many elements; multiply two square matrices of that size."""
    source, target = device.zeros((elements,), "float32"), device.zeros((elements,), "float32")
    copied = time_call(device, lambda: target.data.copy_from_device_async(source.data, source.nbytes))
    left, right, out = (device.zeros((size, size), "float32") for _ in range(3))
    multiplied = time_call(device, lambda: device.ops.matmul(left, right, out))
    return Limits(2 * source.nbytes / copied, size**3 / multiplied)


def time_operations(bench: Bench, limits: Limits) -> list[OperationTime]:
    """All operations; the arrays of one family are let go before the next one."""
    times = []
    for work in all_work(bench):
        seconds = time_call(bench.device, work.run)
        floor = max(work.moved_bytes / limits.bytes_per_s, work.multiply_adds / limits.multiply_adds_per_s)
        share = floor / seconds if floor >= SHORT_S else None
        times.append(OperationTime(work.name, work.moved_bytes, work.multiply_adds, seconds, floor, share))
    return times


def report(device: Device, times: list[NetTimes], limits: Limits, operations: list[OperationTime]) -> str:
    """All results as text."""
    lines = [*device.describe(), "", f"{'one training iteration, ms':28}" + "".join(f"{side:>15}" for side in SIDES)]
    for row in times:
        values = "".join(f"{row.median_s[side] * 1e3:15.3f}" for side in SIDES)
        ratios = ", ".join(f"{row.median_s[side] / row.median_s[SIDES[0]]:.2f}" for side in SIDES[1:])
        lines.append(f"{f'{row.net}, {row.batch} items':28}{values}   PyTorch / netforge: {ratios}")
    copy, product = limits.bytes_per_s / 1e9, 2 * limits.multiply_adds_per_s / 1e12
    lines += ["", f"copy {copy:.0f} GB/s, matrix product {product:.1f} TFLOP/s", ""]
    lines.append(f"{'operation':28}{'moved MB':>12}{'time us':>12}{'GB/s':>10}{'of the floor':>14}")
    for op in operations:
        share = "-" if op.share is None else f"{op.share:.0%}"
        speed = op.moved_bytes / op.median_s / 1e9
        lines.append(f"{op.name:28}{op.moved_bytes / 1e6:12.1f}{op.median_s * 1e6:12.1f}{speed:10.0f}{share:>14}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all results to this file")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each side (default 10)")
    options = parser.parse_args()
    missing = what_is_missing()
    if missing is not None:
        print(f"nothing was measured: {missing}", file=sys.stderr)
        return 2
    device = get_device(NAME)
    times = time_nets(device, options.rounds)
    limits = measure_limits(device, prod(LARGE), MATRIX)
    operations = time_operations(Bench(device, LARGE), limits)
    print(report(device, times, limits, operations))
    if options.json is not None:
        result = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": device.describe(),
            "iterations": [asdict(row) for row in times],
            "limits": asdict(limits),
            "operations": [asdict(row) for row in operations],
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
