"""The training loop: what happens when, stopping, non-finite numbers, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.errors import NetforgeError, NonFiniteError, SettingsError, SolverError
from netforge.schema import messages, parse_solver
from netforge.solver import SOLVERS, Listener, Solver, StopReason, UpdateRule, register_solver
from tests.solver.helpers import NET, SOLVER, Recorder, weights, write_solver

CONSTANT_NET = (
    NET.replace('type: "gaussian"', 'type: "constant" value: 0.5')
    .replace('type: "uniform" min: -1 max: 1', 'type: "constant" value: 2')
    .replace('layer { name: "drop" type: "Dropout" bottom: "ip1" top: "ip1" }', "")
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def solver_with(net: str = NET, solver: str = SOLVER, **options: Any) -> Solver:
    return Solver(write_solver(Path("here"), solver, net), **options)


def test_what_happens_when() -> None:
    heard = Recorder()
    solver = solver_with(listeners=[heard], snapshot=8, max_iter=14)
    assert solver.solve() is StopReason.FINISHED
    assert heard.events == [
        ("start", 0),
        ("test", 0),
        ("display", 0),
        ("display", 5),
        ("test", 7),
        ("snapshot", 8),
        ("display", 10),
        ("snapshot", 14),
        ("test", 14),
        ("end", 14, StopReason.FINISHED),
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "run_iter_14.caffemodel",
        "run_iter_14.solverstate",
        "run_iter_8.caffemodel",
        "run_iter_8.solverstate",
    ]


def test_the_last_test_is_made_whatever_the_interval() -> None:
    heard = Recorder()
    solver_with(listeners=[heard], max_iter=9).solve()
    assert [event for event in heard.events if event[0] == "test"] == [("test", 0), ("test", 7), ("test", 9)]


def test_training_on_after_the_end() -> None:
    """The last test and display leave no trace."""
    heard = [Recorder(), Recorder()]
    on, whole = (solver_with(listeners=[h]) for h in heard)
    on.settings.max_iter = 14
    on.solve()
    on.step(8)
    whole.step(22)
    assert weights(on) == weights(whole)
    tests = [[(t.iteration, t.as_dict()) for t in h.tests] for h in heard]
    assert tests[0] == [*tests[1][:3], *tests[1][2:]]


def test_a_snapshot_that_was_just_taken_is_not_taken_again() -> None:
    heard = Recorder()
    solver_with(listeners=[heard], snapshot=5, max_iter=10).solve()
    assert [event for event in heard.events if event[0] == "snapshot"] == [("snapshot", 5), ("snapshot", 10)]


def test_without_snapshot_after_train_nothing_is_written() -> None:
    solver_with(snapshot_after_train=False).solve()
    assert not Path("out").exists()


def test_interval_zero_tests_once_after_training() -> None:
    heard = Recorder()
    solver_with(listeners=[heard], test_interval=0, max_iter=3).solve()
    assert [event for event in heard.events if event[0] == "test"] == [("test", 3)]


def test_without_test_initialization_the_first_test_comes_later() -> None:
    heard = Recorder()
    solver_with(listeners=[heard], test_initialization=False).step(8)
    assert [event for event in heard.events if event[0] == "test"] == [("test", 7)]


def test_steps_may_be_cut_anywhere() -> None:
    heard = [Recorder(), Recorder(), Recorder()]
    whole, single, cut = (solver_with(listeners=[h]) for h in heard)
    whole.step(16)
    for _ in range(16):
        single.step()
    cut.step(7)
    cut.step(9)
    assert weights(whole) == weights(single) == weights(cut)
    losses = [[(d.iteration, d.loss) for d in h.displays] for h in heard]
    assert losses[0] == losses[1] == losses[2]
    assert [t.as_dict() for t in heard[0].tests] == [t.as_dict() for t in heard[1].tests]


def test_the_displayed_loss_is_the_mean_of_the_last_ones() -> None:
    seen: list[float] = []

    class Keep(Listener):
        def on_iteration(self, solver: Solver) -> None:
            seen.append(solver.losses[-1])

    heard = Recorder()
    solver = solver_with(listeners=[heard, Keep()], average_loss=4)
    solver.step(11)
    # what is displayed at iteration N includes the loss of the pass that update N + 1 comes from
    assert [d.loss for d in heard.displays] == pytest.approx([seen[0], np.mean(seen[2:6]), np.mean(seen[7:11])])
    assert heard.displays[1].outputs[0].name == "loss"
    assert heard.displays[1].outputs[0].plain == pytest.approx(seen[5])
    assert heard.displays[1].rate == pytest.approx(0.05 * 1.05**-0.75)
    assert (heard.displays[1].iterations, heard.displays[1].items) == (5, 40)


def test_iter_size_averages_gradients() -> None:
    """On constant data several passes have the gradient of one."""
    one, three = (solver_with(CONSTANT_NET, iter_size=size) for size in (1, 3))
    for solver in (one, three):
        solver.step(6)
    for name, blobs in one.net.params.items():
        for blob, other in zip(blobs, three.net.params[name], strict=True):
            np.testing.assert_allclose(blob.data, other.data, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("iter_size", [1, 4])
def test_clipping_comes_before_the_division_by_iter_size(iter_size: int) -> None:
    solver = solver_with(CONSTANT_NET, clip_gradients=0.1, iter_size=iter_size, weight_decay=0, lr_policy="fixed")
    before = solver.net.flat_weights.data.copy()
    for entry in solver.net.learnable:
        entry.lr_mult = 1.0
    solver.step()
    assert np.linalg.norm(solver.net.flat_weights.data - before) == pytest.approx(0.05 * 0.1 / iter_size, rel=1e-4)


def test_test_results_are_means_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = NET + 'layer { name: "out" type: "Softmax" bottom: "ip2" top: "prob" include { phase: TEST } }'
    heard = Recorder()
    solver = solver_with(vector, test_compute_loss=True, test_iter=[3], listeners=[heard])
    net = solver.test_nets[0]
    passes: list[dict[str, np.ndarray]] = []
    run = net.compute_pass
    monkeypatch.setattr(net, "compute_pass", lambda: (run(), passes.append(net.output_values()))[0])
    results = solver.test()[0]
    assert len(passes) == 3
    assert list(results) == ["loss", "prob", "sq"]
    assert results["loss"] == pytest.approx(np.mean([p["loss"] for p in passes]))
    assert isinstance(results["loss"], float)
    np.testing.assert_allclose(results["prob"], np.mean([p["prob"] for p in passes], axis=0), rtol=1e-6)
    assert [(o.name, o.loss_weight) for o in heard.tests[0].outputs] == [("loss", 1.0), ("prob", 0.0), ("sq", 0.0)]
    assert heard.tests[0].loss == pytest.approx(results["loss"])


def test_test_nets_use_the_weights_of_the_train_net() -> None:
    solver = solver_with()
    solver.step(3)
    for name, blobs in solver.test_nets[0].params.items():
        for blob, other in zip(blobs, solver.net.params[name], strict=True):
            assert np.shares_memory(blob.data, other.data)


# --- stopping ------------------------------------------------------------------------------------------------------


class StopAt(Listener):
    """Asks to stop after an iteration, `times` times."""

    def __init__(self, iteration: int, times: int = 1, *, save: bool = True) -> None:
        self.iteration, self.times, self.save = iteration, times, save

    def on_iteration(self, solver: Solver) -> None:
        if solver.iteration == self.iteration:
            for _ in range(self.times):
                solver.request_stop(save=self.save)


def test_a_stop_takes_a_snapshot_and_can_be_gone_on_from() -> None:
    heard = Recorder()
    solver = solver_with(listeners=[StopAt(9), heard])
    assert solver.solve() is StopReason.STOPPED
    assert heard.events[-2:] == [("snapshot", 9), ("end", 9, StopReason.STOPPED)]
    assert solver.step(2) is StopReason.FINISHED
    assert solver.iteration == 11


def test_a_stop_without_a_snapshot() -> None:
    assert solver_with(listeners=[StopAt(9, save=False)]).solve() is StopReason.STOPPED
    assert not list(Path("out").glob("*"))


def test_two_stops_end_at_once() -> None:
    heard = Recorder()
    solver = solver_with(listeners=[StopAt(9, times=2), heard])
    assert solver.solve() is StopReason.ABORTED
    assert heard.events[-1] == ("end", 9, StopReason.ABORTED)
    assert "snapshot" not in heard.names()


def test_two_stops_end_between_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = solver_with(iter_size=5)
    before = weights(solver)
    run, passes = solver.net.compute_pass, []

    def compute_pass() -> None:
        run()
        passes.append(1)
        if len(passes) == 2:
            solver.request_stop()
            solver.request_stop()

    monkeypatch.setattr(solver.net, "compute_pass", compute_pass)
    assert solver.step(3) is StopReason.ABORTED
    assert (len(passes), solver.iteration) == (2, 0)
    assert weights(solver) == before


def test_a_stop_during_a_test_gives_up_the_test_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the test of iteration 7, in the second test net's second batch: both nets draw those batches again."""
    twice = SOLVER.replace("test_iter: 3", "test_iter: 3 test_iter: 3")
    heard = Recorder()
    solver = solver_with(solver=twice, listeners=[heard])
    net = solver.test_nets[1]
    run, passes = net.compute_pass, []

    def compute_pass() -> None:
        run()
        passes.append(solver.iteration)
        if passes.count(7) == 2:
            solver.request_stop()

    monkeypatch.setattr(net, "compute_pass", compute_pass)
    assert solver.solve() is StopReason.STOPPED
    assert passes == [0, 0, 0, 7, 7]
    assert heard.events[-3:] == [("test", 7), ("snapshot", 7), ("end", 7, StopReason.STOPPED)]
    resumed, whole = Recorder(), Recorder()
    solver_with(solver=twice, restore="out/run_iter_7.solverstate", listeners=[resumed]).solve()
    solver_with(solver=twice, listeners=[whole]).solve()
    assert [t.as_dict() for t in resumed.tests] == [t.as_dict() for t in whole.tests[2:]]
    assert [t.iteration for t in resumed.tests] == [7, 7, 14, 14, 20, 20]


