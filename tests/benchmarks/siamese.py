"""Time of one Siamese LeNet training iteration (64 pairs of 28 x 28 images), netforge beside PyTorch.

    python -m tests.benchmarks.siamese [--rounds 20] [--threads N] [--layers]

Both train the same net with the same recipe on the same images, held in memory: two towers with shared weights that run
one after the other, contrastive loss, SGD with momentum and decay. They take turns within one process, each with all
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

import numpy as np

PAIRS = 64
WARM, COUNTED = 2, 5  # iterations of a turn

TOWER = """
layer {{ name: "conv1{s}" type: "Convolution" bottom: "data{s}" top: "conv1{s}"
  param {{ name: "c1w" }} param {{ name: "c1b" }}
  convolution_param {{ num_output: 20 kernel_size: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "pool1{s}" type: "Pooling" bottom: "conv1{s}" top: "pool1{s}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2{s}" type: "Convolution" bottom: "pool1{s}" top: "conv2{s}"
  param {{ name: "c2w" }} param {{ name: "c2b" }}
  convolution_param {{ num_output: 50 kernel_size: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "pool2{s}" type: "Pooling" bottom: "conv2{s}" top: "pool2{s}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip1{s}" type: "InnerProduct" bottom: "pool2{s}" top: "ip1{s}"
  param {{ name: "i1w" }} param {{ name: "i1b" }}
  inner_product_param {{ num_output: 500 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1{s}" type: "ReLU" bottom: "ip1{s}" top: "ip1{s}" }}
layer {{ name: "ip2{s}" type: "InnerProduct" bottom: "ip1{s}" top: "ip2{s}"
  param {{ name: "i2w" }} param {{ name: "i2b" }}
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "feat{s}" type: "InnerProduct" bottom: "ip2{s}" top: "feat{s}"
  param {{ name: "fw" }} param {{ name: "fb" }}
  inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}
"""

NET = (
    """
name: "siamese_in_memory"
layer { name: "pairs" type: "Input" top: "pair_data" top: "sim"
  input_param { shape { dim: 64 dim: 2 dim: 28 dim: 28 } shape { dim: 64 } } }
layer { name: "slice" type: "Slice" bottom: "pair_data" top: "data" top: "data_p" slice_param { axis: 1 } }
"""
    + TOWER.format(s="")
    + TOWER.format(s="_p")
    + """
layer { name: "loss" type: "ContrastiveLoss" bottom: "feat" bottom: "feat_p" bottom: "sim" top: "loss"
  contrastive_loss_param { margin: 1 } }
"""
)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Images (64, 2, 28, 28) in [0, 1) and whether they are of one kind (64,)."""
    rng = np.random.default_rng(1)
    return rng.random((PAIRS, 2, 28, 28), np.float32), (rng.random(PAIRS) > 0.5).astype(np.float32)


def make_netforge() -> tuple[Callable[[], float], object]:
    """A function that does one iteration and returns the loss, and the solver behind it."""
    import netforge
    from netforge.schema import messages, parse_net

    definition = messages.SolverParameter(base_lr=0.01, lr_policy="fixed", momentum=0.9, weight_decay=0.0005)
    definition.net_param.CopyFrom(parse_net(NET).to_message())
    definition.random_seed = 1
    solver = netforge.Solver(definition)
    solver.net.blobs["pair_data"].data[...], solver.net.blobs["sim"].data[...] = pairs()

    def step() -> float:
        solver.step(1)
        return float(solver.net.blobs["loss"].data)

    return step, solver


def make_torch() -> Callable[[], float]:
    """The same in PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    tower = nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 10),
        nn.Linear(10, 2),
    )
    rule = torch.optim.SGD(tower.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0005)
    images, same = (torch.from_numpy(array) for array in pairs())
    first, second = images[:, :1].contiguous(), images[:, 1:].contiguous()

    def step() -> float:
        squared = ((tower(first) - tower(second)) ** 2).sum(1)
        apart = torch.clamp(1 - (squared + 1e-12).sqrt(), min=0) ** 2
        loss = (same * squared + (1 - same) * apart).mean() / 2
        rule.zero_grad()
        loss.backward()
        rule.step()
        return loss.item()

    return step


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


def time_layers(solver: object, rounds: int) -> None:
    """Print the median time of each layer, forward and backward."""
    net = solver.net  # type: ignore[attr-defined]
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
    ours, solver = make_netforge()
    workers = solver.device.workers  # type: ignore[attr-defined]
    workers.size = options.threads or workers.size
    torch.set_num_threads(workers.size)
    sides = {"netforge": ours, f"PyTorch {torch.__version__}": make_torch()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, step in sides.items():
            seconds[name] += turn(step)
    for line in solver.device.describe():  # type: ignore[attr-defined]
        print(line)
    print(f"one training iteration of {PAIRS} pairs, ms; {options.rounds} turns of {COUNTED} iterations each")
    for name, values in seconds.items():
        print(f"{name:22} median {statistics.median(values) * 1e3:7.2f}   minimum {min(values) * 1e3:7.2f}")
    medians, minima = ([f(v) for v in seconds.values()] for f in (statistics.median, min))
    print(f"netforge / PyTorch     median {medians[0] / medians[1]:7.2f}   minimum {minima[0] / minima[1]:7.2f}")
    if options.layers:
        time_layers(solver, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
