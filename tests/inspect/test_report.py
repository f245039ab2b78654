"""The report of a run, and runs side by side: from logs as they are written, whole and cut, with and without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.data import ImageDatabase, import_arrays
from netforge.inspect import report_model
from netforge.inspect.blob_pictures import weight_picture
from netforge.inspect.compare import compare_page, setting_rows, value_rows
from netforge.inspect.page import data_uri
from netforge.inspect.pictures import png_bytes
from netforge.inspect.report import report_page
from netforge.inspect.run import Run
from netforge.inspect.run_text import command_line
from netforge.inspect.runs import read_run
from netforge.net import Net
from netforge.schema import parse_net
from tests.inspect.logs import END, START, a_test, display, queries, write_log
from tests.inspect.test_page import NASTY, Checked

NET = """name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 1 dim: 6 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 3 kernel_size: 3 } }
"""
LOG = [START, display(0, 2.0), a_test(0, 0.1), display(10, 0.02), a_test(10, 0.75), queries(10, 3, 5), END]


def run_of(place: Path, *records: dict[str, Any], **start: Any) -> Run:
    first = {**records[0], "nets": {"n.prototxt": NET}, **start}
    return read_run(write_log(place / "a.20260101-000000.log.jsonl", first, *records[1:]))


def titles(page: str) -> list[str]:
    return [text for tag, text in Checked(page).texts if tag == "h2"]


def test_report_of_a_log_alone(tmp_path: Path) -> None:
    text = report_page(run_of(tmp_path, *LOG))
    assert {"Result", "Loss", "Test scores", "Learning rate", "Diagram", "Layers", "Prototxt"} <= set(titles(text))
    assert "Label queries of digits.training" in titles(text)
    assert "Not shown: " in text and "the run has stored no weights" in text
    assert "netforge train --solver s.prototxt --seed=7" in text
    assert "0.75" in text
    assert len(text) < 300_000


def test_report_of_a_run_that_was_killed(tmp_path: Path) -> None:
    text = report_page(run_of(tmp_path, START), full=False)
    assert "its log has no end" in text
    assert "Confusion matrix" not in titles(text)
    assert "adds what takes forward passes" in text


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    snapshot = {"event": "snapshot", "time": 1, "iteration": 10, "weights": "/gone/w.caffemodel", "state": None}
    text = report_page(run_of(tmp_path, *LOG[:-1], snapshot, END))
    assert "/gone/w.caffemodel is gone" in text
    assert "does not hold the net" in report_page(run_of(tmp_path, *LOG, nets={}))
    assert "Not shown: " in report_page(run_of(tmp_path, *LOG, nets={"n": "layer {"}))


def test_filters_are_shown_in_the_colours_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = NET.replace("dim: 1 dim: 6", "dim: 3 dim: 6")
    with Net(parse_net(text), "TRAIN", seed=1) as net:
        net.forward_pass()
        net.save(tmp_path / "w.caffemodel")
        filters = np.array(net.params["conv"][0].data)
    snapshot = {"event": "snapshot", "time": 1, "iteration": 10, "weights": "w.caffemodel", "state": None}
    run = run_of(tmp_path, *LOG[:-1], snapshot, END, nets={"n.prototxt": text})
    monkeypatch.setattr(report_model, "image_order", lambda definition: "BGR")
    with report_model.Model(run) as model:
        shown = report_model.filters_card(model)
    assert data_uri(png_bytes(weight_picture(filters, "BGR")[0])) in shown


def test_nothing_in_a_log_becomes_markup(tmp_path: Path) -> None:
    nasty = {
        "source": NASTY,
        "solver": NASTY,
        "folder": NASTY,
        "device": NASTY,
        "command": [NASTY],
        "versions": {NASTY: NASTY},
    }
    notice = {"event": "notice", "time": 1, "iteration": 1, "text": NASTY}
    named = {**a_test(10, 0.5), "outputs": {NASTY: 0.5, NASTY + "2": 0.4}, "losses": [NASTY]}
    drawn = {**queries(10, 1, 2), "source": NASTY}
    run = run_of(tmp_path, START, display(0, 1.0), notice, named, drawn, **nasty, nets={NASTY: NASTY})
    for text in (report_page(run), compare_page([run, run])):
        assert "<script>alert" not in text
        Checked(text)


def test_label_queries_name_the_classes_of_a_source_that_is_there(tmp_path: Path) -> None:
    drawn = {**queries(10, 1, 2), "source": "pets"}
    run = run_of(tmp_path, START, drawn)
    assert "a <cat>" not in report_page(run, full=False)
    with ImageDatabase() as database:
        import_arrays(database, "pets", np.zeros((2, 4, 4), np.uint8), [0, 1], class_names=["a <cat>", "a dog"])
    text = report_page(run, full=False)
    assert "a &lt;cat&gt;" in text and "a dog" in text
    Checked(text)


def test_command_line(tmp_path: Path) -> None:
    assert command_line(run_of(tmp_path, START)) == "netforge train --solver s.prototxt --seed=7"
    seeded = run_of(tmp_path, START, command=["netforge", "train", "--solver=a b", "--seed=3"])
    assert command_line(seeded) == "netforge train '--solver=a b' --seed=3"
    resumed = run_of(tmp_path, START, command=[], restored_from="x.solverstate")
    assert command_line(resumed) == "netforge train --solver s.prototxt --snapshot x.solverstate --seed=7"


def test_compare(tmp_path: Path) -> None:
    one = run_of(tmp_path / "1", *LOG)
    more = 'layer { name: "r" type: "ReLU" bottom: "conv" top: "r" }'
    other = run_of(
        tmp_path / "2",
        *LOG[:3],
        solver='base_lr: 0.5\nnet: "n.prototxt"\n',
        nets={"n.prototxt": NET.replace("num_output: 3", "num_output: 4") + more},
    )
    rows = {row[0]: row[1:] for row in value_rows([one, other])}
    assert rows["accuracy"] == ("0.75", "0.1")
    assert rows["highest accuracy"] == ("0.75 at 10", "0.1 at 0")
    assert setting_rows([one, other]) == [
        ("solver base_lr", "0.1", "0.5"),
        ('net layer "conv" convolution_param num_output', "3", "4"),
        ('net layer "r"', "-", "ReLU"),
    ]
    text = compare_page([one, other])
    assert {"Training loss", "Test: accuracy", "Settings that differ"} <= set(titles(text))
    assert str(tmp_path / "1") in text  # both are called the same: folders tell them apart
    assert setting_rows([one, one]) == []


@pytest.mark.parametrize("labels", [10, 500])
def test_label_queries_of_many_labels(tmp_path: Path, labels: int) -> None:
    text = report_page(run_of(tmp_path, START, queries(5, *range(1, labels + 1))), full=False)
    assert f"{labels} labels" in text
    assert ("least often drawn" in text) == (labels > 40)
    assert len(text) < 200_000
