"""The images behind what a Debug layer stored: the right ones, over a resume too, or none and the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netforge.inspect.embeddings import Embeddings, stored_embeddings
from netforge.inspect.report_model import Model
from netforge.inspect.runs import run_behind
from netforge.snapshot.weights import stored_layers
from netforge.solver import Solver
from netforge.solver.runlog import RunLog

NET = """
layer {
  name: "images" type: "Data" top: "x" top: "label" include { phase: TRAIN } transform_param { scale: 0.00390625 }
  data_param { source: "digits.training" backend: IMAGEDB DATA }
}
layer {
  name: "images" type: "Data" top: "x" top: "label" include { phase: TEST } transform_param { scale: 0.00390625 }
  data_param { source: "digits.testing" backend: IMAGEDB DATA }
}
REST
layer { name: "feat" type: "InnerProduct" bottom: "item" top: "feat" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "debug" type: "Debug" bottom: "feat" bottom: "label" top: "feat" include { phase: PHASE }
  debug_param { max_stored_items: 50 DEBUG } }
layer { name: "loss" type: "Reduction" bottom: "feat" top: "loss" loss_weight: 1 }
"""
SINGLES = 'layer { name: "item" type: "Power" bottom: "x" top: "item" }'
PAIRS = 'layer { name: "slice" type: "Slice" bottom: "x" top: "item" top: "other" }'
SOLVER = """
net: "net.prototxt" base_lr: 0 lr_policy: "fixed" random_seed: 3 snapshot_prefix: "out/run" snapshot: 4 solver_mode: CPU
test_iter: 3 test_interval: 2
"""


def train(
    iterations: int, data: str, rest: str = SINGLES, debug: str = "", phase: str = "TRAIN", **options: str
) -> None:
    """Train a net whose weights never change, in the current folder; its snapshots are out/run_iter_4, _8 ..."""
    text = NET.replace("PHASE", phase).replace("REST", rest).replace("DEBUG", debug)
    Path("net.prototxt").write_text(text.replace("DATA", data))
    Path("solver.prototxt").write_text(SOLVER)
    solver = Solver("solver.prototxt", max_iter=iterations, listeners=[RunLog()], **options)
    try:
        solver.solve()
    finally:
        solver.close()


def stored(iteration: int) -> Embeddings:
    state = Path(f"out/run_iter_{iteration}.solverstate")
    with Model(run_behind(state)) as model:
        return stored_embeddings(state, most=40, net_of=model.net_of)


def assert_images_are_right(iteration: int, count: int = 40) -> None:
    """The images that are found have the stored labels, and the net makes the stored embeddings of them."""
    found = stored(iteration)
    assert found.images is not None and found.unknown == ""
    pixels, labels = found.images.read(found.numbers)
    np.testing.assert_array_equal(labels, found.labels)
    layers = {layer.name: layer for layer in stored_layers(Path(f"out/run_iter_{iteration}.caffemodel"))}
    matrix, bias = (layers["feat"].blobs[index].read() for index in (0, 1))
    expected = pixels.reshape(len(pixels), -1) / 256 @ matrix.T + bias
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert len(found.vectors) == count


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        "batch_size: 16",
        "batch_size: 16 enable_random_selection: false",
        "batch_classes: 5 batch_images: 3",
        "batch_size: 16 quarter_turns: true",
    ],
)
def test_single_images(data: str) -> None:
    train(4, data)
    assert_images_are_right(4)


def test_pairs_show_the_image_whose_label_was_stored() -> None:
    pairs = "batch_size: 6 images_per_blob: 2 output_all_labels: true"
    train(4, pairs, PAIRS)
    assert_images_are_right(4, 24)
    train(4, pairs, PAIRS.replace('top: "item" top: "other"', 'top: "other" top: "item"'), "item_index: 1")
    assert_images_are_right(4, 24)


def test_a_resumed_run_has_its_images_and_so_has_the_state_of_a_test_net() -> None:
    train(4, "batch_size: 9")
    train(8, "batch_size: 9", restore="out/run_iter_4.solverstate")
    assert_images_are_right(8)
    train(8, "batch_size: 9", phase="TEST")
    assert_images_are_right(8)


def test_no_images_are_shown_that_may_be_wrong() -> None:
    train(4, "batch_size: 9")
    Path("out/run_iter_4.solverstate").rename("first.solverstate")
    train(4, "batch_size: 10")
    with Model(run_behind(Path("out/run_iter_4.solverstate"))) as model:
        found = stored_embeddings("first.solverstate", net_of=model.net_of)
    assert found.images is None and '"images"' in found.unknown
    assert found.rows() == [("images", f"not shown: {found.unknown}")]
    np.testing.assert_array_equal(found.numbers, np.arange(36))


def test_nets_that_cannot_be_built_again_have_no_images() -> None:
    train(4, "batch_size: 9")
    log = next(Path("out").glob("*.jsonl"))
    log.write_text(log.read_text().replace("digits.training", "digits.gone"))
    found = stored(4)
    assert found.images is None and "digits.gone" in found.unknown and len(found.vectors) == 36