def test_a_snapshot_on_request() -> None:
    heard = Recorder()

    class Ask(Listener):
        def on_iteration(self, solver: Solver) -> None:
            if solver.iteration == 3:
                solver.request_snapshot()

    solver_with(listeners=[Ask(), heard]).step(5)
    assert [e for e in heard.events if e[0] == "snapshot"] == [("snapshot", 3)]


# --- NaN and infinity ----------------------------------------------------------------------------------------------


def test_a_loss_that_explodes_stops_training_and_names_layer_and_blob() -> None:
    heard = Recorder()
    solver = solver_with(listeners=[heard], base_lr=1e20, snapshot=1)
    with pytest.raises(NonFiniteError, match=r"after \d+ updates") as caught:
        solver.solve()
    assert caught.value.layer in ('"ip1" (InnerProduct)', '"ip2" (InnerProduct)', '"loss" (EuclideanLoss)')
    assert caught.value.mend and "base_lr" in caught.value.mend
    assert heard.events[-1] == ("end", solver.iteration, StopReason.FAILED)
    last = max(Path("out").glob("*.caffemodel"), key=lambda p: int(p.stem.rsplit("_", 1)[1]))
    sound = solver_with(weights=last)
    assert np.isfinite(sound.net.flat_weights.data).all()


def test_bad_data_is_found_before_it_touches_the_weights() -> None:
    solver = solver_with()
    solver.step(2)
    before = weights(solver)
    run = solver.net._runner._forward

    def poisoned(number: int) -> None:
        run(number)
        if number == 0:
            solver.net.blobs["data"].data[3, 4] = np.nan

    solver.net._runner._forward = poisoned  # type: ignore[method-assign]
    with pytest.raises(NonFiniteError, match='blob "data"') as caught:
        solver.step()
    assert caught.value.layer == '"input" (DummyData)'
    assert weights(solver) == before


