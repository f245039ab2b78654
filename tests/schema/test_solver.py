"""Which nets a solver trains and tests, with which states."""

from __future__ import annotations

from pathlib import Path

import pytest

from netforge.errors import SchemaError, SettingsError
from netforge.schema import NetState, messages, parse_solver, read_solver

NET = 'name: "{}" layer {{ name: "l" type: "T" }}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shared", "train", "test1", "test2"):
        (tmp_path / f"{name}.prototxt").write_text(NET.format(name))
    return tmp_path


def nets(text: str, folder: Path | None = None) -> tuple[str, list[str]]:
    solver = parse_solver(text, "s.prototxt", folder)
    return solver.train_net()[0].name, [net.name for net, _ in solver.test_nets()]


def test_one_net_for_all(folder: Path) -> None:
    assert nets('net: "shared.prototxt"', folder) == ("shared", [])
    assert nets('net: "shared.prototxt" test_iter: 2 test_interval: 1', folder) == ("shared", ["shared"])
    assert nets('net: "shared.prototxt" test_iter: [1, 2] test_interval: 1', folder) == ("shared", ["shared"] * 2)


def test_order_of_test_nets(folder: Path) -> None:
    text = (
        'test_net: "test1.prototxt" test_net: "test2.prototxt" net: "shared.prototxt"'
        f"test_net_param {{ {NET.format('inline')} }} test_iter: [1, 2, 3, 4] test_interval: 5"
    )
    assert nets(text, folder) == ("shared", ["inline", "test1", "test2", "shared"])
    separate = 'train_net: "train.prototxt" test_net: "test1.prototxt" test_iter: 1 test_interval: 5'
    assert nets(separate, folder) == ("train", ["test1"])
    inline = f"net_param {{ {NET.format('both')} }} test_iter: 1 test_interval: 5"
    assert nets(inline) == ("both", ["both"])
    assert nets(f"train_net_param {{ {NET.format('t')} }}") == ("t", [])


def test_states() -> None:
    solver = parse_solver(
        "net_param { state { level: 2 stage: 'net' phase: TEST } layer {} } train_state { stage: 'train' }"
        "test_state { level: 5 } test_state { stage: 'b' phase: TRAIN } test_iter: [1, 1] test_interval: 1"
    )
    assert solver.train_net()[1] == NetState("TEST", 2, ("net", "train"))
    assert [state for _, state in solver.test_nets()] == [
        NetState("TEST", 5, ("net",)),
        NetState("TRAIN", 2, ("net", "b")),
    ]
    plain = parse_solver("net_param { layer {} } test_iter: 1 test_interval: 1")
    assert plain.train_net()[1] == NetState("TRAIN") and plain.test_nets()[0][1] == NetState("TEST")


FAULTS = [
    ("base_lr: 1", "s.prototxt: the solver names no net"),
    ("net: 'a'\ntrain_net: 'b'", "s.prototxt:2:1: the solver names 2 training nets (net, train_net)"),
    ("net_param {}\ntest_iter: 1", "s.prototxt:2:1: there are test nets, but test_interval is not set"),
    ("net_param {} test_net_param {}", "s.prototxt: test_iter is given 0 times for 1 test net"),
    ("train_net_param {}\ntest_iter: 1 test_interval: 1", "s.prototxt:2:1: test_iter is given 1 time for 0 test nets"),
    (
        "net_param {} test_iter: [1, 1, 1] test_interval: 1\ntest_state {} test_state {}",
        "s.prototxt:2:1: test_state is given 2 times for 3 test nets",
    ),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_nets_that_do_not_fit(text: str, message: str) -> None:
    solver = parse_solver(text, "s.prototxt")
    with pytest.raises(SettingsError) as caught:
        solver.train_net()
        solver.test_nets()
    assert str(caught.value).startswith(message)


def test_a_missing_net_is_reported_at_the_line_that_names_it(folder: Path) -> None:
    (folder / "solver.prototxt").write_text('base_lr: 1\nnet: "shard.prototxt"')
    with pytest.raises(SchemaError) as caught:
        read_solver(folder / "solver.prototxt").train_net()
    text = str(caught.value)
    assert text.startswith(f"{folder / 'solver.prototxt'}:2:1: there is no file") and "shared.prototxt" in text


def test_a_fault_in_the_net_is_reported_in_its_file(folder: Path) -> None:
    (folder / "bad.prototxt").write_text("layer { nme: 'x' }")
    (folder / "solver.prototxt").write_text('net: "bad.prototxt"')
    with pytest.raises(SchemaError, match=r"bad\.prototxt:1:9: unknown field"):
        read_solver(folder / "solver.prototxt").train_net()


def test_places_and_messages(folder: Path) -> None:
    solver = parse_solver("net_param {}\nbase_lr: 1\nstepvalue: [1, 2]", "s")
    assert str(solver.locate("stepvalue[1]")) == "s:3:16" and str(solver.locate("gamma")) == "s"
    assert str(solver.place) == "s:1:1"
    assert read_solver(solver) is solver
    message = messages.SolverParameter(solver_type="ADAM", net_param={"layer": [{"name": "a"}]})
    given = read_solver(message)
    assert given.message.type == "Adam" and message.HasField("solver_type")
    assert given.train_net()[0].layers[0].name == "a"


def test_golden_solvers_find_their_nets(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted(golden.glob("solver/*/solver.prototxt"))
    assert paths
    for path in paths:
        monkeypatch.chdir(path.parent)
        net, state = read_solver("solver.prototxt").train_net()
        assert net.layers and state.phase == "TRAIN"
