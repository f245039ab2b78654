"""The models of few-shot learning: each builds in every phase, and starts to learn; their data are made up here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.net import Net
from netforge.schema import read_net, read_solver
from netforge.solver import Solver

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("faces_verification", "fewshot_mnist", "oneshot_omniglot")
NETS = sorted(path.relative_to(ROOT).as_posix() for name in FOLDERS for path in ROOT.glob(f"models/{name}/*.prototxt"))
SOLVERS = sorted(
    path.relative_to(ROOT).as_posix() for name in FOLDERS for path in ROOT.glob(f"solvers/{name}*.prototxt")
)
SHAPES = {"MNIST": (28, 28), "omniglot": (28, 28), "faces": (56, 46)}
SOURCES = {  # classes, and images of each
    "MNIST.30.training": (10, 13),
    "MNIST.30.testing": (10, 2),
    "MNIST.training": (10, 2),
    "MNIST.testing": (10, 2),
    "omniglot.training": (30, 5),
    "omniglot.testing": (20, 2),
    "faces.training": (30, 4),
    "faces.testing": (10, 10),
}


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch, netforge_home: Path, rng: np.random.Generator) -> None:
    """Solvers name nets from the top of the repository; each class is a pattern of its own here, with noise."""
    monkeypatch.chdir(ROOT)
    with ImageDatabase() as database, database.write() as writer:
        for name, (classes, each) in SOURCES.items():
            height, width = SHAPES[name.partition(".")[0]]
            coarse = rng.integers(0, 200, (classes, 1, height // 7 + 1, width // 7 + 1), np.uint8)
            patterns = coarse.repeat(7, axis=2).repeat(7, axis=3)[..., :height, :width]
            noise = rng.integers(0, 56, (classes * each, 1, height, width), np.uint8)
            images = patterns.repeat(each, axis=0) + noise
            writer.set_mean(name, writer.add(name, [images], np.arange(classes).repeat(each)))


def test_there_are_nets_and_solvers() -> None:
    assert len(NETS) == len(SOLVERS) == 4


@pytest.mark.parametrize("phase", ["TRAIN", "TEST", "RUN"])
@pytest.mark.parametrize("name", NETS)
def test_net_builds(name: str, phase: str) -> None:
    net = Net(name, phase=phase, plan_only=True)
    assert net.layers and not net.definition.notes


@pytest.mark.parametrize("name", NETS)
def test_net_gives_the_embedding_of_one_image(name: str) -> None:
    net = Net(name, phase="RUN", seed=1)
    (inputs,) = net.inputs
    (out,) = net.forward(**{inputs: np.ones(net.blobs[inputs].shape, np.float32)}).values()
    assert out.shape[0] == 1 and np.isfinite(out).all()


@pytest.mark.parametrize("name", NETS)
def test_written_net_reads_back(name: str) -> None:
    definition = read_net(name)
    assert read_net(definition.to_message()).to_text() == definition.to_text()


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_repeats_itself_and_tests_as_its_readme_says(name: str) -> None:
    solver = read_solver(name)
    message = solver.message
    assert not solver.notes and not solver.train_net()[0].notes
    assert message.random_seed >= 0 and message.snapshot_prefix.startswith(f"runs/{Path(name).stem}/")
    (definition, state), *_ = solver.test_nets()
    data = definition.select(state).layers[0].message.data_param
    tested = {"MNIST.testing": 10_000, "MNIST.30.testing": 300, "omniglot.testing": 400 * 40, "faces.testing": 100}
    batch = data.batch_size or data.batch_classes * data.batch_images
    assert message.test_iter[0] * batch == tested[data.source]
    folder = Path(message.net).parent.name
    assert f"netforge train --solver {name}" in (ROOT / "models" / folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "iterations"), [("faces_verification", 12), ("fewshot_mnist", 6), ("oneshot_omniglot", 4)]
)
def test_loss_falls(name: str, iterations: int) -> None:
    quiet = {"test_interval": 10_000, "snapshot_after_train": False, "display": 0, "base_lr": 0.001}
    solver = Solver(f"solvers/{name}.prototxt", **quiet, lr_policy="fixed")
    losses = []
    for _ in range(iterations):
        solver.step(1)
        losses.append(solver.net.loss())
    solver.close()
    assert np.mean(losses[-2:]) < 0.8 * losses[0]


def test_article_net_is_that_of_triplet_mnist() -> None:
    weights = [
        {
            name: [blob.shape for blob in blobs]
            for name, blobs in Net(path, phase="TRAIN", plan_only=True).params.items()
        }
        for path in ("models/fewshot_mnist/train_val_article.prototxt", "models/triplet_mnist/train_val.prototxt")
    ]
    assert weights[0]["feat"] == [(4, 10), (4,)] and weights[0] == weights[1]
