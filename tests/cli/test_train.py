"""`netforge train` from the outside: the log, resuming, fine-tuning, overrides."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from tests.cli.broken import NET


def train(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["train", "--solver", "solver.prototxt", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_log_reads_like_caffes(folder: Path) -> None:
    lines = train().stdout.splitlines()
    assert "Iteration 0, Testing net (#0)" in lines
    assert any(
        re.fullmatch(r"Iteration 2 \([\d.e+-]+ iter/s, [\d.e+-]+s/\d+ iters\), loss = [\d.e+-]+", x) for x in lines
    )
    assert any(
        re.fullmatch(r"    Train net output #0: loss = [\d.e+-]+ \(\* 1 = [\d.e+-]+ loss\)", line) for line in lines
    )
    assert "Iteration 2, lr = 0.005" in lines
    assert any(re.fullmatch(r"    Test net output #0: accuracy = [\d.e+-]+", line) for line in lines)
    assert "Optimization Done." in lines


def test_the_end_says_what_is_where_and_how_to_train_on(folder: Path) -> None:
    facts = dict(line.split(": ", 1) for line in train().stdout.splitlines() if re.match(r"[a-z ]+: ", line))
    assert re.match(r"[\d.]+ \(1 test batch at iteration 4\)", facts["accuracy"])
    for kind in ("weights", "state", "log"):
        assert Path(facts[kind]).is_file()
    assert facts["seed"] == "1"
    assert facts["train on"] == (
        "netforge train --solver solver.prototxt --snapshot run_iter_4.solverstate --set=max_iter=8"
    )
    events = [json.loads(line)["event"] for line in Path(facts["log"]).read_text(encoding="utf-8").splitlines()]
    assert events[0] == "start" and events[-1] == "end" and "test" in events


def test_the_line_to_go_on_keeps_the_options(folder: Path) -> None:
    text = train("--set", "base_lr=0.1", "--set", "max_iter=2", "--device", "cpu", "--stage", "a,b").stdout
    assert text.splitlines()[-1].endswith("--set=base_lr=0.1 --stage=a,b --device=cpu --set=max_iter=4")


def test_resuming_is_the_same_as_never_stopping(folder: Path) -> None:
    train("--set", "snapshot_prefix=whole")
    train("--set", "snapshot_prefix=half", "--set", "max_iter=2")
    result = train("--set", "snapshot_prefix=half", "--snapshot", "half_iter_2.solverstate")
    assert "goes on: at iteration 2 of half_iter_2.solverstate" in result.stdout
    assert Path("whole_iter_4.caffemodel").read_bytes() == Path("half_iter_4.caffemodel").read_bytes()


def test_fine_tuning_says_what_was_loaded_skipped_and_is_missing(folder: Path) -> None:
    train()
    Path("net.prototxt").write_text(NET.replace('name: "score"', 'name: "fresh"'), encoding="utf-8")
    text = train("--weights=run_iter_4.caffemodel").stdout
    assert "Weights from run_iter_4.caffemodel: 1 loaded, 1 skipped, 1 missing" in text
    assert re.search(r"  score +skipped .*not in the net", text)
    assert re.search(r"  fresh +missing .*keeps its filler's values", text)


def test_overrides_take_values_as_in_a_prototxt(folder: Path) -> None:
    text = train("--set", "max_iter=6", "--set", "lr_policy=multistep", "--set", "stepvalue=2,4", "--seed", "9").stdout
    assert "Iteration 4, lr = 0.0025" in text
    assert "seed: 9" in text
    assert "run_iter_6.caffemodel" in text


def test_an_override_needs_an_equals_sign(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["train", "--solver", "solver.prototxt", "--set", "max_iter"])
    assert result.exit_code == 2
    assert "FIELD=VALUE" in result.stderr


def test_level_and_stage_choose_layers_of_the_train_net(folder: Path) -> None:
    extra = 'layer { name: "more" type: "ReLU" bottom: "score" top: "more" include { stage: "wide" min_level: 2 } }\n'
    Path("net.prototxt").write_text(NET + extra, encoding="utf-8")
    assert "net: small, 4 layers" in train("--stage", "wide").stdout
    assert "net: small, 5 layers" in train("--stage", "wide,other", "--level", "2").stdout


def test_quiet_prints_the_result_only(folder: Path) -> None:
    text = train("--quiet").stdout
    assert "Iteration" not in text
    assert "weights: run_iter_4.caffemodel" in text


def test_notes_of_the_reader_are_printed_once(folder: Path) -> None:
    Path("net.prototxt").write_text(NET.replace('top: "conv"', 'top: "conv"\n  group_start: True', 1), encoding="utf-8")
    notes = [line for line in train().stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1 and "group_start" in notes[0]
    assert train("--quiet").stderr == ""


def test_large_outputs_are_not_printed(folder: Path) -> None:
    Path("net.prototxt").write_text(
        NET + 'layer { name: "wide" type: "ReLU" bottom: "conv" top: "wide" }\n', encoding="utf-8"
    )
    assert "wide =" not in train().stdout


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
def test_a_state_resumes_whatever_its_format(folder: Path, kind: str) -> None:
    tail = ".h5" if kind == "HDF5" else ""
    train("--set", f"snapshot_format={kind}", "--set", "max_iter=2")
    assert "goes on: at iteration 2" in train("--snapshot", f"run_iter_2.solverstate{tail}").stdout


def test_weights_have_their_own_flag(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["train", "--solver", "solver.prototxt", "--set", "weights=some.caffemodel"])
    assert result.exit_code == 2
    assert "--weights FILE" in result.output
