"""Layers that carry something from pass to pass, in recorded graphs: the same bits as launch by launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from netforge.device.cuda import CudaDevice
from netforge.solver import Solver
from tests.device.test_cuda_nets import CENTROIDS
from tests.device.training_nets import DATA, SOLVER, TRIPLET
from tests.solver.helpers import weights, write_solver

pytestmark = pytest.mark.usefixtures("shapes")


def recurrent(type_: str, static: str = "", states: str = "", more: str = "") -> str:
    """A net around a recurrent layer: three steps of two sequences, the second of which starts anew."""
    return f"""
layer {{ name: "in" type: "DummyData" top: "x" top: "cont" top: "still" top: "s0" top: "s1" dummy_data_param {{
  shape {{ dim: 3 dim: 2 dim: 4 }} shape {{ dim: 3 dim: 2 }} shape {{ dim: 2 dim: 3 }}
  shape {{ dim: 1 dim: 2 dim: 5 }} shape {{ dim: 1 dim: 2 dim: 5 }}
  data_filler {{ type: "gaussian" }} data_filler {{ value: 1 }} data_filler {{ type: "gaussian" }}
  data_filler {{ type: "gaussian" }} data_filler {{ type: "gaussian" }} }} }}
layer {{ name: "rest" type: "Silence" bottom: "still" bottom: "s0" bottom: "s1" }}
layer {{ name: "steps" type: "{type_}" bottom: "x" bottom: "cont" {static} {states} top: "h" {more} recurrent_param {{
  num_output: 5 {"expose_hidden: true" if states else ""}
  weight_filler {{ type: "uniform" min: -0.5 max: 0.5 }} bias_filler {{ value: 0.1 }} }} }}
layer {{ name: "loss" type: "Reduction" bottom: "h" top: "loss" loss_weight: 1 reduction_param {{ operation: SUMSQ }} }}
"""


STILL = 'bottom: "still"'
CROPPED = f"""
{DATA}
layer {{ name: "small" type: "DummyData" top: "small" dummy_data_param {{ shape {{ dim: 8 dim: 1 dim: 6 dim: 7 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 1 kernel_size: 3 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "crop" type: "Crop" bottom: "conv" bottom: "small" top: "crop" crop_param {{ offset: 2 offset: 1 }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "crop" top: "ip"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""
NETS = {
    "LSTM": recurrent("LSTM"),
    "RNN": recurrent("RNN"),
    "LSTM, static": recurrent("LSTM", STILL),
    "RNN, static": recurrent("RNN", STILL),
    "LSTM, exposed": recurrent("LSTM", "", 'bottom: "s0" bottom: "s1"', 'top: "h1" top: "c1"'),
    "RNN, exposed": recurrent("RNN", STILL, 'bottom: "s0"', 'top: "h1"'),
    "Crop": CROPPED,
    "centroids": CENTROIDS.replace("recent_items: 3", "recent_items: 1 centroid_output_iteration: 6"),
    "triplet": TRIPLET,
}


@pytest.mark.parametrize("net", NETS)
def test_replayed_passes_are_those_launched(net: str, cuda: CudaDevice) -> None:
    results = []
    for eager in (False, True):
        path = write_solver(Path("here"), SOLVER, NETS[net])
        solver = Solver(path, device=cuda, display=0, test_interval=0, test_iter=[])
        if eager:
            solver.net.replay.refuse("for comparison")
        solver.step(4)
        first = weights(solver)
        solver.step(4)
        assert first != weights(solver)
        assert solver.execution == ("eager: for comparison" if eager else "one CUDA graph")
        outputs = {name: values.tolist() for name, values in solver.net.output_values().items()}
        states = {layer: sorted(map(str, state.items())) for layer, state in solver.net.state().items()}
        results.append((first, weights(solver), outputs, states))
    assert results[0] == results[1]
