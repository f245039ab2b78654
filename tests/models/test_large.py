"""AlexNet and ResNet-50: what the papers' tables and the literature say of their weights, shapes and arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.net import Net
from netforge.schema import read_net, read_solver
from tests.benchmarks import nets
from tests.data.helpers import datum, write_lmdb

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("alexnet", "resnet50")
WEIGHTS = {"alexnet": 60_965_224, "resnet50": 25_557_032}
CROPS = {"alexnet": 227, "resnet50": 224}
BATCHES = {"alexnet": (128, 50), "resnet50": (32, 25)}
VALIDATION_IMAGES = 50_000

# Multiply-adds of one image in AlexNet: filters x window x channels of a group x output positions, then the fully
# connected layers.
ALEXNET_PRODUCTS = (
    96 * 11**2 * 3 * 55**2
    + 256 * 5**2 * 48 * 27**2
    + (384 * 256 + 384 * 192 + 256 * 192) * 3**2 * 13**2
    + (256 * 6**2 + 4096 + 1000) * 4096
)


def resnet_products() -> int:
    """Multiply-adds of one image in ResNet-50, from table 1 of its paper."""
    products = 64 * 7**2 * 3 * 112**2 + 2048 * 1000
    for width, entering, blocks, size in ((64, 64, 3, 56), (128, 256, 4, 28), (256, 512, 6, 14), (512, 1024, 3, 7)):
        behind = width * 3**2 * width + width * 4 * width
        first = entering * width + entering * 4 * width  # the second of these is the projection
        products += (first + blocks * behind + (blocks - 1) * 4 * width * width) * size**2
    return products


PRODUCTS = {"alexnet": ALEXNET_PRODUCTS, "resnet50": resnet_products()}

SHAPES = {
    "alexnet": {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc7": (4096,),
        "fc8": (1000,),
    },
    "resnet50": {
        "conv1": (64, 112, 112),
        "pool1": (64, 56, 56),
        "res2c": (256, 56, 56),
        "res3a_branch2a": (128, 28, 28),  # halved by the first 1 x 1 convolution
        "res3d": (512, 28, 28),
        "res4f": (1024, 14, 14),
        "res5c": (2048, 7, 7),
        "pool5": (2048, 1, 1),
        "fc1000": (1000,),
    },
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMDBs of one image under the names that the files have, seen from the current folder."""
    for part in ("train", "val"):
        folder = tmp_path / "data" / f"ilsvrc12_{part}_lmdb"
        folder.mkdir(parents=True)
        write_lmdb(folder, {b"0": datum(np.zeros((3, 256, 256), np.uint8))})
    monkeypatch.chdir(tmp_path)


def plan(model: str, phase: str, file: str = "train_val") -> Net:
    return Net(ROOT / "models" / model / f"{file}.prototxt", phase=phase, plan_only=True)


def learned(net: Net) -> dict[str, list[tuple[int, ...]]]:
    return {name: [blob.shape for blob in blobs] for name, blobs in net.params.items()}


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("phase", ["TRAIN", "TEST", "RUN"])
@pytest.mark.parametrize("model", MODELS)
def test_training_file_builds_in_every_phase(model: str, phase: str) -> None:
    net = plan(model, phase)
    assert not net.definition.notes
    batch = {"TRAIN": BATCHES[model][0], "TEST": BATCHES[model][1], "RUN": 1}[phase]
    assert net.blobs["data"].shape == (batch, 3, CROPS[model], CROPS[model])
    assert {name: net.blobs[name].shape for name in SHAPES[model]} == {
        name: (batch, *shape) for name, shape in SHAPES[model].items()
    }
    assert (
        net.outputs
        == {
            "TRAIN": ["loss"],
            "TEST": ["accuracy", "accuracy_top5", "loss"],
            "RUN": ["loss"],
        }[phase]
    )


