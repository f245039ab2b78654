"""The commands that look at nets: test, check, summary, time, layers, device-query."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netforge.layers
from netforge.cli import cli
from netforge.cli.examples import USUAL_SETTINGS, example
from netforge.layers import LAYERS
from netforge.schema import parse_net
from tests.cli.broken import NET

BUILT_IN = [name for name in LAYERS if LAYERS[name].__module__.startswith("netforge.")]


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def weights(folder: Path) -> str:
    run("train", "--solver", "solver.prototxt", "--quiet")
    return "run_iter_4.caffemodel"


def test_test_prints_batches_and_means(weights: str) -> None:
    lines = run("test", "-model", "net.prototxt", "-weights", weights, "-iterations", "2").stdout.splitlines()
    assert re.fullmatch(r"Batch 1, accuracy = [\d.]+", lines[2])
    assert lines[4].startswith("Loss: ")
    assert re.fullmatch(r"accuracy = [\d.]+", lines[5])
    assert re.fullmatch(r"loss = [\d.]+ \(\* 1 = [\d.]+ loss\)", lines[6])


def test_test_takes_a_solver_for_its_net(weights: str) -> None:
    run("test", "--model", "solver.prototxt", "--weights", weights, "--iterations", "1")


def test_test_says_which_layers_got_no_weights(weights: str) -> None:
    Path("net.prototxt").write_text(NET.replace('name: "score"', 'name: "fresh"'), encoding="utf-8")
    text = run("test", "--model", "net.prototxt", "--weights", weights, "--iterations", "1").stdout
    assert re.search(r"  fresh +missing", text)


def test_check_has_a_line_for_each_phase(folder: Path) -> None:
    lines = run("check", "net.prototxt").stdout.splitlines()
    assert lines[0] == "ok  net.prototxt"
    assert re.match(r" +TRAIN +4 layers, 466 weights, .* -> loss \(scalar\)", lines[1])
    assert re.match(r" +TEST +5 layers, 466 weights, .* -> accuracy \(scalar\), loss \(scalar\)", lines[2])
    assert re.match(r" +RUN +not made: ", lines[3])


def test_quiet_leaves_the_result(folder: Path) -> None:
    assert run("check", "net.prototxt", "--quiet").stdout == "ok  net.prototxt\n"
    sums = run("summary", "net.prototxt", "--quiet").stdout.splitlines()
    assert [line.split()[0] for line in sums] == ["weights", "activations", "multiply-adds"]
    means = run("time", "net.prototxt", "--quiet", "--iterations=1").stdout.splitlines()
    assert [line.split(":")[0] for line in means] == [
        *("Average Forward pass", "Average Backward pass", "Average Forward-Backward", "Total Time")
    ]


@pytest.mark.parametrize("command", ["summary", "time"])
def test_a_net_is_named_once(command: str, folder: Path) -> None:
    measured = ["--iterations=1", "--quiet"] if command == "time" else ["--quiet"]
    assert len(run(command, "--model", "net.prototxt", *measured).stdout.splitlines()) >= 3
    both = run(command, "net.prototxt", "--model", "net.prototxt", status=2)
    assert "NET and --model are the same" in both.stderr
    assert f"netforge {command} models/lenet_mnist/train_val.prototxt" in run(command, status=2).stderr


def test_check_joins_phases_that_are_alike(folder: Path) -> None:
    Path("deploy.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }\n'
        'layer { name: "act" type: "ReLU" bottom: "x" top: "y" }\n',
        encoding="utf-8",
    )
    lines = run("check", "deploy.prototxt").stdout.splitlines()
    assert lines[1].strip() == "TRAIN, TEST, RUN  2 layers, 0 weights, 32 B, 0 multiply-adds -> y (1x4)"


def test_check_says_so_where_a_phase_has_no_data(folder: Path) -> None:
    Path("net.prototxt").write_text(
        NET.replace('name: "data"', 'name: "data"\n  include { phase: TRAIN }', 1), encoding="utf-8"
    )
    assert re.search(r"TEST +nothing feeds the net in this phase", run("check", "net.prototxt").stdout)


def test_check_reports_every_file_before_it_fails(folder: Path) -> None:
    Path("bad.prototxt").write_text(NET.replace("kernel_size: 3", "kernel_size: 9"), encoding="utf-8")
    result = run("check", "bad.prototxt", "missing.prototxt", "net.prototxt", "solver.prototxt", status=1)
    assert result.stderr.count("error: ") == 2
    assert re.findall(r"^ok  (.*)$", result.stdout, re.M) == ["net.prototxt", "solver.prototxt"]


@pytest.mark.parametrize("command", ["check", "summary"])
def test_looking_at_a_net_reads_no_data(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("data would be read")

    monkeypatch.setattr("netforge.data.batches.reader.Prefetcher", refuse)
    Path("net.prototxt").write_text(
        'layer { name: "data" type: "Data" top: "data" top: "label"\n'
        '  data_param { source: "digits.training" backend: IMAGEDB batch_size: 4 } }\n',
        encoding="utf-8",
    )
    assert "4x1x8x8" in run(command, "net.prototxt").stdout


def test_check_misses_no_max_iter(folder: Path) -> None:
    lines = Path("solver.prototxt").read_text(encoding="utf-8").splitlines()
    Path("solver.prototxt").write_text("\n".join(line for line in lines if "max_iter" not in line), encoding="utf-8")
    assert "max_iter is not set" in run("check", "solver.prototxt", status=1).stderr


def test_a_net_without_a_loss_is_told(folder: Path) -> None:
    assert "nothing is learned" not in run("check", "solver.prototxt").stdout
    silent = NET.replace('"SoftmaxWithLoss"', '"SoftmaxWithLoss" loss_weight: 0')
    Path("net.prototxt").write_text(silent, encoding="utf-8")
    words = "no layer of the training net is a loss, so nothing is learned"
    assert words in run("check", "solver.prototxt").stdout
    assert f"note: {words}" in run("train", "--solver", "solver.prototxt", "--no-report").stderr


def test_check_finds_what_is_wrong_with_a_solver_without_training(folder: Path) -> None:
    solver = Path("solver.prototxt")
    solver.write_text(solver.read_text(encoding="utf-8").replace('"step"', '"stpe"'), encoding="utf-8")
    assert "solver.prototxt:5:1" in run("check", "solver.prototxt", status=1).stderr


def test_summary_counts_shared_weights_once(folder: Path) -> None:
    twin = (
        'layer { name: "twin" type: "InnerProduct" bottom: "conv" top: "twin" param { name: "w" } param { name: "b" }'
    )
    twin += " inner_product_param { num_output: 4 } }\n"
    Path("net.prototxt").write_text(NET + twin + twin.replace('"twin"', '"other"'), encoding="utf-8")
    text = run("summary", "net.prototxt").stdout
    assert re.search(r"^conv +Convolution +conv 4x3x6x6 +3x1x3x3, 3 +30 ", text, re.M)
    assert re.search(r"^other +InnerProduct +other 4x4 +those of twin +64 B", text, re.M)
    assert re.search(r"^weights +902 \(3.5 KiB\)$", text, re.M)


def test_summary_takes_no_memory_for_arrays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netforge.device.cpu import CpuDevice

    def refuse(*_: object) -> None:
        raise AssertionError("an array was made")

    monkeypatch.setattr(CpuDevice, "zeros", refuse)
    run("summary", "net.prototxt")


def test_time_names_each_layer_and_the_averages(folder: Path) -> None:
    text = run("time", "--model=net.prototxt", "--iterations=2", "--phase", "TEST").stdout
    assert re.search(r"^ +conv\tforward: [\d.e-]+ ms\.$", text, re.M)
    assert re.search(r"^ +conv\tbackward: [\d.e-]+ ms\.$", text, re.M)
    for words in ("Forward pass", "Backward pass", "Forward-Backward"):
        assert re.search(rf"^Average {words}: [\d.e-]+ ms\.$", text, re.M)
    assert re.search(r"^Total Time: [\d.e-]+ ms\.$", text, re.M)


@pytest.mark.parametrize("command", ["summary", "time"])
def test_a_net_must_be_named(command: str) -> None:
    assert "netforge " + command in run(command, status=2).stderr


def test_layers_lists_every_type_in_one_line() -> None:
    lines = run("layers").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(LAYERS)


def test_layers_explains_a_type_whatever_its_spelling() -> None:
    text = run("layers", "contrastive_loss").stdout
    assert text.startswith("## ContrastiveLoss\n")
    assert "| `margin` | float | `1` | `(0, inf)` |" in text
    assert "Bottoms, 3 to 4:" in text


def test_layers_markdown_holds_every_type() -> None:
    text = run("layers", "--markdown").stdout
    assert sorted(re.findall(r"^### ([A-Z]\w*)$", text, re.M)) == sorted(LAYERS)


@pytest.mark.parametrize("name", BUILT_IN)
def test_examples_read_back(name: str) -> None:
    cls = LAYERS[name]
    (layer,) = parse_net(example(cls)).layers
    assert layer.type == name
    assert cls.bottoms.admits(len(layer.message.bottom))
    assert cls.tops.admits(len(layer.message.top))


def test_every_usual_setting_belongs_to_a_type() -> None:
    assert set(USUAL_SETTINGS) <= set(BUILT_IN)
    assert netforge.layers


def test_layers_of_a_plugin_are_listed_with_their_origin(folder: Path) -> None:
    Path("my_layers.py").write_text(
        "from netforge.layers import Layer, register_layer\n"
        '@register_layer("Doubled")\n'
        "class Doubled(Layer):\n"
        '    """y = 2 x.\n\n    layer {\n      name: "d"\n      type: "Doubled"\n    }\n    """\n',
        encoding="utf-8",
    )
    try:
        text = run("layers", "--plugin", "my_layers").stdout
        assert re.search(r"^Doubled +y = 2 x\. +my_layers$", text, re.M)
        page = run("layers", "Doubled").stdout
        assert 'layer {\n  name: "d"\n  type: "Doubled"\n}\n' in page
        assert "comes from my_layers" in page
    finally:
        LAYERS.remove("Doubled")


def test_device_query_says_what_computes_and_about_the_gpu() -> None:
    text = run("device-query").stdout
    assert text.startswith("cpu: NumPy")
    assert "\ncuda" in text


def test_a_pipe_is_read_once(folder: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, NET.encode())
    os.close(writing)
    try:
        assert "TRAIN" in run("check", f"/dev/fd/{reading}").output
    finally:
        os.close(reading)