def test_weights_that_are_not_finite_are_not_written() -> None:
    solver = solver_with()
    solver.snapshot()
    kept = Path("out/run_iter_0.caffemodel").read_bytes()
    solver.net.params["ip2"][1].data[1] = np.inf
    with pytest.raises(NonFiniteError, match=r'weight "ip2\[1\]"'):
        solver.snapshot()
    assert Path("out/run_iter_0.caffemodel").read_bytes() == kept


# --- settings ------------------------------------------------------------------------------------------------------


def test_a_seed_of_minus_one_is_drawn_and_kept() -> None:
    free = [solver_with(random_seed=-1) for _ in range(2)]
    assert free[0].seed != free[1].seed
    again = solver_with(random_seed=free[0].seed)
    for solver in (*free, again):
        solver.step(3)
    assert weights(free[0]) == weights(again) != weights(free[1])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"max_itr": 5}, 'has no field "max_itr". Did you mean "max_iter"?'),
        ({"max_iter": "many"}, "max_iter cannot be 'many'"),
        ({"iter_size": 0}, "iter_size cannot be 0: it must be at least 1"),
        ({"momentum": 1.5}, "momentum cannot be 1.5"),
        ({"test_iter": [0]}, "test_iter cannot be [0]"),
        ({"solver_mode": "TPU"}, "known are CPU, GPU"),
        ({"type": "SDG"}, 'Did you mean "SGD"'),
        ({"type": "AdaGrad"}, 'momentum must be 0 with type "AdaGrad", found 0.9'),
        ({"type": "RMSProp"}, "momentum must be 0"),
        ({"regularization_type": "L3"}, 'unknown regularization_type "L3"'),
        ({"test_iter": [1, 2], "test_state": [messages.NetState()] * 3}, "test_state"),
    ],
)
def test_wrong_settings(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(NetforgeError) as caught:
        solver_with(**overrides)
    assert words in str(caught.value)


def test_overrides_of_every_kind_of_field() -> None:
    solver = solver_with(
        solver_mode="CPU",
        test_iter=[5],
        base_lr=0.125,
        regularization_type="NONE",
        test_state=[messages.NetState(level=2)],
    )
    assert solver.settings.test_iter == [5]
    assert solver.rate == 0.125
    assert solver.definition.message.test_state[0].level == 2


def test_solve_needs_max_iter() -> None:
    solver = solver_with(solver=SOLVER.replace("max_iter: 20", ""))
    with pytest.raises(SettingsError, match="max_iter is not set"):
        solver.solve()


def test_an_unusable_snapshot_folder_is_found_before_training() -> None:
    Path("out").write_text("a file where a folder should be", encoding="utf-8")
    solver = solver_with(snapshot=100)
    with pytest.raises(NetforgeError, match="snapshots cannot be written here"):
        solver.step()
    assert solver.iteration == 0


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("a/b", "a/b"), ("", "here/solver"), ("folder", "folder/solver"), ("new/", "new/solver")],
)
def test_snapshot_prefix(prefix: str, expected: str) -> None:
    Path("folder").mkdir()
    text = SOLVER.replace('"out/run"', f'"{prefix}"') if prefix else SOLVER.replace('snapshot_prefix: "out/run"', "")
    paths = solver_with(solver=text).snapshot()
    assert paths.weights is not None
    assert paths.weights.relative_to(Path.cwd() if paths.weights.is_absolute() else ".") == Path(
        f"{expected}_iter_0.caffemodel"
    )
    assert paths.weights.is_file()


