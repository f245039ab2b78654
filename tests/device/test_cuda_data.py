"""Batches on a CUDA device are those of the CPU, bit for bit, wherever their images lie."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from netforge.cli.run_facts import images_text
from netforge.data import open_source
from netforge.data.batches import resident
from netforge.device.cuda import CudaDevice
from netforge.errors import DataError, DeviceError
from netforge.layers.base import Layer
from netforge.net import Net
from netforge.schema import parse_net
from netforge.solver import Solver
from tests.data.helpers import array_source, datum, fill_database, write_lmdb
from tests.device.cuda_bench import standin
from tests.solver.helpers import weights, write_solver

ALL_TOPS = 'top: "data" top: "label" top: "index"'
PAIRS = "images_per_blob: 2 output_image_index: true"
NOISE = "enable_noise_for_nonmatch: true data_noise_param { noise_data_label: 8 noise_filler { value: 20 } }"
CROPS = "crop_size: 4 mirror: true use_imagedb_mean: true scale: 0.00390625"
LAYERS = {
    "images": ("grey", "", ""),
    "numbers": ("grey", "output_image_index: true", "scale: 0.5 mean_value: 30"),
    "pairs": ("grey", f"{PAIRS} output_all_labels: true", CROPS),
    "similarity": ("colour", PAIRS, "mirror: true mean_value: 10 mean_value: 20 mean_value: 30"),
    "noise": ("colour", f"{PAIRS} output_all_labels: true {NOISE}", f"{CROPS} color_order: BGR"),
    "classes": ("colour", "batch_size: 0 batch_classes: 3 batch_images: 2", CROPS),
    "mask": (
        "colour",
        "",
        "mask_param { active: true boundary_left: 1 boundary_right: 3 boundary_top: 0 boundary_bottom: 2 } "
        "use_imagedb_mean: true",
    ),
    "coloured": ("grey", "force_encoded_color: true prefetch: 0", "crop_size: 3 color_order: BGR"),
    "greyed": ("colour", PAIRS, f"force_gray: true {CROPS.replace('use_imagedb_mean: true', 'mean_value: 9')}"),
    "warped": ("grey", "", f"{CROPS} warp_param {{ rotation: 20 shift: 1 }}"),
    "resized": ("colour", PAIRS, f"{CROPS} resize_param {{ height: 9 width: 8 interp_mode: [LINEAR, AREA] }}"),
    "noisy": ("colour", "", f"{CROPS} color_order: BGR noise_param {{ prob: 0.5 erode: true hist_eq: true }}"),
    "floats": ("floats", f"{PAIRS} {NOISE}", CROPS),
}
ON_HOST = {
    "greyed": "force_gray is done there",
    "warped": "warp_param is done there",
    "resized": "resize_param is done there",
    "noisy": "noise_param is done there",
}


def net_of(name: str, device: CudaDevice | str) -> Net:
    """A net of one Data layer."""
    source, param, transform = LAYERS[name]
    tops = ALL_TOPS if "output_image_index" in param else 'top: "data" top: "label"'
    size = "" if "batch_size" in param else "batch_size: 6"
    text = (
        f'layer {{ name: "data" type: "Data" {tops}\n transform_param {{ {transform} }}\n'
        f' data_param {{ source: "{source}" backend: IMAGEDB {size} {param} }} }}'
    )
    return Net(parse_net(text.replace("batch_size: 0 ", "")), "TRAIN", seed=5, device=device)


def layer_of(net: Net) -> Layer:
    return net.layers[0]


def batches(net: Net, positions: list[int]) -> list[dict[str, np.ndarray]]:
    """What the tops hold after each of the passes with these numbers."""
    found = []
    for position in positions:
        layer_of(net).random.position = position
        net.forward_pass()
        found.append({name: net.device.to_host(blob.data).copy() for name, blob in net.blobs.items()})
    return found


@pytest.fixture(autouse=True)
def sources() -> None:
    """Three sources, of which no GPU has images left that a test before brought there."""
    gc.collect()
    fill_database("grey")
    fill_database("colour", array_source(shape=(3, 5, 7)))
    pixels = np.random.default_rng(6).standard_normal((40, 2, 5, 6)).astype(np.float32)
    floats = array_source(shape=(2, 5, 6))
    floats._pixels = pixels
    fill_database("floats", floats)


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["resident", "streamed"])
@pytest.mark.parametrize("name", LAYERS)
def test_batches_are_those_of_the_cpu(
    name: str, share: float, cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "SHARE", share)
    host, net = net_of(name, "cpu"), net_of(name, cuda)
    order = [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 1, 2, 20]  # as in a run, and as where it goes on elsewhere
    for got, expected in zip(batches(net, order), batches(host, order), strict=True):
        assert got.keys() == expected.keys()
        for top, values in expected.items():
            np.testing.assert_array_equal(got[top], values, err_msg=top)
    drawn = [layer_of(one).label_queries.counts for one in (host, net)]
    assert drawn[0].counts.sum() > 0 and drawn[0].counts.tolist() == drawn[1].counts.tolist()
    assert layer_of(host).residence == ""
    where = layer_of(net).residence
    assert where.endswith(ON_HOST[name]) if name in ON_HOST else ("streamed" in where) == (share == 0)
    net.close()
    np.testing.assert_array_equal(batches(net, [2])[0]["data"], batches(host, [2])[0]["data"])  # it begins anew
    for one in (host, net):
        one.close()


def test_the_free_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    module = standin(monkeypatch)
    size = 40 * 5 * 6
    for free, expected in (
        (2 * size, "grey, 0.0 MiB on cuda:0"),
        (2 * size - 1, "grey is streamed from the host: 0.0 MiB are more than half of the 0.0 MiB that are free on"),
    ):
        module.cuda.runtime.free_bytes = free
        net = net_of("images", CudaDevice())
        assert layer_of(net).residence.startswith(expected)
        net.close()


NET = """
layer { name: "data" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 mirror: true }
  data_param { source: "grey" backend: IMAGEDB batch_size: 6 prefetch: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 9 random_seed: 7 snapshot_prefix: "run"'


def test_recorded_iterations_train_alike_on_resident_and_streamed_images(
    cuda: CudaDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for share in (0.5, 0.0):
        monkeypatch.setattr(resident, "SHARE", share)
        gc.collect()
        solver = Solver(write_solver(tmp_path / str(share), SOLVER, NET), device=cuda, display=0)
        solver.step(7)
        rest = Solver(write_solver(tmp_path / str(share), SOLVER, NET), device=cuda, restore=solver.snapshot().state)
        solver.step(2)
        rest.step(2)
        assert solver.execution.startswith("one CUDA graph")
        assert ("streamed" in layer_of(solver.net).residence) == (share == 0)
        found += [weights(solver), weights(rest)]
        for one in (solver, rest):
            one.net.close()
        del solver, rest, one
    assert len(set(found)) == 1


def test_the_facts_of_a_run_tell_each_place_once(cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [net_of(name, device) for name, device in (("images", cuda), ("mask", "cpu"), ("numbers", cuda))]
    assert images_text(nets) == f"grey, 0.0 MiB on {cuda.name}"
    monkeypatch.setattr(resident, "SHARE", 0.0)
    assert "; colour is streamed from the host: 0.0 MiB are more than" in images_text([*nets, net_of("mask", cuda)])
    assert images_text(nets[1:2]) == ""


def test_nets_share_the_images_of_a_source_until_the_last_is_gone(cuda: CudaDevice) -> None:
    first, second, other = net_of("images", cuda), net_of("numbers", cuda), net_of("mask", cuda)
    stores = []
    for net in (first, second, other):
        batches(net, [0])
        stores.append(layer_of(net)._batches._store.images)
        net.close()
    assert stores[0] is stores[1] and stores[0] is not stores[2]
    identity = open_source("IMAGEDB", "grey").identity
    assert identity in resident._on(cuda)
    del first, net
    gc.collect()
    assert identity in resident._on(cuda)
    del second
    gc.collect()
    assert identity not in resident._on(cuda)


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["resident", "streamed"])
def test_a_net_that_is_dropped_leaves_nothing_behind(
    share: float, cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "SHARE", share)
    net = net_of("noise", cuda)
    batches(net, [0, 1])
    ends = weakref.ref(layer_of(net)), weakref.ref(layer_of(net)._batches._ahead._queue)
    calls, finish = [], cuda.transfers().finish
    monkeypatch.setattr(cuda.transfers(), "finish", lambda: (calls.append(ends[1]()), finish()))
    del net
    gc.collect()
    assert calls == [None]  # the thread that makes copies has ended before they are waited for
    assert [end() for end in ends] == [None, None]


def test_copies_beside_come_behind_the_work_that_had_their_memory_before(
    cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers, behind = cuda.transfers(), []
    monkeypatch.setattr(transfers, "record", lambda: "all work so far")
    monkeypatch.setattr(transfers._copies, "wait_event", behind.append)
    with cuda.running():
        transfers.empty((3,), np.uint8)
    assert behind == ["all work so far"]


def test_a_lack_of_page_locked_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    module = standin(monkeypatch)

    def refuse(size: int) -> None:
        raise module.cuda.runtime.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(module.cuda, "alloc_pinned_memory", refuse)
    net = net_of("images", CudaDevice())
    with pytest.raises(DeviceError, match=r"MiB of page-locked memory .* out of memory\. Lower batch_size or prefetch"):
        net.forward_pass()
    net.close()


def test_a_source_goes_over_in_parts(cuda: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "CHUNK_BYTES", 7 * 30 + 29)  # parts of 7 images, and one of 5
    source = array_source()
    images = resident.bring(cuda, cuda.transfers(), source).images
    np.testing.assert_array_equal(cuda.to_host(images), source.images[:])


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["resident", "streamed"])
def test_images_of_two_types_are_refused(
    share: float, cuda: CudaDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "SHARE", share)
    pixels = np.zeros((1, 3, 3), np.uint8)
    records = {b"0": datum(pixels), b"1": datum(pixels.astype(np.float32))}
    path = write_lmdb(tmp_path / "mixed", records)
    text = f'layer {{ name: "data" type: "Data" top: "data" data_param {{ source: "{path}" batch_size: 2 }} }}'
    net = Net(parse_net(text), "TEST", device=cuda)
    with pytest.raises(DataError, match="some images hold float32 and others uint8"):
        net.forward_pass()
    net.close()


def test_a_damaged_record_is_named_in_its_turn(cuda: CudaDevice, tmp_path: Path) -> None:
    good = datum(np.zeros((3, 3, 3), np.uint8))
    path = write_lmdb(tmp_path / "bad", {b"0": good, b"1": b"\x99", b"2": good})
    text = (
        'layer { name: "data" type: "Data" top: "data" transform_param { force_gray: true } '
        f'data_param {{ source: "{path}" batch_size: 1 }} }}'
    )
    net = Net(parse_net(text), "TEST", device=cuda)
    net.forward_pass()
    with pytest.raises(DataError, match="record '1'"):
        net.forward_pass()
    layer_of(net).random.position = 2
    net.forward_pass()
    net.close()
