"""Training trajectories of the original Caffe: weights after each iteration, losses, rates, histories."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netforge.solver import Solver, checkpoint
from tests.golden.helpers import assert_close, feed, set_weights

CASES = [
    "adadelta",
    "adagrad",
    "adam",
    "nesterov",
    "rmsprop",
    "sgd_clip",
    "sgd_exp",
    "sgd_inv",
    "sgd_iter_size3",
    "sgd_lr_decay_mult",
    "sgd_momentum_l2",
    "sgd_multistep",
    "sgd_plain_l1",
    "sgd_poly",
    "sgd_sigmoid",
    "sgd_step",
]


def test_every_case_is_listed(golden: Path) -> None:
    assert sorted(folder.name for folder in (golden / "solver").iterdir()) == CASES


@pytest.mark.parametrize("name", CASES)
def test_trajectory(name: str, golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = golden / "solver" / name
    monkeypatch.chdir(folder)
    case = json.loads((folder / "case.json").read_text())
    expected = np.load(folder / "expected.npz")
    tolerance = (case["rtol"], case["atol"])
    solver = Solver("solver.prototxt")
    set_weights(solver.net, np.load("weights.npz"))
    losses = feed(solver.net, np.load("inputs.npz"))
    for k in range(1, case["iters"] + 1):
        assert_close(solver.rate, expected["lr"][k - 1], tolerance, f"rate of iteration {k}")
        solver.step()
        assert_close(solver.losses[-1], expected["loss"][k - 1], tolerance, f"loss of iteration {k}")
        for layer, blobs in solver.net.params.items():
            for index, blob in enumerate(blobs):
                key = f"iter/{k}/param/{layer}/{index}"
                assert_close(blob.data, expected[key], tolerance, key)
    assert_close(losses, expected["loss_sub"].ravel(), tolerance, "loss of each pass")
    state = checkpoint.capture(solver, "")
    assert state.current_step == expected["current_step"]
    assert len(state.history) == sum(key.startswith("history/") for key in expected.files)
    for index, array in enumerate(state.history):
        assert_close(array, expected[f"history/{index}"], tolerance, f"history/{index}")
