"""How fast images come in and go out: `python -m tests.benchmarks.data`.

Imports MNIST (or as many generated images where ../shared/data is not there) into a database of its own, opens it with
and without the cache, and reads batches of 64 as a Data layer does; with `--device cuda:0` on a GPU, with the images in
its memory and streamed from the host.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

from netforge.data import ImageDatabase, import_mnist, open_source, resident
from netforge.net import Net
from netforge.schema import parse_net

MNIST = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"
LAYER = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
  transform_param {{ scale: 0.00390625 {transform} }}
  data_param {{ source: "MNIST.training" batch_size: 64 prefetch: {prefetch} {param} }} }}
"""
PAIRS = "images_per_blob: 2 output_all_labels: true"
CLASSES = "batch_classes: 8 batch_images: 8"
AFFINE = "warp_param { rotation: 15 shift: 2 shear: 10 zoom: 0.15 }"
WARPS = "warp_param { rotation: 15 shift: 2 shear: 10 zoom: 0.15 elastic_alpha: 34 elastic_sigma: 4 }"
ALL = "use_imagedb_mean: true crop_size: 24 mirror: true"
READERS = {
    "images, scale": ("", ""),
    "pairs, scale": (PAIRS, ""),
    "images, mean + scale + crop + mirror": ("", ALL),
    "pairs, mean + scale + crop + mirror": (PAIRS, ALL),
    "8 classes of 8, scale": (CLASSES, ""),
    "8 classes of 8, quarter turns": (CLASSES + " quarter_turns: true", ""),
    "images, affine warps": ("", AFFINE),
    "images, affine and elastic warps": ("", WARPS),
    "8 classes of 8, everything": (CLASSES + " quarter_turns: true", ALL + " " + WARPS),
}


def seconds(work, *arguments) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def import_images() -> None:
    with ImageDatabase() as database:
        if MNIST.is_dir():
            import_mnist(database, MNIST)
            return
        rng = np.random.default_rng(0)
        with database.write() as writer:
            images = rng.integers(0, 256, (70_000, 1, 28, 28), np.uint8)
            writer.set_mean("MNIST.training", writer.add("MNIST.training", [images], rng.integers(0, 10, 70_000)))


def time_reading(param: str, transform: str, prefetch: int, batches: int, device: str) -> float:
    """Seconds per batch of a Data layer in phase TRAIN."""
    text = LAYER.format(param=param, transform=transform, prefetch=prefetch)
    net = Net(parse_net(text), "TRAIN", seed=1, device=device)
    (layer,) = net.layers
    tops = [net.blobs["data"], net.blobs["label"]]

    def read(count: int) -> None:
        for _ in range(count):
            layer.feed([], tops)
            layer.forward([], tops)
        net.device.synchronize()

    with net.device.running():
        read(1)
        taken = seconds(read, batches)
    net.close()
    return taken / batches


def shares(device: str) -> dict[str, float]:
    """What part of a GPU's free memory images may take, for each way of bringing them there."""
    return {"": resident.SHARE} if device == "cpu" else {", resident": resident.SHARE, ", streamed": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=2000, help="batches of 64 to read for each line")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda:N")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NETFORGE_HOME"] = folder
        print(f"import 70,000 images              {seconds(import_images):8.2f} s")
        print(f"open, filling the cache           {seconds(open_source, 'IMAGEDB', 'MNIST.training'):8.3f} s")
        print(f"open, from the cache              {seconds(open_source, 'IMAGEDB', 'MNIST.training'):8.4f} s")
        for name, (param, transform) in READERS.items():
            per_item = 2 if param == PAIRS else 1
            for (way, share), prefetch in product(shares(options.device).items(), (0, 4)):
                resident.SHARE = share
                gc.collect()  # images of the net before
                taken = time_reading(param, transform, prefetch, options.batches, options.device)
                rate = 64 * per_item / taken
                print(f"{name:38} prefetch {prefetch}{way}: {taken * 1e6:6.0f} us a batch, {rate:9,.0f} images/s")


if __name__ == "__main__":
    main()
