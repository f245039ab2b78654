"""The nets that a solver file asks for."""

from __future__ import annotations

from collections.abc import Sequence

from netforge.device.base import Device
from netforge.net import Net
from netforge.schema import NetDefinition, NetState, SolverDefinition


def build_nets(
    definition: SolverDefinition, device: Device, seed: int, plugins: Sequence[str]
) -> tuple[Net, list[Net]]:
    """The train net, and the test nets, which use its weights. Where one fails, those made before are closed."""

    def make(net: NetDefinition, state: NetState) -> Net:
        return Net(net, state.phase, state.level, state.stages, device, seed=seed, plugins=plugins)

    made = [make(*definition.train_net())]
    try:
        for net, state in definition.test_nets():
            made.append(make(net, state))
            made[-1].share_weights(made[0])
    except BaseException:
        for built in made:
            built.close()
        raise
    return made[0], made[1:]
