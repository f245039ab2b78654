"""Files written by the original Caffe: weights, solver states, databases; and files written here, beside Caffe's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.net import Net
from netforge.schema import messages
from netforge.snapshot import load_state
from netforge.solver import Solver
from tests.golden.helpers import assert_close, feed, set_weights

TESTED: set[str] = set()


def cases(*names: str) -> Any:
    """Parametrise over cases by name."""
    TESTED.update(names)
    return pytest.mark.parametrize("case", names, indirect=True)


class Case:
    """A case in a folder of its own, which is the current one: its settings and the arrays of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = json.loads((folder / "case.json").read_text())
        self.tolerance = (self.settings["rtol"], self.settings["atol"])

    def arrays(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npz")


@pytest.fixture
def case(request: pytest.FixtureRequest, golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    folder = tmp_path / request.param
    shutil.copytree(golden / "formats" / request.param, folder)
    monkeypatch.chdir(folder)
    return Case(folder)


def assert_weights(net: Net, expected: Any, prefix: str, tolerance: tuple[float, float] = (0, 0)) -> None:
    keys = [key for key in expected.files if key.startswith(prefix)]
    assert keys
    for key in keys:
        layer, index = key.removeprefix(prefix).rsplit("/", 1)
        assert_close(net.params[layer][int(index)].data, expected[key], tolerance, key)


@cases("caffemodel_basic", "caffemodel_v1")
def test_caffemodel(case: Case) -> None:
    expected = case.arrays("expected")
    inputs = dict(case.arrays("inputs").items())
    for name in case.settings["files"]:
        net = Net(case.settings["net"], case.settings["phase"])
        assert net.copy_from(name).complete
        assert_weights(net, expected, "param/")
        outputs = net.forward(**inputs)
        for key in expected.files:
            if key.startswith("blob/"):
                assert_close(outputs[key.split("/")[1]], expected[key], case.tolerance, f"{name} {key}")


@pytest.mark.parametrize("solver_file", ["solver_bin.prototxt", "solver_h5.prototxt"])
@cases("solverstate_adam", "solverstate_sgd")
def test_a_state_of_caffe_goes_on(case: Case, solver_file: str) -> None:
    expected = case.arrays("expected")
    end = ".h5" if "h5" in solver_file else ""
    solver = Solver(solver_file, restore=f"snap_iter_5.solverstate{end}")
    assert solver.iteration == expected["iter"] == 5
    assert solver.load_reports[0].complete
    assert_weights(solver.net, expected, "param/")
    history = load_state(f"snap_iter_5.solverstate{end}").history
    assert len(history) == sum(key.startswith("history/") for key in expected.files)
    for index, array in enumerate(history):
        assert_close(array, expected[f"history/{index}"], (0, 0), f"history/{index}")
    feed(solver.net, case.arrays("inputs"), first=5)
    for k in range(6, case.settings["total_iters"] + 1):
        assert_close(solver.rate, expected["lr"][k - 6], case.tolerance, f"rate of iteration {k}")
        solver.step()
        assert_weights(solver.net, expected, f"after/{k}/param/", case.tolerance)


@pytest.mark.parametrize("solver_file", ["solver_bin.prototxt", "solver_h5.prototxt"])
@cases("solverstate_adam", "solverstate_sgd")
def test_a_state_written_here_is_laid_out_as_caffes(case: Case, solver_file: str) -> None:
    """The same five iterations, then the files side by side: the same fields, names and shapes, equal values."""
    solver = Solver(solver_file, snapshot_prefix="ours")
    set_weights(solver.net, case.arrays("initial_weights"))
    feed(solver.net, case.arrays("inputs"))
    solver.step(5)
    solver.snapshot()
    compare = _compare_hdf5 if "h5" in solver_file else _compare_protobuf
    compare(case)


def _compare_protobuf(case: Case) -> None:
    for name, cls in (("solverstate", messages.SolverState), ("caffemodel", messages.NetParameter)):
        ours, caffes = (
            cls.FromString((case.folder / f"{prefix}_iter_5.{name}").read_bytes()) for prefix in ("ours", "snap")
        )
        if cls is messages.SolverState:
            assert (ours.iter, ours.current_step) == (caffes.iter, caffes.current_step)
            assert ours.learned_net == "ours_iter_5.caffemodel"
            blobs = zip(ours.history, caffes.history, strict=True)
        else:
            assert [(x.name, x.type, list(x.bottom), list(x.top), x.phase) for x in ours.layer] == [
                (x.name, x.type, list(x.bottom), list(x.top), x.phase) for x in caffes.layer
            ]
            blobs = zip(_blobs(ours), _blobs(caffes), strict=True)
        for a, b in blobs:
            assert list(a.shape.dim) == list(b.shape.dim)
            assert_close(a.data, b.data, case.tolerance, name)


def _blobs(net: Any) -> list[Any]:
    return [blob for layer in net.layer for blob in layer.blobs]


def _compare_hdf5(case: Case) -> None:
    import h5py

    for name in ("solverstate", "caffemodel"):
        found = []
        for prefix in ("ours", "snap"):
            items: dict[str, Any] = {}
            with h5py.File(f"{prefix}_iter_5.{name}.h5") as file:
                file.visititems(lambda key, item, items=items: items.update({key: getattr(item, "shape", "group")}))
                values = {key: file[key][()] for key, shape in items.items() if shape != "group" and key != "netforge"}
            items.pop("netforge", None)
            found.append((items, values))
        assert found[0][0] == found[1][0]
        for key, value in found[1][1].items():
            ours = found[0][1][key]
            if key == "learned_net":
                assert (ours, value) == (b"ours_iter_5.caffemodel.h5", b"snap_iter_5.caffemodel.h5")
            else:
                assert ours.dtype == value.dtype
                assert_close(ours, value, case.tolerance, key)


@cases("lmdb_convert_imageset", "lmdb_mixed", "hdf5_data", "image_data")
def test_batches(case: Case) -> None:
    for run in case.settings["runs"]:
        expected = np.load(run["expected"])
        with Net(run["net"], run["phase"]) as net:
            for k in range(run["forwards"]):
                net.forward()
                for key in expected.files:
                    _, number, _, blob, _ = key.split("/")
                    if int(number) == k:
                        assert_close(net.blobs[blob].data, expected[key], (0, run["atol"]), f"{run['id']} {key}")


@cases("infogain_source")
def test_net_with_a_file(case: Case) -> None:
    expected = case.arrays("expected")
    net = Net(case.settings["net"], case.settings["phase"])
    net.forward(**dict(case.arrays("inputs").items()))
    net.backward()
    assert_close(net.loss(), expected["loss"], case.tolerance, "loss")
    for key in expected.files:
        if key.startswith("blob/"):
            _, blob, part = key.split("/")
            assert_close(getattr(net.blobs[blob], part), expected[key], case.tolerance, key)


@cases("hdf5_output")
def test_hdf5_output(case: Case) -> None:
    import h5py

    Path("out.h5").unlink()
    net = Net(case.settings["net"], case.settings["phase"])
    net.forward(**dict(case.arrays("inputs").items()))
    net.close()
    with h5py.File("out.h5") as file:
        for key, array in case.arrays("expected").items():
            assert_close(file[key][()], array, case.tolerance, key)


def test_every_case_has_a_test(golden: Path) -> None:
    assert {folder.name for folder in (golden / "formats").iterdir()} == TESTED
