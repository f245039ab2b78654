"""Whole nets train on a CUDA device as on the CPU: the same batches and masks, and numbers equal to rounding."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.device import Device, get_device
from netforge.device.cuda import CudaDevice
from netforge.errors import DataError
from netforge.net import Net
from netforge.schema import parse_net
from netforge.snapshot import load_state
from netforge.solver import Solver
from tests.device.cuda_bench import standin, standin_device
from tests.device.training_nets import DATA, NETS, RULES, SIAMESE, SOLVER
from tests.solver.helpers import Recorder, weights, write_solver

pytestmark = pytest.mark.usefixtures("shapes")


def make(name: str, device: Device | str, folder: str = "here", **options: Any) -> Solver:
    return Solver(write_solver(Path(folder), SOLVER, NETS[name]), device=device, **options)


def values(solver: Solver) -> dict[str, np.ndarray]:
    """All weights of the train net on the host, by layer and number."""
    to_host = solver.device.to_host
    return {f"{n}[{i}]": to_host(b.data) for n, blobs in solver.net.params.items() for i, b in enumerate(blobs)}


def near(got: Any, expected: Any, what: str = "") -> None:
    room = 2e-4 * max(float(np.abs(expected).max(initial=0)), 1e-2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=room, err_msg=what)


@pytest.mark.parametrize(
    ("name", "rule"),
    [*(("lenet", rule) for rule in RULES), ("siamese", "SGD"), ("siamese", "Adam"), ("triplet", "SGD")],
)
def test_training_is_that_of_the_cpu(name: str, rule: str, cuda: CudaDevice) -> None:
    heard = [Recorder(), Recorder()]
    places = (get_device("cpu"), cuda)
    cpu, gpu = (
        make(name, device, device.name.replace(":", ""), type=rule, listeners=[recorder], **RULES[rule])
        for device, recorder in zip(places, heard, strict=True)
    )
    for solver in (cpu, gpu):
        solver.solve()
    for shown, expected in zip(heard[1].displays, heard[0].displays, strict=True):
        near(shown.loss, expected.loss, f"loss of iteration {shown.iteration}")
        for output, right in zip(shown.outputs, expected.outputs, strict=True):
            near(output.values, right.values, output.name)
    for result, expected in zip(heard[1].tests, heard[0].tests, strict=True):
        assert list(result.as_dict()) == list(expected.as_dict())
        for output, right in zip(result.outputs, expected.outputs, strict=True):
            near(output.values, right.values, output.name)
    assert values(gpu).keys() == values(cpu).keys()
    for key, expected in values(cpu).items():
        near(values(gpu)[key], expected, key)


@pytest.mark.parametrize("name", NETS)
def test_batches_and_masks_are_those_of_the_cpu(name: str, cuda: CudaDevice) -> None:
    nets = [make(name, device).net for device in (get_device("cpu"), cuda)]
    for _ in range(3):
        for net in nets:
            net.forward_pass()
        for blob in nets[0].layers[0].definition.message.top:
            there = cuda.to_host(nets[1].blobs[blob].data)
            np.testing.assert_array_equal(there, nets[0].blobs[blob].data)
        for a, b in zip(*(net.layers for net in nets), strict=True):
            if a.type == "Dropout":
                np.testing.assert_array_equal(cuda.to_host(b.mask.data), a.mask.data)
                assert b.state() == a.state() == {"position": a.state()["position"]}


@pytest.mark.parametrize("file_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("name", NETS)
def test_snapshots_have_the_form_of_the_cpus(name: str, file_format: str, cuda: CudaDevice) -> None:
    solvers = [make(name, device, snapshot_format=file_format) for device in (get_device("cpu"), cuda)]
    states = []
    for solver in solvers:
        solver.step(2)
        paths = solver.snapshot()
        states.append(load_state(paths.state))
        loaded = make(name, "cpu", weights=paths.weights)
        for key, expected in values(solver).items():
            np.testing.assert_array_equal(values(loaded)[key], expected)
    host, device = states
    assert (device.iteration, device.current_step, device.seed) == (host.iteration, host.current_step, host.seed)
    assert [a.shape for a in device.history] == [a.shape for a in host.history]
    assert [a.dtype for a in device.history] == [a.dtype for a in host.history]
    assert {k: list(v) for k, v in device.nets.items()} == {k: list(v) for k, v in host.nets.items()}
    for net, layers in host.nets.items():
        for layer, state in layers.items():
            assert {k: np.shape(v) for k, v in device.nets[net][layer].items()} == {
                k: np.shape(v) for k, v in state.items()
            }
            assert device.nets[net][layer].get("position") == state.get("position")


@pytest.mark.parametrize("name", NETS)
def test_5_iterations_are_3_and_2(name: str, cuda: CudaDevice) -> None:
    whole, first = make(name, cuda), make(name, cuda)
    whole.step(5)
    first.step(3)
    rest = make(name, cuda, restore=first.snapshot().state)
    rest.step(2)
    assert rest.iteration == whole.iteration == 5
    assert weights(rest) == weights(whole)


CENTROIDS = SIAMESE.replace('top: "decode"\n', 'top: "decode" top: "centroids"\n').replace(
    'bottom: "feat_p" bottom: "labels" top: "loss"\n  contrastive_loss_param {',
    'bottom: "feat_p" bottom: "labels" bottom: "centroids" top: "loss"\n'
    "  contrastive_loss_param { centroid_learning: ALL",
)
SINGLE = f"""
{DATA}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param {{ num_output: 3 }} }}
layer {{ name: "decode" type: "Decode" bottom: "ip" bottom: "label" top: "decode" decode_param {{ target: KNN k: 1 }} }}
layer {{ name: "encoding" type: "AccuracyEncoding" bottom: "ip" bottom: "label" top: "accuracy" }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "ip" top: "loss" }}
"""
READING = {**NETS, "centroids": CENTROIDS, "single": SINGLE}


@pytest.mark.parametrize("name", READING)
def test_iterations_read_nothing_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    standin(monkeypatch)
    from fakecupy import counts

    rule = {"display": 0, "test_interval": 100, "test_initialization": False, "iter_size": 2}
    solver = Solver(write_solver(Path("here"), SOLVER, READING[name]), device=CudaDevice(), **rule)
    solver.step(1)
    reads = []
    for count in (1, 5):
        counts.reset()
        solver.step(count)
        reads.append(list(counts.host_reads))
    assert reads[0] == reads[1]
    assert reads[0] and all("layers/base.py: place, value" in line for line in reads[0]), reads[0]


BAD_LABELS = """
name: "bad"
layer { name: "x" type: "DummyData" top: "x" top: "label" dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 5 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def test_a_bad_label_is_named_when_results_are_read(cuda: CudaDevice) -> None:
    path = write_solver(Path("bad"), SOLVER.replace("test_iter: 2 test_interval: 3", ""), BAD_LABELS)
    solver = Solver(path, device=cuda, display=0)
    found = r'layer "loss" \(SoftmaxWithLoss\): label 5 at index 0 of "label" is not a class: there are 3'
    with pytest.raises(DataError, match=found):
        solver.step(2)
    assert solver.iteration == 2  # it was noticed at the end
    solver.net.forward_pass()
    with pytest.raises(DataError, match=found):
        solver.snapshot()
    assert not list(Path().rglob("*.caffemodel"))
    solver.net.settle()  # said once


def test_scores_that_are_not_numbers_are_told_when_results_are_read(cuda: CudaDevice, caplog) -> None:
    net = Net(
        parse_net(
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 } } }'
            'layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 3 } } }'
            'layer { name: "a" type: "Accuracy" bottom: "x" bottom: "l" top: "a" }'
        ),
        device=cuda,
    )
    outputs = net.forward(x=[[1, 0], [np.nan, 0], [1, 0]], l=[0, 0, 1])
    assert outputs["a"] == np.float32(1 / 3)
    assert 'the scores of item 1 in "x" hold NaN' in caplog.text


def test_without_cudnn_windows_and_matrix_products_do(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    expected = make("lenet", "cpu")
    expected.step(2)
    for device in standin_device(cudnn=False):
        solver = make("lenet", device)
        solver.step(2)
        for key, right in values(expected).items():
            near(values(solver)[key], right, key)
    assert caplog.text.count("convolutions run as matrix products") == 1