def test_a_solver_from_text_needs_a_prefix() -> None:
    write_solver(Path("here"))
    text = SOLVER.replace('snapshot_prefix: "out/run"', "")
    solver = Solver(parse_solver(text.replace("net.prototxt", "here/net.prototxt")))
    with pytest.raises(SettingsError, match="snapshot_prefix is not set"):
        solver.snapshot()


def test_snapshots_may_leave_out_one_file() -> None:
    assert solver_with(snapshot_include_state=False).snapshot().state is None
    assert solver_with(snapshot_include_weights=False).snapshot().weights is None
    assert sorted(p.name for p in Path("out").iterdir()) == ["run_iter_0.caffemodel", "run_iter_0.solverstate"]


def test_start_from_weights_of_the_file_and_of_the_caller() -> None:
    trained = solver_with()
    trained.step(3)
    trained.net.save("here/start.caffemodel")
    named = solver_with(solver=SOLVER + 'weights: "start.caffemodel"')  # found beside the solver file
    given = solver_with(weights="here/start.caffemodel")
    assert weights(named) == weights(given) == weights(trained)
    assert named.iteration == 0
    assert [report.complete for report in named.load_reports] == [True]
    replaced = solver_with(solver=SOLVER + 'weights: "nowhere.caffemodel"', weights=["here/start.caffemodel"])
    assert len(replaced.load_reports) == 1


