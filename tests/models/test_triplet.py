"""The triplet nets that come with netforge: towers alike, the article's weights, exact resume, learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.net import Net
from netforge.solver import Listener, Solver
from tests.solver.helpers import weights

ROOT = Path(__file__).resolve().parents[2]
DIGITS, ARTICLE = "solvers/triplet_digits.prototxt", "solvers/triplet_mnist.prototxt"
NET = "models/triplet_mnist/train_val.prototxt"
QUIET = {"test_interval": 10_000, "test_initialization": False, "snapshot_after_train": False, "display": 0}
ARTICLE_WEIGHTS = {
    "conv1": [(20, 1, 5, 5), (20,)],
    "conv2": [(50, 20, 5, 5), (50,)],
    "ip1": [(500, 800), (500,)],
    "ip2": [(10, 500), (10,)],
    "feat": [(4, 10), (4,)],
}


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch, netforge_home: Path, rng: np.random.Generator) -> None:
    """MNIST is a handful of noise here; solvers name nets from the top of the repository."""
    monkeypatch.chdir(ROOT)
    images = rng.integers(0, 256, (200, 1, 28, 28), np.uint8)
    with ImageDatabase() as database, database.write() as writer:
        for part in ("training", "testing"):
            writer.set_mean(f"MNIST.{part}", writer.add(f"MNIST.{part}", [images], np.arange(200) % 10))


@pytest.mark.parametrize("end", ["_p", "_n"])
def test_other_towers_learn_nothing_of_their_own(end: str) -> None:
    train, run = (Net(NET, phase=phase, plan_only=True) for phase in ("TRAIN", "RUN"))
    kinds = ("Convolution", "Pooling", "InnerProduct", "ReLU", "Dropout")
    first = [layer for layer in run.layers if layer.type in kinds]
    other = [layer for layer in train.layers if layer.name.endswith(end)]
    assert [f"{layer.name}{end}" for layer in first] == [layer.name for layer in other]
    for one, two in zip(first, other, strict=True):
        assert one.settings == two.settings
    assert [entry.layer for entry in train.learnable] == [entry.layer for entry in run.learnable]


def test_the_article_s_net_has_the_article_s_weights() -> None:
    net = Net(NET, phase="TRAIN", plan_only=True)
    shapes = {name: [blob.shape for blob in blobs] for name, blobs in net.params.items()}
    assert {name: shapes[name] for name in ARTICLE_WEIGHTS} == ARTICLE_WEIGHTS
    assert net.blobs["lbl"].shape == (128, 3, 1, 1) and net.blobs["neg"].shape == (128, 1, 28, 28)


def test_running_takes_one_image_through_one_tower() -> None:
    net = Net(NET, phase="RUN", seed=1)
    (name,) = net.inputs
    assert name == "data1" and net.blobs[name].shape == (1, 1, 28, 28)
    assert {layer.type for layer in net.layers}.isdisjoint({"DataSequence", "TripletLoss"})
    assert [row.name for row in net.describe()][-2:] == ["feat", "decode1"]


def test_the_article_s_run_goes_on_exactly(tmp_path: Path) -> None:
    """Caches of images, draws, masks and centroids come back with the state."""
    options = {**QUIET, "snapshot_prefix": str(tmp_path / "run")}
    whole = Solver(ARTICLE, **options)
    whole.step(4)
    first = Solver(ARTICLE, **options)
    first.step(2)
    rest = Solver(ARTICLE, restore=first.snapshot().state, **options)
    rest.step(2)
    assert weights(rest) == weights(whole)
    for name in ("data", "pos", "neg", "lbl"):
        np.testing.assert_array_equal(rest.net.blobs[name].data, whole.net.blobs[name].data)
    for solver in (whole, first, rest):
        solver.close()


class Notices(Listener):
    """Keeps what layers find wrong with the training, and the iteration."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []

    def on_notice(self, solver: Solver, text: str) -> None:
        self.heard.append((solver.iteration, text))


@pytest.mark.parametrize(("rate", "tells"), [(0.002, False), (0.05, True)])
def test_a_rate_that_is_too_high_collapses_the_digits_and_is_told(rate: float, tells: bool) -> None:
    """As the README shows it; looks at iterations 0, 20, 40, 60."""
    notices = Notices()
    solver = Solver(DIGITS, listeners=[notices], **{**QUIET, "display": 20, "base_lr": rate})
    solver.step(61)
    loss = solver.net.loss()
    solver.close()
    assert (loss == pytest.approx(np.log(2), abs=1e-3)) == tells
    assert [iteration for iteration, _ in notices.heard] == [60] * tells
    assert all("have collapsed" in text and "lower base_lr" in text for _, text in notices.heard)


def test_digits_start_to_learn() -> None:
    solver = Solver(DIGITS, **QUIET)
    losses = []
    for _ in range(60):
        solver.step(1)
        losses.append(solver.net.loss())
    within, between = solver.net.blobs["distances"].data
    solver.close()
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5]) and between > 1.5 * within


@pytest.mark.slow
def test_digits_are_recognised() -> None:
    solver = Solver(DIGITS, **QUIET)
    solver.solve()
    (result,) = solver.test()
    solver.close()
    assert result["accuracy"] >= 0.97
