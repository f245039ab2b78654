"""Few-shot nets, and a Siamese net that learns from centroids, train on a CUDA device as on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.device import Device, get_device
from netforge.device.cuda import CudaDevice
from netforge.errors import DataError
from netforge.layers.debug import Debug
from netforge.net import Net
from netforge.solver import Solver
from tests.device.cuda_bench import standin
from tests.solver.helpers import Recorder, weights, write_solver

TOWER = """
layer { name: "data" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 }
  data_param { source: "shapes" backend: IMAGEDB batch_classes: 4 batch_images: 3 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "feat" type: "InnerProduct" bottom: "conv" top: "feat"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
PROTOTYPICAL = f"""
name: "prototypical" {TOWER}
layer {{ name: "debug" type: "Debug" bottom: "feat" bottom: "label" top: "feat"
  debug_param {{ max_stored_items: 20 }} }}
layer {{ name: "loss" type: "PrototypicalLoss" bottom: "feat" bottom: "label" top: "loss" top: "right" top: "far" }}
"""
SUP_CON = f"""
name: "sup_con" {TOWER}
layer {{ name: "debug" type: "Debug" bottom: "feat" bottom: "label" top: "seen"
  debug_param {{ max_stored_batches: 2 }} }}
layer {{ name: "knn" type: "Knn" bottom: "seen" bottom: "label" top: "scores"
  knn_param {{ k: 2 max_stored_batches: 4 }} }}
layer {{ name: "loss" type: "SupConLoss" bottom: "seen" bottom: "label" top: "loss" top: "cosines"
  sup_con_loss_param {{ temperature: 0.5 }} }}
"""
CENTROIDS = """
name: "centroids"
layer { name: "pairs" type: "Data" top: "pairs" top: "labels" transform_param { scale: 0.00390625 }
  data_param { source: "shapes" backend: IMAGEDB batch_size: 24 images_per_blob: 2 output_all_labels: true } }
layer { name: "slice" type: "Slice" bottom: "pairs" top: "x" top: "x_p" slice_param { slice_point: 1 } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" } param { name: "b" }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "x_p" top: "b" param { name: "w" } param { name: "b" }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "decode" type: "Decode" bottom: "a" bottom: "labels" top: "distances" top: "centroids"
  decode_param { recent_items: 1 centroid_output_iteration: 3 } }
layer { name: "accuracy" type: "AccuracyDecode" bottom: "distances" bottom: "labels" top: "accuracy" }
layer { name: "loss" type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "labels" bottom: "centroids" top: "loss"
  contrastive_loss_param { margin: 1 centroid_learning: ALL matching_distance_scale: 0.5 } }
"""
NETS = {"prototypical": PROTOTYPICAL, "sup_con": SUP_CON, "centroids": CENTROIDS}
SOLVER = """
net: "net.prototxt" base_lr: 0.02 lr_policy: "fixed" momentum: 0.9 max_iter: 8 display: 1 random_seed: 7
snapshot_prefix: "out/run"
"""


@pytest.fixture(autouse=True)
def images(netforge_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Forty images of noise over five patterns, one for each label, and an empty folder to work in."""
    labels = np.arange(40) % 5
    patterns = rng.integers(0, 200, (5, 1, 9, 9))
    with ImageDatabase() as database, database.write() as writer:
        writer.add("shapes", [(patterns[labels] + rng.integers(0, 56, (40, 1, 9, 9))).astype(np.uint8)], labels)
    monkeypatch.chdir(tmp_path)


def make(name: str, device: Device | str, folder: str = "here", **options: Any) -> Solver:
    return Solver(write_solver(Path(folder), SOLVER, NETS[name]), device=device, **options)


def layer(net: Net, name: str) -> Any:
    return next(layer for layer in net.layers if layer.name == name)


def near(got: Any, expected: Any, what: str) -> None:
    room = 2e-4 * max(float(np.abs(expected).max(initial=0)), 1e-2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=room, err_msg=what)


@pytest.mark.parametrize("name", NETS)
def test_training_is_that_of_the_cpu(name: str, cuda: CudaDevice) -> None:
    heard = [Recorder(), Recorder()]
    cpu, gpu = (
        make(name, device, f"on{i}", listeners=[heard[i]]) for i, device in enumerate((get_device("cpu"), cuda))
    )
    for solver in (cpu, gpu):
        solver.solve()
    assert not gpu.execution.startswith("eager")  # its iterations were recorded and replayed
    for shown, expected in zip(heard[1].displays, heard[0].displays, strict=True):
        for output, right in zip(shown.outputs, expected.outputs, strict=True):
            near(output.values, right.values, f"{output.name} of iteration {shown.iteration}")
    for key, blobs in cpu.net.params.items():
        for blob, expected in zip(gpu.net.params[key], blobs, strict=True):
            near(cuda.to_host(blob.data), expected.data, key)
    losses = [shown.loss for shown in heard[0].displays]
    assert losses[-1] < losses[0]
    if name == "centroids":
        assert layer(cpu.net, "loss").active.data[0] == 1  # so that it was trained with centroids, too
    else:
        stored = [layer(solver.net, "debug").stored() for solver in (gpu, cpu)]
        for got, expected in zip(*stored, strict=True):
            near(got, expected, "stored")
        newest = cpu.net.blobs["feat"].data
        np.testing.assert_array_equal(stored[1][0][-len(newest) :], newest)


@pytest.mark.parametrize("name", NETS)
def test_5_iterations_are_3_and_2(name: str, cuda: CudaDevice) -> None:
    whole, first = make(name, cuda), make(name, cuda)
    whole.step(5)
    first.step(3)
    rest = make(name, cuda, restore=first.snapshot().state)
    rest.step(2)
    same = weights(rest) == weights(whole)
    assert same


@pytest.mark.parametrize("name", NETS)
def test_iterations_read_nothing_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    standin(monkeypatch)
    from fakecupy import counts

    solver = make(name, CudaDevice(), display=0)
    solver.step(1)
    reads = []
    for count in (1, 5):
        counts.reset()
        solver.step(count)
        reads.append(list(counts.host_reads))
    assert reads[0] == reads[1]


def test_phase_run_leaves_losses_and_debug_out() -> None:
    path = write_solver(Path("run"), SOLVER, SUP_CON).with_name("net.prototxt")
    net = Net(path, "RUN")
    assert [layer.name for layer in net.layers] == ["data", "conv", "relu", "feat", "knn"]
    assert not any(isinstance(layer, Debug) for layer in net.layers)
    assert net.forward(data=np.ones((1, 1, 9, 9)))["scores"].shape == (1, 10)


def test_a_batch_that_is_no_episode_is_told_when_results_are_read(cuda: CudaDevice) -> None:
    text = PROTOTYPICAL.replace("batch_classes: 4 batch_images: 3", "batch_size: 6 enable_random_selection: false")
    solver = Solver(write_solver(Path("bad"), SOLVER, text), device=cuda, display=0)
    with pytest.raises(
        DataError, match=r"class 1 \(item 1\) has no query: the batch of 6 holds 1 or fewer images of it"
    ):
        solver.step(1)
