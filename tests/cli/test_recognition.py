"""test-many, predict, calibrate, enroll and evaluate, as people type them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from netforge.cli import cli
from netforge.data import ImageDatabase, open_source
from netforge.net import Net
from tests.inspect.logs import START, write_log
from tests.recognition.helpers import DECODE, MINING, SOFTMAX, make_net


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a net, its weights and some images, as the current one."""
    make_net(tmp_path, DECODE)
    monkeypatch.chdir(tmp_path)
    source = open_source(None, "digits.testing")
    for digit in (3, 8):
        image = source.images[int(np.flatnonzero(source.labels == digit)[0])]
        Image.fromarray(image[0]).save(tmp_path / f"{digit}.png")
    Image.new("L", (20, 30), 255).save(tmp_path / "white.png")
    return tmp_path


def run(command: str, *arguments: str | Path, name: str = "small") -> Result:
    options = ["--model", f"{name}.prototxt", "--weights", f"{name}.caffemodel", "--device", "cpu"]
    return CliRunner().invoke(cli, [command, *options, *map(str, arguments)])


def good(command: str, *arguments: str | Path, name: str = "small") -> Result:
    result = run(command, *arguments, name=name)
    assert result.exit_code == 0, result.output
    return result


def test_a_run_names_the_net_and_its_newest_weights(trained: Path) -> None:
    text = (trained / "small.prototxt").read_text()
    (trained / "small.prototxt").write_text("layer { the file has changed since")
    begun = START | {"folder": str(trained), "nets": {"small.prototxt": text}}
    older, newest = (
        {"event": "snapshot", "time": 1, "iteration": number, "weights": f"{name}.caffemodel", "state": None}
        for number, name in enumerate(("gone", "small"))
    )
    log = write_log(trained / "mine.20260101-000000.log.jsonl", begun, older, newest)
    for name in (".", "mine", log.name):
        result = CliRunner().invoke(cli, ["predict", "--run", name, "--device", "cpu", "3.png"])
        assert result.exit_code == 0 and "3.png  3 " in result.stdout, result.output
    (trained / "small.caffemodel").unlink()
    assert "small.caffemodel is gone" in CliRunner().invoke(cli, ["predict", "--run", ".", "3.png"]).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name a trained net: a run, or --model and --weights"),
        (("--model", "a"), "--model and --weights go together"),
        (("--run", "a", "--model", "b", "--weights", "c"), "give a run, or --model and --weights, not both"),
    ],
)
def test_a_trained_net_is_named_in_one_way(options: tuple[str, ...], message: str) -> None:
    for command in (["test-many", "--source", "digits.testing"], ["predict", "a.png"]):
        result = CliRunner().invoke(cli, [*command, *options])
        assert result.exit_code == 2 and message in result.stderr


