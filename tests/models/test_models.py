"""The models and solvers that come with netforge: each builds in every phase without a note, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.net import Net
from netforge.schema import read_net, read_solver
from netforge.solver import Solver

ROOT = Path(__file__).resolve().parents[2]
# models of data that is here or easily made up
FOLDERS = ("lenet_mnist", "siamese_digits", "siamese_mnist", "triplet_digits", "triplet_mnist")
NETS = sorted(path.relative_to(ROOT).as_posix() for name in FOLDERS for path in ROOT.glob(f"models/{name}/*.prototxt"))
TRAINED_NETS = [name for name in NETS if "train_val" in name]
SIAMESE_NETS = [name for name in TRAINED_NETS if "siamese" in name]
SOLVERS = sorted(
    path.relative_to(ROOT).as_posix() for name in FOLDERS for path in ROOT.glob(f"solvers/{name}*.prototxt")
)
DIGITS = "solvers/siamese_digits.prototxt"
QUIET = {"test_interval": 10_000, "test_initialization": False, "snapshot_after_train": False, "display": 0}

# The article's net: its files of weights hold these layers and shapes.
ARTICLE_WEIGHTS = {
    "conv1": [(20, 1, 5, 5), (20,)],
    "conv2": [(50, 20, 5, 5), (50,)],
    "ip1": [(500, 800), (500,)],
    "ip2": [(10, 500), (10,)],
    "feat": [(2, 10), (2,)],
}


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch, netforge_home: Path, rng: np.random.Generator) -> None:
    """Solvers name nets from the top of the repository; MNIST is a handful of noise here, as only its shape matters."""
    monkeypatch.chdir(ROOT)
    images = rng.integers(0, 256, (20, 1, 28, 28), np.uint8)
    with ImageDatabase() as database, database.write() as writer:
        for part in ("training", "testing"):
            writer.set_mean(f"MNIST.{part}", writer.add(f"MNIST.{part}", [images], np.arange(20) % 10))
            writer.add(f"MNIST.known.{part}", [images], np.arange(20) % 8)


def test_there_are_nets_and_solvers() -> None:
    assert len(SIAMESE_NETS) >= 3 and len(TRAINED_NETS) >= 6 and len(SOLVERS) >= 6


@pytest.mark.parametrize("phase", ["TRAIN", "TEST", "RUN"])
@pytest.mark.parametrize("name", NETS)
def test_net_builds(name: str, phase: str) -> None:
    net = Net(name, phase=phase, plan_only=True)
    assert net.layers and not net.definition.notes
    rows = net.describe()
    assert [row.name for row in rows] == [layer.name for layer in net.layers]


@pytest.mark.parametrize("name", NETS)
def test_net_runs_on_one_image(name: str) -> None:
    net = Net(name, phase="RUN", seed=1)
    (inputs,) = net.inputs
    (out,) = net.forward(**{inputs: np.ones(net.blobs[inputs].shape, np.float32)}).values()
    assert out.shape[0] == 1 and np.isfinite(out).all()


@pytest.mark.parametrize("name", SIAMESE_NETS)
def test_second_tower_learns_nothing_of_its_own(name: str) -> None:
    train, run = (Net(name, phase=phase, plan_only=True) for phase in ("TRAIN", "RUN"))
    first = [layer for layer in run.layers if layer.type in ("Convolution", "Pooling", "InnerProduct", "ReLU")]
    second = [layer for layer in train.layers if layer.name.endswith("_p")]
    assert [f"{layer.name}_p" for layer in first] == [layer.name for layer in second]
    for one, two in zip(first, second, strict=True):
        assert one.settings == two.settings
    assert [entry.layer for entry in train.learnable] == [entry.layer for entry in run.learnable]
    assert [entry.lr_mult for entry in train.learnable] == [entry.lr_mult for entry in run.learnable]


def test_article_net_has_the_article_s_weights() -> None:
    net = Net("models/siamese_mnist/train_val.prototxt", phase="TRAIN", plan_only=True)
    shapes = {name: [blob.shape for blob in blobs] for name, blobs in net.params.items()}
    assert {name: shapes[name] for name in ARTICLE_WEIGHTS} == ARTICLE_WEIGHTS
    assert [blob.name for blob in net.params["decode1"]] == ["decode1[0]", "decode1[1]", "decode1[2]"]


def test_lenet_deploy_takes_what_train_val_learns() -> None:
    trained, deployed = (Net(f"models/lenet_mnist/{name}.prototxt", phase="TEST") for name in ("train_val", "deploy"))
    shapes = [{name: [b.shape for b in blobs] for name, blobs in net.params.items()} for net in (trained, deployed)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_tests_every_image_once_and_repeats_itself(name: str) -> None:
    solver = read_solver(name)
    message = solver.message
    assert not solver.notes and not solver.train_net()[0].notes
    assert message.random_seed >= 0 and message.snapshot_prefix.startswith(f"runs/{Path(name).stem}/")
    (definition, state), *_ = solver.test_nets()
    data = definition.select(state).layers[0].message.data_param
    # of the 8,017 digits from 0 to 7 whole batches are tested
    images = {"digits.testing": 500, "MNIST.testing": 10_000, "MNIST.known.testing": 8_000}[data.source]
    assert message.test_iter[0] * data.batch_size == images


@pytest.mark.parametrize("name", NETS)
def test_written_net_reads_back(name: str) -> None:
    definition = read_net(name)
    assert read_net(definition.to_message()).to_text() == definition.to_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_model_has_a_readme_with_its_command(folder: str) -> None:
    text = (ROOT / "models" / folder / "README.md").read_text()
    assert f"netforge train --solver solvers/{folder}.prototxt" in text


def test_digits_start_to_learn() -> None:
    solver = Solver(DIGITS, **QUIET)
    losses = []
    for _ in range(40):
        solver.step(1)
        losses.append(solver.net.loss())
    solver.close()
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


@pytest.mark.slow
def test_digits_are_recognised() -> None:
    solver = Solver(DIGITS, **QUIET)
    solver.solve()
    (result,) = solver.test()
    solver.close()
    assert result["accuracy"] >= 0.97
