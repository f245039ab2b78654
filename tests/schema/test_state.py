"""Which layers a state keeps, and how states of net, solver and caller come together."""

from __future__ import annotations

import pytest

from netforge.errors import SettingsError
from netforge.schema import NetState, merge_state, parse_net

RULES = [
    ("", "TEST 0", True),
    ("include {}", "TRAIN 0", True),
    ("exclude {}", "TRAIN 0", False),
    ("include { phase: TRAIN }", "TRAIN 0", True),
    ("include { phase: TRAIN }", "TEST 0", False),
    ("include { phase: TRAIN }", "RUN 0", False),
    ("exclude { phase: RUN }", "RUN 0", False),
    ("exclude { phase: RUN }", "TEST 0", True),
    ("include { phase: ALL }", "RUN 0", True),
    ("include { phase: ALL min_level: 9 }", "RUN 0", True),
    ("exclude { phase: ALL }", "TEST 0", False),
    ("include { phase: NONE min_level: 1 }", "TEST 1", True),
    ("include { min_level: 2 }", "TEST 1", False),
    ("include { min_level: 2 }", "TEST 2", True),
    ("include { max_level: 2 }", "TEST 2", True),
    ("include { max_level: 2 }", "TEST 3", False),
    ("include { max_level: -1 }", "TEST 0", False),
    ("include { stage: 'a' }", "TEST 0", False),
    ("include { stage: 'a' }", "TEST 0 a b", True),
    ("include { stage: 'a' stage: 'b' }", "TEST 0 a", False),
    ("include { stage: 'a' } include { stage: 'b' }", "TEST 0 b", True),
    ("include { not_stage: 'a' }", "TEST 0 b", True),
    ("include { not_stage: 'a' }", "TEST 0 a b", False),
    ("include { stage: 'a' not_stage: 'b' }", "TEST 0 a", True),
    ("include { phase: TEST stage: 'a' }", "TRAIN 0 a", False),
    ("exclude { phase: TRAIN } exclude { stage: 'a' }", "TEST 0 a", False),
    ("exclude { phase: TRAIN stage: 'a' }", "TEST 0 a", True),
]


@pytest.mark.parametrize(("rules", "state", "kept"), RULES)
def test_rules(rules: str, state: str, kept: bool) -> None:
    phase, level, *stages = state.split()
    wanted = NetState(phase, int(level), tuple(stages))
    net = parse_net(f'layer {{ name: "a" type: "T" {rules} }} layer {{ name: "b" type: "T" }}')
    selected = net.select(wanted)
    assert [d.name for d in selected.layers] == (["a", "b"] if kept else ["b"])
    assert selected.select(wanted).to_message() == selected.to_message()
    assert len(net.layers) == 2


def test_the_callers_phase_and_level_win_and_stages_add_up() -> None:
    net = parse_net("state { phase: TRAIN level: 3 stage: 'a' } layer {}")
    assert merge_state(net) == NetState("TEST", 3, ("a",))
    assert merge_state(net, "RUN", 0, ["b", "a"]) == NetState("RUN", 0, ("a", "b"))
    assert merge_state(parse_net("layer {}"), "TRAIN") == NetState("TRAIN", 0, ())


def test_an_unknown_phase() -> None:
    with pytest.raises(SettingsError, match='unknown phase "train"'):
        merge_state(parse_net("layer {}"), "train")
