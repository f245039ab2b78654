"""What notebooks show of nets, solvers and runs: complete, escaped, small."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

import netforge
from netforge.net import Net
from netforge.schema import parse_net
from netforge.solver import Solver
from tests.inspect.logs import END, START, a_test, display, write_log

NET = """
name: "<script>alert(1)</script>"
layer {
  name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "mine" backend: IMAGEDB batch_size: 4 }
}
layer { name: "ip&1" type: "InnerProduct" bottom: "data" top: "a<b" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "a<b" bottom: "label" top: "loss" }
"""
SOURCES = {"mine": (np.zeros((8, 3, 3), np.uint8), np.arange(8) % 2)}


class Checked(HTMLParser):
    """Text and names of elements; fails where one is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_a_net_is_a_table_and_a_diagram() -> None:
    with Net(parse_net(NET), "TRAIN", sources=SOURCES) as net:
        html = net._repr_html_()
    shown = Checked(html)
    assert {"table", "svg", "details"} <= shown.tags and "script" not in shown.tags
    for text in ("<script>alert(1)</script>", "ip&1", "a<b", "InnerProduct", "phase TRAIN", "3 layers"):
        assert text in shown.text
    assert len(html) < 20_000


def test_a_solver_shows_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    file = tmp_path / "solver.prototxt"
    file.write_text('net: "net.prototxt" base_lr: 0.25 lr_policy: "fixed" max_iter: 2000 average_loss: 3')
    solver = Solver(file, sources=SOURCES, random_seed=7)
    before = Checked(solver._repr_html_()).text
    assert "0 of 2,000" in before and "newest" not in before
    solver.step(2)
    shown = Checked(solver._repr_html_()).text
    for text in ("2 of 2,000", "newest losses", f"{solver.losses[-1]:.4g}", "0.25", "fixed", "ip&1"):
        assert text in shown
    solver.close()
    assert repr(solver).startswith("Solver(")


def test_a_run_shows_scores_and_curves(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    scored = {**a_test(10, 0.8125), "outputs": {name: 0.8125, "loss": 0.5}}
    records = [{**START, "source": name}, display(0, 2.5), display(10, 0.0625), scored, END]
    write_log(tmp_path / "net.20260101-000000.log.jsonl", *records)
    run = netforge.load_run(tmp_path / "net")
    assert isinstance(run, netforge.Run)
    assert repr(run) == "Run('net.20260101-000000', iterations 0 to 10, finished)"
    html = run._repr_html_()
    shown = Checked(html)
    assert {"table", "svg", "path", "details"} <= shown.tags and "script" not in shown.tags
    for text in (name, "0.8125", "0.0625", "training", "finished", "0 to 10", "net.20260101-000000", "--seed=7"):
        assert text in shown.text
    assert "var(--" not in html and "data-chart" not in html  # nothing that needs a page's style or script
    assert len(html) < 20_000


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    shown = Checked(netforge.load_run(write_log(tmp_path / "a.log.jsonl", START))._repr_html_())
    assert "svg" not in shown.tags and "its log has no end" in shown.text
