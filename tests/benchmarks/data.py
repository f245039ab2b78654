"""How fast images come in and go out: `python -m tests.benchmarks.data`.

Imports MNIST (or as many generated images where ../shared/data is not there) into a database of its own, opens it with
and without the cache, and reads batches of 64 as a Data layer does; with `--device cuda:0` on a GPU, with the images in
its memory and streamed from the host. Beside it stand a loop over images in NumPy and, where PyTorch is installed, its
DataLoader, which make the same batches of single images from an array in memory. All take turns; the fastest turn of
each counts, for other programs only ever slow one down. Writes into a temporary folder only.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from netforge.data import ImageDatabase, import_mnist, open_source
from netforge.data.batches import resident
from netforge.net import Net
from netforge.schema import parse_net
from tests.benchmarks.data_peers import Recipe, peers

MNIST = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"
SCALE = 0.00390625
CROP = 24
SIZE = 64
LAYER = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
  transform_param {{ scale: {scale} {transform} }}
  data_param {{ source: "MNIST.training" batch_size: {size} prefetch: {prefetch} {param} }} }}
"""
PAIRS = "images_per_blob: 2 output_all_labels: true"
CLASSES = "batch_classes: 8 batch_images: 8"
AFFINE = "warp_param { rotation: 15 shift: 2 shear: 10 zoom: 0.15 }"
WARPS = "warp_param { rotation: 15 shift: 2 shear: 10 zoom: 0.15 elastic_alpha: 34 elastic_sigma: 4 }"
ALL = f"use_imagedb_mean: true crop_size: {CROP} mirror: true"
READERS = {
    "images, scale": ("", ""),
    "pairs, scale": (PAIRS, ""),
    "images, mean + scale + crop + mirror": ("", ALL),
    "pairs, mean + scale + crop + mirror": (PAIRS, ALL),
    "balanced labels, scale": ("balance_labels: true", ""),
    "8 classes of 8, scale": (CLASSES, ""),
    "8 classes of 8, quarter turns": (CLASSES + " quarter_turns: true", ""),
    "images, affine warps": ("", AFFINE),
    "images, affine and elastic warps": ("", WARPS),
    "8 classes of 8, everything": (CLASSES + " quarter_turns: true", ALL + " " + WARPS),
}
PREFETCH = (0, 4)

Reader = Callable[[int], None]  # reads so many batches


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def import_images() -> None:
    """70,000 images."""
    with ImageDatabase() as database:
        if MNIST.is_dir():
            import_mnist(database, MNIST)
            return
        rng = np.random.default_rng(0)
        with database.write() as writer:
            images = rng.integers(0, 256, (70_000, 1, 28, 28), np.uint8)
            writer.set_mean("MNIST.training", writer.add("MNIST.training", [images], rng.integers(0, 10, 70_000)))


def layer_reader(param: str, transform: str, prefetch: int, device: str) -> tuple[Net, Reader]:
    """A Data layer in phase TRAIN."""
    text = LAYER.format(scale=SCALE, size=SIZE, param=param, transform=transform, prefetch=prefetch)
    net = Net(parse_net(text), "TRAIN", seed=1, device=device)
    (layer,) = net.layers
    tops = [net.blobs["data"], net.blobs["label"]]

    def read(count: int) -> None:
        with net.device.running():
            for _ in range(count):
                layer.feed([], tops)
                layer.forward([], tops)
            net.device.synchronize()

    return net, read


def peer_readers() -> dict[str, dict[str, Reader]]:
    """For the rows that peers can do: each peer's reader."""
    source = open_source("IMAGEDB", "MNIST.training")
    images, mean = source.images[:], source.mean
    recipes = {
        "images, scale": Recipe(images, source.labels, mean, SCALE, 0, SIZE),
        "images, mean + scale + crop + mirror": Recipe(images, source.labels, mean, SCALE, CROP, SIZE),
    }
    found: dict[str, dict[str, Reader]] = {}
    for name, recipe in recipes.items():
        found[name] = {}
        for peer, make in peers(recipe).items():
            batches = make()
            found[name][peer] = lambda count, batches=batches: [None for _ in islice(batches, count)]
    return found


def shares(device: str) -> dict[str, float]:
    """What part of a GPU's free memory images may take, for each way of bringing them there."""
    return {"": resident.SHARE} if device == "cpu" else {", resident": resident.SHARE, ", streamed": 0.0}


def time_row(name: str, own: dict[str, Reader], others: dict[str, Reader], rounds: int, batches: int) -> None:
    """Let all that make one kind of batch take turns; print images per second, and how often as fast netforge is."""
    images = SIZE * (2 if name.startswith("pairs") else 1)
    best = dict.fromkeys([*own, *others], float("inf"))
    few = max(1, batches // 4)  # of peers, which are slower
    for read in (own | others).values():
        read(few)
    for _ in range(rounds):
        for side, read in (own | others).items():
            count = few if side in others else batches
            best[side] = min(best[side], seconds(read, count) / count)
    fastest = min(best[side] for side in own)
    for side, taken in best.items():
        ratio = f"{taken / fastest:6.1f} times netforge's time" if side in others else ""
        print(f"{name:38} {side:44} {taken * 1e6:7.0f} us a batch {images / taken:10,.0f} images/s {ratio}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100, help="batches of 64 in a turn (default 100)")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each (default 20)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda:N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NETFORGE_HOME"] = folder
        opening = (open_source, "IMAGEDB", "MNIST.training")
        print(f"import 70,000 images              {seconds(import_images):8.2f} s")
        print(f"open, filling the cache           {seconds(*opening):8.3f} s")
        print(f"open, from the cache              {min(seconds(*opening) for _ in range(options.rounds)):8.4f} s")
        others = peer_readers()
        for name, (param, transform) in READERS.items():
            for way, share in shares(options.device).items():
                resident.SHARE = share
                gc.collect()  # images of the net before
                nets, own = [], {}
                for prefetch in PREFETCH:
                    net, own[f"netforge, prefetch {prefetch}{way}"] = layer_reader(
                        param, transform, prefetch, options.device
                    )
                    nets.append(net)
                time_row(name, own, others.get(name, {}), options.rounds, options.batches)
                for net in nets:
                    net.close()


if __name__ == "__main__":
    main()