def test_test_many_counts_what_is_right_and_writes_it_down(trained: Path) -> None:
    result = good("test-many", "--source", "digits.testing", "--csv", "all.csv", "--png", "table.png")
    with (trained / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 500
    right = sum(row["label"] == row["predicted_label"] for row in rows)
    assert right == sum(int(row["right"]) for row in rows)
    assert f"accuracy: {right / 5:.2f} % ({right} of 500; {500 - right} wrong)" in result.stdout
    source = open_source(None, "digits.testing")
    assert [int(row["label"]) for row in rows] == source.labels.tolist()
    with Net("small.prototxt", "RUN", weights="small.caffemodel") as net:
        every = net.forward(data=source.images[:] / 256)["distances"].copy()
    distances = np.sort(every, axis=1)
    np.testing.assert_allclose([float(row["distance"]) for row in rows], distances[:, 0], rtol=1e-5)
    np.testing.assert_allclose([float(row["margin"]) for row in rows], distances[:, 1] - distances[:, 0], atol=1e-5)
    own = every[np.arange(500), source.labels]
    np.testing.assert_allclose([float(row["own_distance"]) for row in rows], own, rtol=1e-5)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["class", "images", "right", "accuracy", "taken", "for"]
    for digit in range(10):
        own = [row for row in rows if row["label"] == str(digit)]
        hit = sum(int(row["right"]) for row in own)
        assert lines[1 + digit].split()[:4] == [str(digit), str(len(own)), str(hit), f"{100 * hit / len(own):.2f}"]
    with Image.open("table.png") as image:
        assert image.format == "PNG" and image.width > 400


def test_test_many_agrees_with_test(trained: Path) -> None:
    accuracy = 'layer { name: "a" type: "AccuracyDecode" bottom: "distances" bottom: "label" top: "a" }'
    with (trained / "small.prototxt").open("a") as file:
        file.write(accuracy)
    tested = good("test", "--iterations", "5", "--quiet")
    share = float(tested.stdout.splitlines()[-1].rpartition("= ")[2])
    assert f"accuracy: {100 * share:.2f} %" in good("test-many", "--source", "digits.testing", "--quiet").stdout


def test_images_are_chosen(trained: Path) -> None:
    assert (
        "80 images, 3 classes"
        in good("test-many", "--source", "digits.testing", "--labels", "0-2", "--count", "80").stdout
    )
    both = good("test-many", "--source", "digits.testing,digits.training", "--quiet").stdout
    assert "digits.testing + digits.training: 1,797 images" in both
    rest = good(
        "test-many", "--source", "digits.testing", "--source", "digits.training", "--exclude-source", "digits.training"
    )
    assert "digits.testing + digits.training: 5" in rest.stdout or "digits.testing + digits.training: 4" in rest.stdout


def test_calibrate_predict_and_test_many_share_the_threshold(trained: Path) -> None:
    assert "No threshold" in good("predict", "3.png").stderr
    found = good("calibrate", "--source", "digits.testing", "--false-accept-rate", "0.05")
    kept = json.loads((trained / "small.caffemodel.recognition.json").read_text())["threshold"]
    assert "blends of two images of digits.testing" in found.stdout
    assert kept["measured_rate"] <= 0.05 and kept["rule"] == "Decode decode"
    assert f"threshold                 {kept['value']:.4g}" in found.stdout
    predicted = good("predict", "3.png", "white.png")
    lines = [line.split() for line in predicted.stdout.splitlines()]
    assert lines[0] == ["image", "class", "distance", "margin", "next"]
    assert lines[2][:2] == ["white.png", "unknown"]
    assert "white.png: 30 x 20 pixels, resized to 8 x 8" in predicted.stderr
    assert f"Threshold {kept['value']:.4g}, which" in predicted.stderr
    assert "unknown" not in good("predict", "white.png", "--threshold", "none").stdout
    assert "unknown" in good("predict", "3.png", "--threshold", "0").stdout
    tested = good("test-many", "--source", "digits.testing", "--threshold", "auto", "--csv", "all.csv")
    with (trained / "all.csv").open(newline="") as file:
        refused = [row["predicted_label"] == "-1" for row in csv.DictReader(file)]
    assert f"refused as unknown: {np.mean(refused):.2%}"[:-1] + " % of known" in tested.stdout


def test_calibrate_with_unknown_labels_and_centroids(trained: Path) -> None:
    make_net(trained, MINING, name="mining")
    arguments = ("--centroids", "digits.training", "--source", "digits.testing", "--unknown-labels", "8,9")
    found = good("calibrate", *arguments, "--false-accept-rate", "0.1", name="mining")
    assert "digits.testing: 402 images, 8 classes" in found.stdout
    assert "digits.testing: 98 images, 2 classes" in found.stdout
    tested = good("test-many", "--source", "digits.testing", "--threshold", "auto", name="mining").stdout
    assert "8 (not known)" in tested and "unknown classes: 8, 9" in tested and "AUC 0." in tested
    kept = json.loads((trained / "mining.caffemodel.recognition.json").read_text())
    assert [c["name"] for c in kept["classes"]] == list("01234567")
    rate = float(tested.split("of known and ")[1].split(" %")[0])
    assert rate == pytest.approx(100 * (1 - kept["threshold"]["measured_rate"]), abs=0.01)


def test_verbose_lists_the_weights(trained: Path) -> None:
    assert "Weights from small.caffemodel: 2 loaded" in good("predict", "3.png", "--verbose").stdout


def test_an_enrolled_class_is_known_from_then_on(trained: Path) -> None:
    added = good("enroll", "--name", "blank", "white.png")
    assert 'class "blank": 1 image, kept in small.caffemodel.recognition.json' in added.stdout
    assert good("predict", "white.png", "8.png").stdout.splitlines()[1].split()[:3] == ["white.png", "blank", "0"]
    assert "2 images" in good("enroll", "--name", "blank", "white.png").stdout
    assert "is forgotten" in good("enroll", "--name", "blank", "--remove").stdout
    assert "blank" not in good("predict", "white.png").stdout


def test_a_softmax_gives_probabilities(trained: Path) -> None:
    make_net(trained, SOFTMAX, name="softmax")
    shown = good("predict", "3.png", name="softmax").stdout
    assert "probability" in shown and " %" in shown
    good("test-many", "--source", "digits.testing", "--threshold", "0.9", name="softmax")
    wrong = run("test-many", "--source", "digits.testing", "--threshold", "90", name="softmax")
    assert wrong.exit_code == 2 and "a probability from 0 to 1" in wrong.stderr


@pytest.mark.parametrize(
    ("protocol", "keys", "words"),
    [
        ("verification", {"auc", "eer", "accuracy", "threshold", "roc"}, "of one class"),
        ("retrieval", {"recall", "r_precision", "map_at_r"}, "recall@10"),
        ("nway", {"accuracy", "interval_95", "groups"}, "400 of 5 ways, 1 shot, 5 queries a class, seed 3"),
    ],
)
def test_evaluate_prints_and_writes_its_result(trained: Path, protocol: str, keys: set[str], words: str) -> None:
    arguments = ("--source", "digits.testing", "--labels", "3-9", "--seed", "3", "--json", "found.json")
    result = good("evaluate", "--protocol", protocol, *arguments)
    assert words in result.stdout and '"feat", 24 numbers an image' in result.stdout
    found = json.loads((trained / "found.json").read_text())
    assert keys < found.keys() and found["classes"] == 7 and found["seed"] == 3
    assert good("evaluate", "--protocol", protocol, *arguments).stdout == result.stdout
    if protocol == "verification":
        curve = found["roc"]
        assert len(curve["threshold"]) == 400 and curve["true_accepts"][-1] == curve["false_accepts"][-1] == 1
        area = np.trapezoid([0, *curve["true_accepts"]], [0, *curve["false_accepts"]])
        assert area == pytest.approx(found["auc"], abs=0.005)


def test_groups_of_a_source_are_kept_apart(trained: Path) -> None:
    source = open_source(None, "digits.testing")
    rows = np.concatenate([np.flatnonzero(source.labels == k)[:8] for k in range(6)])
    with ImageDatabase() as images, images.write() as writer:
        writer.add("drawn", [source.images[rows]], source.labels[rows], groups=np.tile(np.arange(8), 6))
    few = ("--protocol", "nway", "--episodes", "5")
    assert "kept apart (stored, 8 of them)" in good("evaluate", *few, "--source", "drawn").stdout
    assert "not kept apart" in good("evaluate", *few, "--source", "drawn", "--groups", "none").stdout
    assert "(position, 8 of them)" in good("evaluate", *few, "--source", "drawn", "--groups", "position").stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("predict none.png", "none.png: the picture cannot be read: there is no such file"),
        ("predict small.prototxt", "small.prototxt: the picture cannot be read: it is none of"),
        ("predict 3.png --layer nothing", 'no layer or blob "nothing"'),
        ("predict 3.png --threshold auto", "Run netforge calibrate first"),
        ("predict 3.png --threshold near", 'neither "auto" nor a distance'),
        ("predict 3.png --centroids digits.none", 'no source "digits.none"'),
        ("test-many --source digits.none", 'no source "digits.none"'),
        ("test-many --source digits.testing --labels 11-12", "no image has one of the labels"),
        ("test-many --source digits.testing --labels x", "no label and no range"),
        ("test-many --source digits.testing --csv none/all.csv", "none/all.csv"),
        ("calibrate --source digits.testing --unknown-labels 3", 'class "3" is known to the net'),
        ("calibrate --source digits.testing --unknown-source digits.training", 'class "0" is known to the net'),
        ("calibrate --source digits.testing --labels 3", "all images are of one class"),
        ("test-many --source ,", "no source is named. Name one that"),
        ("calibrate --source digits.testing --count 20", "1,000 blends are asked for, and its images make 1"),
        ("calibrate --source digits.testing --unknown-labels 0-9", "all labels of the source are said to be unknown"),
        ("calibrate --source digits.testing --unknown-labels 1 --unknown-source x", "not both"),
        ("calibrate --source digits.testing --false-accept-rate 2", "2.0 is not in the range"),
        ("calibrate --source digits.testing --false-accept-rate nan", "nan is no finite number"),
        ("calibrate --source digits.testing --false-accept-rate 1e-9", "10,000,000,000 blends would be needed"),
        ("evaluate --protocol verification --source digits.testing --threshold inf", "inf is no finite number"),
        (
            "evaluate --protocol retrieval --source digits.testing --layer none",
            "small.prototxt:1:1: phase RUN has no",
        ),
        ("enroll --name 3 8.png", 'class "3" is known from training'),
        ("predict 8.png --allow-tf32 --device cpu", "TF32 cannot be had"),
        ("enroll --name new", "Give the images"),
        ("enroll --name new --remove", 'no class "new" is enrolled'),
        ("enroll --name new --remove 8.png", "takes no images"),
        ("evaluate --protocol nway --ways 11 --source digits.testing", "of 10 classes 10 have"),
        ("evaluate --protocol nway --groups stored --source digits.testing", "no groups are stored"),
        ("evaluate --protocol verification --labels 3 --source digits.testing", "all images are of one class"),
        ("evaluate --protocol retrieval --count 1 --source digits.testing", "no two images are of one class"),
    ],
)
def test_what_cannot_be_done_is_explained(trained: Path, command: str, words: str) -> None:
    name, *arguments = command.split()
    result = run(name, *arguments)
    assert result.exit_code in (1, 2), result.output
    assert words in result.stderr and "Traceback" not in result.output
    assert not (trained / "small.caffemodel.recognition.json").exists()


def test_weights_of_another_net_and_broken_weights_are_refused(trained: Path) -> None:
    make_net(trained, SOFTMAX, name="other")
    (trained / "other.caffemodel").write_bytes((trained / "small.caffemodel").read_bytes())
    assert 'no weights for layer "score"' in run("predict", "3.png", name="other").stderr
    with Net("small.prototxt", "TRAIN", weights="small.caffemodel") as net:
        net.params["feat"][0].data[0] = np.nan
        net.save("small.caffemodel")
    assert "holds NaN or infinity" in run("predict", "3.png").stderr


def test_a_source_of_another_shape_is_refused(trained: Path) -> None:
    with ImageDatabase() as images, images.write() as writer:
        writer.add("large", [np.zeros((4, 1, 9, 9), np.uint8)], np.array([0, 0, 1, 1]))
    assert "large: its images have shape (1, 9, 9)" in run("test-many", "--source", "large").stderr