@pytest.mark.parametrize("model", MODELS)
def test_weights_and_arithmetic_are_the_known_ones(model: str) -> None:
    net = plan(model, "TEST", "deploy")
    rows = net.describe()
    assert sum(entry.blob.count for entry in net.learnable) == WEIGHTS[model]
    statistics = sum(row.weight_count for row in rows if row.type == "BatchNorm")
    assert sum(row.weight_count for row in rows) == WEIGHTS[model] + statistics
    products = sum(row.multiply_adds for row in rows if row.type in ("Convolution", "InnerProduct"))
    assert products == PRODUCTS[model]
    assert round(products / 1e9, 2) == {"alexnet": 0.72, "resnet50": 3.86}[model]
    assert net.outputs == ["prob"] and net.blobs["prob"].shape == (1, 1000)


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("model", MODELS)
def test_deploy_takes_what_train_val_learns(model: str) -> None:
    trained, deployed = plan(model, "TRAIN"), plan(model, "TEST", "deploy")
    assert not deployed.definition.notes
    assert learned(trained) == learned(deployed)
    kinds = [[layer.type for layer in net.layers][1:-1] for net in (trained, deployed)]
    assert kinds[0] == kinds[1]


def test_resnet_has_50_layers_in_16_blocks() -> None:
    layers = plan("resnet50", "TEST", "deploy").layers
    weighted = [layer.name for layer in layers if layer.type in ("Convolution", "InnerProduct")]
    assert len([name for name in weighted if not name.endswith("branch1")]) == 50
    assert sum(layer.type == "Eltwise" for layer in layers) == 16


@pytest.mark.parametrize("file", ["train_val", "deploy"])
@pytest.mark.parametrize("model", MODELS)
def test_written_net_reads_back(model: str, file: str) -> None:
    definition = read_net(ROOT / "models" / model / f"{file}.prototxt")
    assert read_net(definition.to_message()).to_text() == definition.to_text()


@pytest.mark.parametrize("model", MODELS)
def test_solver_tests_every_image_once(model: str) -> None:
    solver = read_solver(ROOT / "solvers" / f"{model}.prototxt")
    message = solver.message
    assert not solver.notes and message.snapshot_prefix == f"runs/{model}/{model}"
    assert message.net == f"models/{model}/train_val.prototxt"
    train, test = BATCHES[model]
    assert message.test_iter[0] * test == VALIDATION_IMAGES
    assert train * message.iter_size == {"alexnet": 128, "resnet50": 256}[model]
    assert (message.max_iter - 1) // message.stepsize == 3  # so often the rate falls


def test_alexnet_gives_probabilities() -> None:
    net = Net(ROOT / "models/alexnet/deploy.prototxt", seed=1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(999_983, np.float32)  # a prime number of them, so that rows differ
    for blobs in net.params.values():
        weights = blobs[0].data
        np.multiply(np.resize(noise, weights.shape), np.sqrt(2 / weights[0].size), out=weights, casting="same_kind")
    images = rng.standard_normal((1, 3, 227, 227), np.float32)
    (prob,) = net.forward(data=images).values()
    assert prob.shape == (1, 1000) and abs(prob.sum() - 1) < 1e-5 and 0 <= prob.min() < 1e-3 < prob.max() < 1


def test_resnet_runs_on_small_images() -> None:
    small = nets.resnet50(batch=1, size=64)
    trained = Net(small.definition, "TRAIN", seed=1)
    trained.forward(**small.inputs)
    net = Net(ROOT / "models/resnet50/deploy.prototxt")
    for name, blobs in net.params.items():
        for blob, source in zip(blobs, trained.params[name], strict=True):
            blob.data[...] = source.data  # its statistics too
    (prob,) = net.forward(data=np.ones((1, 3, 64, 64), np.float32)).values()
    assert net.blobs["res5c"].shape == (1, 2048, 2, 2)
    assert prob.shape == (1, 1000) and abs(prob.sum() - 1) < 1e-5 and prob.max() > 1.5e-3


def test_every_weight_of_resnet_learns() -> None:
    solver = nets.make_solver(nets.resnet50(batch=2, size=32))
    before = [entry.blob.data.copy() for entry in solver.net.learnable]
    solver.step(1)
    loss = solver.net.loss()
    assert 3 < loss < 20  # guessing among 1,000 classes costs ln 1000 = 6.9
    for entry, old in zip(solver.net.learnable, before, strict=True):
        assert np.isfinite(entry.blob.data).all() and (entry.blob.data != old).any(), entry.layer
