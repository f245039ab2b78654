"""The state of a net (phase, level, stages), and the rules by which layers are kept or dropped in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netforge.errors import SettingsError
from netforge.schema import netforge_pb2 as messages

PHASES = ("TRAIN", "TEST", "RUN")


@dataclass(frozen=True)
class NetState:
    """What a net is built for: phase "TRAIN", "TEST" or "RUN", a level, and free words called stages."""

    phase: str = "TEST"
    level: int = 0
    stages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise SettingsError(f'unknown phase "{self.phase}"', mend=f"known are {', '.join(PHASES)}")

    def merged(self, message: Any) -> NetState:
        """This state, overridden by what a NetState message sets; its stages are added."""
        phase = messages.Phase.Name(message.phase) if message.HasField("phase") else self.phase
        level = message.level if message.HasField("level") else self.level
        stages = tuple(dict.fromkeys([*self.stages, *message.stage]))
        return NetState(phase if phase in PHASES else self.phase, level, stages)


def rule_holds(rule: Any, state: NetState) -> bool:
    """Whether all conditions of a NetStateRule hold; an empty rule, and one with phase ALL, hold always."""
    if rule.HasField("phase"):
        if rule.phase == messages.ALL:
            return True
        if rule.phase != messages.NONE and messages.Phase.Name(rule.phase) != state.phase:
            return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    return set(rule.stage) <= set(state.stages) and not set(rule.not_stage) & set(state.stages)


def layer_is_kept(layer: Any, state: NetState) -> bool:
    """Whether a LayerParameter takes part in a net of this state."""
    if layer.include:
        return any(rule_holds(rule, state) for rule in layer.include)
    return not any(rule_holds(rule, state) for rule in layer.exclude)
