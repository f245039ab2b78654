"""netforge inspect, as people type it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netforge.cli import cli
from netforge.snapshot import TrainingState, save_state
from tests.inspect.logs import START, write_log
from tests.recognition.helpers import DECODE, SOFTMAX, make_net

NET = ("--model", "small.prototxt", "--weights", "small.caffemodel", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """A folder with a net, its weights, a solver and a state, as the current one."""
    make_net(tmp_path, DECODE + SOFTMAX)
    (tmp_path / "solver.prototxt").write_text('net: "small.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    labels = np.arange(40) % 2
    kept = {"embeddings": labels[:, None] * 9 + rng.normal(size=(40, 3)), "labels": labels}
    save_state(TrainingState(5, [], nets={-1: {"debug": kept}}), tmp_path / "run.solverstate")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inspect(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["inspect", *arguments])


def good(*arguments: str) -> str:
    result = inspect(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def width(path: str) -> int:
    with Image.open(path) as image:
        return image.width


def test_embeddings_of_a_state(folder: Path) -> None:
    text = good("embeddings", "run.solverstate", "--perplexity", "8", "--iterations", "250")
    assert "nearest neighbour right        100.00 %" in text
    assert "page: run.embeddings.html" in text and (folder / "run.embeddings.html").stat().st_size > 10_000
    text = good("embeddings", "run.solverstate", "--method", "pca", "--limit", "10", "--png", "map.png")
    assert "10 items of 3 numbers" in text and "page:" not in text
    assert width("map.png") > 900


def test_weights_and_mistakes_of_a_run(folder: Path) -> None:
    begun = START | {"folder": str(folder), "nets": {"small.prototxt": (folder / "small.prototxt").read_text()}}
    kept = {"event": "snapshot", "time": 1, "iteration": 5, "weights": "small.caffemodel", "state": None}
    write_log(folder / "run.20260101-000000.log.jsonl", begun, kept)
    assert "small.weights.html" in good("weights", "run")
    assert "page: mistakes.html" in good("confusion", ".", "--source", "digits.testing", "--html", "mistakes.html")
    for command in (["weights"], ["confusion", "--source", "digits.testing"]):
        assert "name a trained net: a run, or --model and --weights" in inspect(*command).stderr
        assert "not both" in inspect(*command, "run", *NET[:4]).stderr


def test_embeddings_of_a_run(folder: Path) -> None:
    gone = {"event": "snapshot", "time": 1, "iteration": 5, "weights": None, "state": "run.solverstate"}
    write_log(folder / "run.20260101-000000.log.jsonl", START, gone)
    for run in ("run", "run.20260101-000000.log.jsonl", "."):
        text = good("embeddings", run, "--method", "pca")
        assert "page: run.embeddings.html" in text and "images                         not shown: " in text
    (folder / "run.solverstate").unlink()
    assert "no state that it has written is there" in inspect("embeddings", "run").stderr
    assert "there is no such run" in inspect("embeddings", "runs/none").stderr
    assert "--layer goes with --model" in inspect("embeddings", "run", "--layer", "feat").stderr
    assert "no_such_plugin" in inspect("embeddings", "run", "--plugin", "no_such_plugin").stderr


def test_embeddings_of_images(folder: Path) -> None:
    arguments = ("--source", "digits.testing", "--limit", "50", "--method", "pca", "--html", "e.html")
    assert '"feat" of small on digits.testing: 50 items of 24 numbers' in good("embeddings", *NET, *arguments)
    assert "data:image/png" in (folder / "e.html").read_text()
    assert '"score" of small' in good("embeddings", *NET, *arguments, "--layer", "score")
    result = inspect("embeddings", *NET, *arguments, "--layer", "scor")
    assert result.exit_code == 1 and 'Did you mean "score"' in result.stderr


def test_embeddings_say_what_they_need(folder: Path) -> None:
    for arguments in ((), ("--source", "digits.testing"), NET, ("run.solverstate", *NET)):
        assert inspect("embeddings", *arguments).exit_code == 2
    assert "--perplexity" in inspect("embeddings", "run.solverstate", "--limit", "20").stderr
    assert "its folder does not exist" in inspect("embeddings", "run.solverstate", "--html", "no/a.html").stderr


def test_weights(folder: Path) -> None:
    assert "page: small.weights.html" in good("weights", *NET[:4])
    assert "pictures: 2 in shots" in good("weights", *NET[:4], "--layer", "feat", "--png-folder", "shots")
    assert [path.name for path in sorted((folder / "shots").iterdir())] == ["000-feat-0.png", "001-feat-1.png"]


def test_activations(folder: Path) -> None:
    good("activations", *NET, "--source", "digits.testing", "--index", "3", "--html", "a.html", "--png", "a.png")
    assert "image 3 of digits.testing" in (folder / "a.html").read_text()
    Image.new("L", (9, 9), 200).save("white.png")
    assert "page: white.activations.html" in good("activations", *NET, "white.png", "--layer", "feat")
    assert (
        "there is no image 500" in inspect("activations", *NET, "--source", "digits.testing", "--index", "500").stderr
    )
    assert inspect("activations", *NET).exit_code == 2
    assert 'Did you mean "feat"' in inspect("activations", *NET, "white.png", "--layer", "feet").stderr


def test_confusion(folder: Path) -> None:
    text = good("confusion", *NET, "--source", "digits.testing", "--html", "c.html", "--png", "c.png")
    assert text.startswith("accuracy: ") and width("c.png") > 300
    assert "data-confusion" in (folder / "c.html").read_text()


def test_gradients(folder: Path) -> None:
    arguments = ("gradients", "--solver", "solver.prototxt", "--iterations", "2", "--device", "cpu", "--html", "g.html")
    text = good(*arguments, "--weights", "small.caffemodel")
    assert "score[1]" in text and "page: g.html" in text
    assert "a solver is expected" in inspect("gradients", "--solver", "small.prototxt").stderr
    assert inspect("gradients").exit_code == inspect("gradients", "run", "--solver", "solver.prototxt").exit_code == 2


def test_gradients_of_a_run(folder: Path) -> None:
    norms = {"event": "norms", "time": 1, "iteration": 0, "weights": {"conv[0]": [1.0, 0.5, 0.25]}}
    log = write_log(folder / "run.20260101-000000.log.jsonl", START, norms)
    text = good("gradients", "run")
    assert "conv[0]" in text and "page: run.20260101-000000.gradients.html" in text
    write_log(log, START)
    assert "holds no norms" in inspect("gradients", str(log)).stderr


def test_pages_that_cannot_be_written_are_named_before_the_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (folder / "small.caffemodel").unlink()
    for page, words in (
        ("net.confusion.html", ("confusion", *NET, "--source", "digits.testing")),
        ("digits.testing.3.activations.html", ("activations", *NET, "--source", "digits.testing", "--index", "3")),
        ("small.weights.html", ("weights", *NET[:4])),
        ("net.embeddings.html", ("embeddings", *NET, "--source", "digits.testing")),
    ):
        result = inspect(*words)
        assert result.exit_code == 1 and result.stderr.startswith(f"error: {page}: you may not write here"), words
