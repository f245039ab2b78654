"""Time of one training iteration of the Siamese LeNet (64 pairs of 28 x 28 images), netforge beside PyTorch.

    python -m tests.benchmarks.siamese [--net triplet] [--rounds 20] [--threads N] [--layers]

Both train the same net with the same recipe on the same images, held in memory: towers with shared weights that run
one after the other, contrastive loss, SGD with momentum and decay. --net triplet: three towers on 128 images with
partners that each iteration draws anew, triplet loss. They take turns within one process, each with all
processors; the first iterations of a turn are not counted, for the other's threads may still be running out. Both sides
suffer where other programs keep the processors busy: then the minimum says more than the median.
Needs PyTorch beside netforge (a benchmark's dependency only: pip install torch). Writes nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import netforge
from tests.benchmarks import nets

NETS = {"siamese": nets.siamese, "triplet": nets.triplet}
WARM, COUNTED = 2, 5  # iterations of a turn


def make_netforge(name: str) -> tuple[Callable[[], float], netforge.Solver]:
    """A function that does one iteration and returns the loss, and the solver behind it."""
    solver = nets.make_solver(NETS[name]())

    def step() -> float:
        solver.step(1)
        return float(solver.net.blobs["loss"].data)

    return step, solver


def make_torch(name: str) -> Callable[[], float]:
    """The same in PyTorch."""
    from tests.benchmarks.torch_nets import make_step

    step = make_step(NETS[name]())
    return lambda: step().item()


def turn(step: Callable[[], float]) -> list[float]:
    """Seconds of each counted iteration of one turn."""
    for _ in range(WARM):
        step()
    seconds = []
    for _ in range(COUNTED):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def time_layers(solver: netforge.Solver, rounds: int) -> None:
    """Print the median time of each layer, forward and backward."""
    net = solver.net
    times: dict[str, list[list[float]]] = {layer.name: [[], []] for layer in net.layers}
    for _ in range(rounds):
        for direction, (run, layers) in enumerate(((net.forward, net.layers), (net.backward, net.layers[::-1]))):
            for layer in layers:
                start = time.perf_counter()
                run(layer.name, layer.name)
                times[layer.name][direction].append(time.perf_counter() - start)
    print(f"\n{'layer':10} {'forward':>9} {'backward':>9}  (ms, median)")
    for name, both in times.items():
        print(f"{name:10} " + " ".join(f"{statistics.median(seconds) * 1e3:9.3f}" for seconds in both))


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="siamese", help="which net to train (default siamese)")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each side (default 20)")
    parser.add_argument("--threads", type=int, help="threads of each side (default: all processors)")
    parser.add_argument("--layers", action="store_true", help="also print netforge's time in each layer")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print(
            "PyTorch is not installed beside this Python; the comparison needs it: pip install torch", file=sys.stderr
        )
        return 1
    ours, solver = make_netforge(options.net)
    workers = solver.device.workers  # type: ignore[attr-defined]
    workers.size = options.threads or workers.size
    torch.set_num_threads(workers.size)
    sides = {"netforge": ours, f"PyTorch {torch.__version__}": make_torch(options.net)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, step in sides.items():
            seconds[name] += turn(step)
    for line in solver.device.describe():
        print(line)
    print(f"one training iteration of the {options.net} net, ms; {options.rounds} turns of {COUNTED} iterations each")
    for name, values in seconds.items():
        print(f"{name:22} median {statistics.median(values) * 1e3:7.2f}   minimum {min(values) * 1e3:7.2f}")
    medians, minima = ([f(v) for v in seconds.values()] for f in (statistics.median, min))
    print(f"netforge / PyTorch     median {medians[0] / medians[1]:7.2f}   minimum {minima[0] / minima[1]:7.2f}")
    if options.layers:
        time_layers(solver, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
