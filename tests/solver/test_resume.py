"""A run that is stopped and gone on with gives what an uninterrupted one gives, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.errors import SnapshotError
from netforge.snapshot import load_state, save_state
from netforge.solver import Listener, Solver, checkpoint
from tests.solver.helpers import NET, SOLVER, Recorder, weights, write_solver

RULES = {
    "SGD": {},
    "Nesterov": {},
    "Adam": {"momentum2": 0.99},
    "AdaDelta": {"delta": 1e-4, "base_lr": 1.0},
    "RMSProp": {"momentum": 0.0},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Draws(Listener):
    """Keeps a copy of every batch that an update was made from."""

    def __init__(self, *blobs: str) -> None:
        self.blobs = blobs
        self.seen: list[bytes] = []

    def on_iteration(self, solver: Solver) -> None:
        self.seen.append(b"".join(solver.net.blobs[name].data.tobytes() for name in self.blobs))


def history(solver: Solver) -> bytes:
    return b"".join(array.tobytes() for array in checkpoint.histories(solver))


@pytest.mark.parametrize("file_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("rule", RULES)
def test_20_iterations_are_12_and_8(rule: str, file_format: str) -> None:
    """With Dropout, iter_size, tests and an averaged loss on both sides of the cut."""
    path = write_solver(Path("here"))
    options: dict[str, Any] = {
        "type": rule,
        "iter_size": 2,
        "display": 1,
        "snapshot_format": file_format,
        "clip_gradients": 5.0,
        **RULES[rule],
    }
    draws, heard = [Draws("data", "target") for _ in range(3)], [Recorder() for _ in range(3)]
    whole = Solver(path, listeners=[draws[0], heard[0]], **options)
    whole.solve()
    first = Solver(path, listeners=[draws[1], heard[1]], **options)
    first.step(12)
    state = first.snapshot().state
    assert state is not None
    second = Solver(path, restore=state, listeners=[draws[2], heard[2]], **options)
    assert second.iteration == 12
    assert history(second) == history(first)
    second.solve()
    assert weights(second) == weights(whole)
    assert history(second) == history(whole)
    assert draws[1].seen + draws[2].seen == draws[0].seen
    assert len(set(draws[0].seen)) == 20
    losses = [[(d.iteration, d.loss, d.rate) for d in h.displays] for h in heard]
    assert losses[1] + losses[2] == losses[0]
    tests = [[(t.iteration, t.as_dict()) for t in h.tests] for h in heard]
    assert tests[1] + tests[2] == tests[0]


def test_pairs_of_real_digits_are_drawn_on() -> None:
    """A Data layer with balanced pairs and a Decode layer: the same pairs, the same centroids."""
    siamese = """
    layer { name: "digits" type: "Data" top: "pair" top: "label" include { phase: TRAIN }
      data_param { source: "digits.training" backend: IMAGEDB batch_size: 8 images_per_blob: 2 balance_matches: true
        output_all_labels: true } transform_param { scale: 0.00390625 } }
    layer { name: "digits" type: "Data" top: "pair" top: "label" include { phase: TEST }
      data_param { source: "digits.testing" backend: IMAGEDB batch_size: 8 images_per_blob: 2 balance_matches: true
        output_all_labels: true } transform_param { scale: 0.00390625 } }
    layer { name: "cut" type: "Slice" bottom: "pair" top: "a" top: "b" slice_param { axis: 1 slice_point: 1 } }
    layer { name: "ip_a" type: "InnerProduct" bottom: "a" top: "fa" param { name: "w" } param { name: "c" }
      inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
    layer { name: "ip_b" type: "InnerProduct" bottom: "b" top: "fb" param { name: "w" } param { name: "c" }
      inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
    layer { name: "decode" type: "Decode" bottom: "fa" bottom: "label" top: "distance" decode_param { cache_size: 2 } }
    layer { name: "quiet" type: "Silence" bottom: "distance" include { phase: TRAIN } }
    layer { name: "right" type: "AccuracyDecode" bottom: "distance" bottom: "label" top: "accuracy"
      include { phase: TEST } }
    layer { name: "loss" type: "ContrastiveLoss" bottom: "fa" bottom: "fb" bottom: "label" top: "loss"
      contrastive_loss_param { margin: 1 } }
    """
    path = write_solver(Path("here"), SOLVER, siamese)
    draws, heard = [Draws("pair", "label") for _ in range(3)], [Recorder() for _ in range(3)]
    whole = Solver(path, listeners=[draws[0], heard[0]])
    whole.solve()
    first = Solver(path, listeners=[draws[1], heard[1]])
    first.step(12)
    first.snapshot()
    second = Solver(path, restore="out/run_iter_12.solverstate", listeners=[draws[2], heard[2]])
    second.solve()
    assert weights(second) == weights(whole)  # Decode's centroids among them
    assert draws[1].seen + draws[2].seen == draws[0].seen
    tests = [[t.as_dict() for t in h.tests] for h in heard]
    assert tests[1] + tests[2] == tests[0]
    for solver in (whole, first, second):
        solver.close()


def test_a_drawn_seed_is_taken_from_the_state() -> None:
    path = write_solver(Path("here"))
    whole = Solver(path, random_seed=-1)
    whole.step(5)
    whole.snapshot()
    whole.step(5)
    for second in (Solver(path, random_seed=-1, restore="out/run_iter_5.solverstate"), Solver(path, random_seed=-1)):
        if second.iteration == 0:
            stale = second.net
            second.restore("out/run_iter_5.solverstate")
            assert second.net is not stale
        assert second.seed == whole.seed
        second.step(5)
        assert weights(second) == weights(whole)


def test_going_back_in_one_process() -> None:
    solver = Solver(write_solver(Path("here")))
    net = solver.net
    solver.step(4)
    state = solver.snapshot().state
    assert state is not None
    solver.step(6)
    end = weights(solver)
    solver.restore(state)
    assert (solver.iteration, solver.net) == (4, net)
    solver.step(6)
    assert weights(solver) == end


def test_weights_of_test_nets_alone_come_back() -> None:
    own = (
        NET
        + """
    layer { name: "own" type: "InnerProduct" bottom: "ip2" top: "own" include { phase: TEST }
      inner_product_param { num_output: 3 weight_filler { type: "gaussian" } } }"""
    )
    path = write_solver(Path("here"), SOLVER, own)
    first = Solver(path)
    first.test_nets[0].params["own"][0].data[...] = 5
    first.snapshot()
    second = Solver(path, restore="out/run_iter_0.solverstate")
    assert (second.test_nets[0].params["own"][0].data == 5).all()


def test_a_moved_folder_still_resumes() -> None:
    path = write_solver(Path("here"))
    first = Solver(path)
    first.step(3)
    first.snapshot()
    shutil.move("out", "elsewhere")
    assert load_state("elsewhere/run_iter_3.solverstate").learned_net == "out/run_iter_3.caffemodel"
    second = Solver(path, restore="elsewhere/run_iter_3.solverstate")
    assert weights(second) == weights(first)


def test_a_copied_folder_brings_its_own_weights() -> None:
    """The recorded path still exists there, but holds another run by now."""
    path = write_solver(Path("here"))
    first = Solver(path)
    first.step(3)
    first.snapshot()
    shutil.copytree("out", "copy")
    other = Solver(path, random_seed=5)
    other.step(3)
    other.snapshot()
    second = Solver(path, restore="copy/run_iter_3.solverstate")
    assert weights(second) == weights(first) != weights(other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "Adam"}, '4 history arrays, expected 8 (4 weights, 2 for each with type "Adam")'),
        ({"net": "wider.prototxt"}, 'history of weight "ip1[0]" has shape (12, 6), the weight has (13, 6)'),
    ],
)
def test_a_state_of_another_net_or_rule_is_refused(change: dict[str, Any], words: str) -> None:
    path = write_solver(Path("here"))
    Solver(path).snapshot()
    Path("here/wider.prototxt").write_text(NET.replace("num_output: 12", "num_output: 13"), encoding="utf-8")
    with pytest.raises(SnapshotError) as caught:
        Solver(path, restore="out/run_iter_0.solverstate", **change)
    assert words in str(caught.value)


NORMALIZED = NET.replace(
    'layer { name: "relu"',
    """layer { name: "bn" type: "BatchNorm" bottom: "ip1" top: "ip1" }
layer { name: "relu\"""",
)


def test_states_hold_zeros_for_statistics_as_caffes_do() -> None:
    path = write_solver(Path("here"), SOLVER, NORMALIZED)
    whole = Solver(path)
    whole.step(8)
    first = Solver(path)
    first.step(3)
    first.snapshot()
    arrays = load_state("out/run_iter_3.solverstate").history
    assert [array.shape for array in arrays] == [(12, 6), (12,), (12,), (12,), (1,), (2, 12), (2,)]
    assert all((array == 0).all() == (2 <= index < 5) for index, array in enumerate(arrays))
    second = Solver(path, restore="out/run_iter_3.solverstate")
    second.step(5)
    assert weights(second) == weights(whole)


def test_states_without_arrays_for_statistics_are_read() -> None:
    """As MyCaffe writes them."""
    path = write_solver(Path("here"), SOLVER, NORMALIZED)
    first = Solver(path)
    first.step(3)
    first.snapshot()
    state = load_state("out/run_iter_3.solverstate")
    del state.history[2:5]
    save_state(state, "out/run_iter_3.solverstate")
    assert history(Solver(path, restore="out/run_iter_3.solverstate")) == history(first)


def test_a_refused_state_changes_nothing() -> None:
    path = write_solver(Path("here"))
    first = Solver(path)
    first.step(2)
    first.snapshot()
    other = Solver(path, type="Adam")
    before = weights(other)
    with pytest.raises(SnapshotError):
        other.restore("out/run_iter_2.solverstate")
    assert weights(other) == before
    assert other.iteration == 0


def test_editing_stepvalues_before_a_resume() -> None:
    """Where Caffe would go on counting from the state's current_step and use the wrong rate."""
    path = write_solver(Path("here"), SOLVER.replace('"inv"', '"multistep"') + "stepvalue: 2 stepvalue: 4")
    first = Solver(path, gamma=0.5)
    first.step(6)
    first.snapshot()
    assert load_state("out/run_iter_6.solverstate").current_step == 2
    second = Solver(path, gamma=0.5, stepvalue=[100], restore="out/run_iter_6.solverstate")
    assert second.rate == pytest.approx(0.05)


@pytest.mark.parametrize("policy", ["cosine", "one_cycle"])
def test_a_resumed_run_goes_on_with_the_rates_of_its_cycle(policy: str) -> None:
    """Cut in the middle of a warm-up."""
    path = write_solver(Path("here"))
    options: dict[str, Any] = {"lr_policy": policy, "warmup_iter": 9, "warmup_start": 0.1}
    whole = Solver(path, **options)
    whole.step(12)
    first = Solver(path, **options)
    first.step(5)
    second = Solver(path, restore=first.snapshot().state, **options)
    second.step(7)
    assert second.rate == whole.rate
    assert weights(second) == weights(whole)


def test_the_window_of_losses_survives() -> None:
    path = write_solver(Path("here"))
    first = Solver(path)
    first.step(6)
    first.snapshot()
    second = Solver(path, restore="out/run_iter_6.solverstate")
    assert list(second.losses) == list(first.losses)
    assert len(second.losses) == 4
    assert np.float32(second.losses[0]) == second.losses[0]