def test_several_weight_files_in_one_entry() -> None:
    trained = solver_with()
    for name in ("a", "b"):
        trained.net.save(f"{name}.caffemodel")
    solver = solver_with(solver=SOLVER + 'weights: "a.caffemodel, b.caffemodel"')
    assert [report.source.name for report in solver.load_reports] == ["a.caffemodel", "b.caffemodel"]


def test_debug_info_prints_on_displayed_iterations() -> None:
    heard = Recorder()
    solver = solver_with(listeners=[heard], debug_info=True)
    plain = solver_with()
    for one in (solver, plain):
        one.step(2)
    assert weights(solver) == weights(plain)
    text = "\n".join(heard.lines)
    for line in (
        "[Forward] Layer ip1, top blob ip1 data: ",
        "[Forward] Layer ip1, param blob 0 data: ",
        "[Backward] Layer ip2, bottom blob ip1 diff: ",
        "[Backward] Layer ip1, param blob 1 diff: ",
        "[Update] Layer ip2, param 0 data: ",
        "[Backward] All net params (data, diff): L1 norm = (",
    ):
        assert text.count(line) == 1
    assert "bottom blob data diff" not in text


def test_on_a_device_the_loss_is_read_only_where_it_is_shown() -> None:
    solver = solver_with(display=5, average_loss=2)
    assert solver._reads_loss

    class Elsewhere:
        name = "cuda:0"

    solver.device = Elsewhere()  # type: ignore[assignment]
    read = []
    for solver.iteration in range(11):
        read.append(solver._reads_loss)
    assert [i for i, flag in enumerate(read) if flag] == [0, 4, 5, 9, 10]


@pytest.mark.parametrize("average_loss", [1, 2, 7])
def test_the_display_at_the_end_is_the_same_on_every_device(average_loss: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"display": 5, "max_iter": 10, "average_loss": average_loss}
    here, there = Recorder(), Recorder()
    solver_with(listeners=[here], **settings).solve()
    solver = solver_with(listeners=[there], **settings)
    reads = Solver._reads_loss.fget  # type: ignore[attr-defined]

    def as_elsewhere(solver: Solver) -> bool:
        with monkeypatch.context() as patched:
            patched.setattr(solver.device, "name", "cuda:0")
            return bool(reads(solver))

    monkeypatch.setattr(Solver, "_reads_loss", property(as_elsewhere))
    solver.solve()
    assert [d.loss for d in there.displays] == [d.loss for d in here.displays]
    assert [d.iteration for d in here.displays] == [0, 5, 10]


def test_a_rule_without_apply_is_told_so() -> None:
    @register_solver("Hollow")
    class Hollow(UpdateRule):
        """Takes gradients and does nothing with them."""

    try:
        with pytest.raises(SolverError, match="class Hollow has no method apply"):
            solver_with(type="Hollow").step(1)
    finally:
        SOLVERS.remove("Hollow")
