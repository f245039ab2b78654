"""Training by recorded graphs: the same numbers, bit for bit, as launch by launch; and when it is not done, and why."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netforge.blob import Blob
from netforge.cli.run_facts import opening_facts
from netforge.device.cuda import CudaDevice
from netforge.errors import DeviceError, NonFiniteError
from netforge.inspect.tensorboard import TensorBoard
from netforge.layers import LAYERS, Layer, register_layer
from netforge.layers.neuron import TanH
from netforge.net import Net
from netforge.schema import parse_net
from netforge.schema import tensorboard_pb2 as messages
from netforge.solver import RunLog, Solver
from tests.device.cuda_bench import standin
from tests.device.training_nets import NETS, RULES, SOLVER
from tests.solver.helpers import Recorder, weights, write_solver

pytestmark = pytest.mark.usefixtures("shapes")

WARM_UP = 2
ONE_GRAPH = "one CUDA graph"


INPUTS = """
layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 4 dim: 6 } shape { dim: 4 dim: 2 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
layer { name: "middle" type: "TanH" bottom: "h" top: "t" }
layer { name: "drop" type: "Dropout" bottom: "t" top: "t" }
layer { name: "ip2" type: "InnerProduct" bottom: "t" top: "z"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "z" bottom: "y" top: "loss" }
"""
ALONE: dict[str, Any] = {"display": 0, "test_interval": 0, "test_iter": [], "lr_policy": "fixed"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[CudaDevice, Any]:
    """A device on the stand-ins, and the counts of what it does."""
    standin(monkeypatch)
    from fakecupy import counts

    return CudaDevice(), counts


def make(device: CudaDevice, net: str, *, eager: bool = False, **options: Any) -> Solver:
    """A solver for a net of `NETS`, for `INPUTS`, or for a net's text; `eager` forbids graphs."""
    text = {**NETS, "inputs": INPUTS}.get(net, net)
    solver = Solver(write_solver(Path("here"), SOLVER, text), device=device, **options)
    for own in (solver.net, *solver.test_nets) if eager else ():
        own.replay.refuse("for comparison")
    return solver


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lenet, clipped, two passes": ("lenet", {**RULES["SGD"], "display": 4, "average_loss": 2}),
    "lenet, Adam": ("lenet", {"type": "Adam", **RULES["Adam"], "display": 0}),
    "siamese": ("siamese", {"display": 5}),
    "siamese, Nesterov, three passes": ("siamese", {"type": "Nesterov", "iter_size": 3, "display": 0}),
}


@pytest.mark.parametrize("case", CASES)
def test_graphs_train_as_launches_do(case: str, cuda: CudaDevice) -> None:
    net, options = CASES[case]
    results = []
    for eager in (False, True):
        heard = Recorder()
        solver = make(cuda, net, eager=eager, listeners=[heard], max_iter=6, test_interval=3, **options)
        solver.solve()
        assert solver.execution.startswith("eager") == eager
        shown = [(d.iteration, d.loss, d.rate, [o.values.tolist() for o in d.outputs]) for d in heard.displays]
        tests = [[output.values.tolist() for output in result.outputs] for result in heard.tests]
        states = {layer: sorted(state.items()) for layer, state in solver.net.state().items()}
        results.append((weights(solver), shown, tests, heard.events, str(states)))
    assert results[0] == results[1]


@pytest.mark.parametrize(("net", "passes"), [("lenet", 1), ("siamese", 1), ("inputs", 2), ("inputs", 3)])
def test_an_iteration_is_one_launch_for_each_pass(net: str, passes: int, counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    solver = make(device, net, **ALONE, iter_size=passes, clip_gradients=1.0)
    assert solver.execution == (ONE_GRAPH if passes == 1 else f"{passes} CUDA graphs, one a pass")
    solver.step(WARM_UP)
    counts.reset()
    solver.step(5)
    assert (counts.launches, counts.graphs) == ([], 5 * passes)


def test_a_rate_that_changes_is_one_launch_more(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    solver = make(device, "inputs", **{**ALONE, "lr_policy": "inv"})
    solver.step(WARM_UP)
    counts.reset()
    solver.step(5)
    assert (counts.launches, counts.graphs) == (["assign"] * 5, 5)


def test_the_host_comes_in_between_only_where_the_loss_is_read(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    solver = make(device, "inputs", **{**ALONE, "display": 4})
    graphs = []
    for _ in range(9):
        counts.reset()
        solver.step()
        graphs.append(counts.graphs)
    assert graphs == [0, 0, 1, 1, 3, 1, 1, 1, 3]  # forward, backward and update are apart where the loss is read


def test_sizes_of_gradients_are_measured_between_graphs(counted: tuple[CudaDevice, Any]) -> None:
    found = []
    for device in (counted[0], "cpu"):
        heard = Recorder()
        solver = Solver(
            write_solver(Path("here"), SOLVER, NETS["siamese"]), device=device, listeners=[heard], display=4
        )
        solver.step(9)
        found.append([np.array([one.weights, one.gradients, one.updates]) for one in heard.norms])
    assert len(found[0]) == 3
    np.testing.assert_allclose(found[0], found[1], rtol=1e-2, atol=1e-6)


def test_tensorboard_reads_at_tests_and_displays_alone(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    alone = TensorBoard("tb")
    solver = make(device, "inputs", **ALONE, listeners=[alone])
    solver.step(WARM_UP)
    counts.reset()
    solver.step(5)
    assert (counts.launches, counts.graphs) == ([], 5)
    alone.close()
    for place in (device, "cpu"):
        solver = make(place, "siamese", listeners=[TensorBoard(f"tb {place}")], max_iter=6, display=2, iter_size=2)
        solver.solve()
    on_gpu, on_cpu = (curves_of(next(Path(f"tb {place}").glob("*tfevents*"))) for place in (device, "cpu"))
    assert on_gpu.keys() == on_cpu.keys()
    assert any(tag.startswith("weights_gradients/") for tag, _ in on_gpu)
    untold = ("run/loss", 6)  # an end that is no display repeats the loss that was read last
    for key, value in on_cpu.items():
        if key != untold and "per_second" not in key[0]:
            np.testing.assert_allclose(on_gpu[key], value, rtol=1e-2, atol=1e-5, err_msg=str(key))


def curves_of(path: Path) -> dict[tuple[str, int], Any]:
    """The numbers of an event file by tag and step; of histograms, smallest and largest value."""
    found: dict[tuple[str, int], Any] = {}
    data = path.read_bytes()
    while data:
        length = int.from_bytes(data[:8], "little")
        event, data = messages.Event.FromString(data[12 : 12 + length]), data[16 + length :]
        for value in event.summary.value:
            several = [value.histo.min, value.histo.max]
            found[value.tag, event.step] = several if value.HasField("histo") else value.simple_value
    return found


def test_tests_are_graphs_too(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    solver = make(device, "siamese", display=0)
    solver.test()
    counts.reset()
    solver.test()
    assert (counts.launches, counts.graphs) == ([], solver.settings.test_iter[0])


@pytest.mark.parametrize("net", ["lenet", "siamese"])
def test_a_run_goes_on_from_a_state_with_its_graphs(net: str, cuda: CudaDevice) -> None:
    whole = make(cuda, net, display=0)
    whole.step(7)
    first = make(cuda, net, display=0)
    first.step(4)
    state = first.snapshot().state
    first.step(3)
    assert weights(first) == weights(whole)
    first.restore(state)  # the graphs of this solver stay as they are
    first.step(3)
    assert weights(first) == weights(whole)
    other = make(cuda, net, display=0, restore=state)
    other.step(3)
    assert weights(other) == weights(whole)


def test_a_state_of_another_seed_brings_nets_and_graphs_of_its_own(cuda: CudaDevice) -> None:
    whole = make(cuda, "lenet", display=0, random_seed=3)
    whole.step(3)
    state = whole.snapshot().state
    whole.step(4)
    other = make(cuda, "lenet", display=0, random_seed=4)
    other.step(4)
    other.restore(state)
    other.step(4)
    assert weights(other) == weights(whole)
    assert other.execution == ONE_GRAPH


def train_on(solver: Solver, items: int, iterations: int) -> None:
    """Give the inputs of `INPUTS` another number of items, and train on them."""
    rng = np.random.default_rng(items)
    for name in ("x", "y"):
        blob = solver.net.blobs[name]
        blob.reshape(items, blob.shape[1])
        blob.data[...] = solver.device.from_host(rng.standard_normal(blob.shape).astype(np.float32))
    solver.net.reshape()
    solver.step(iterations)


def test_another_batch_size_makes_other_graphs(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    results = []
    for eager in (False, True):
        solver = make(device, "inputs", eager=eager, **ALONE)
        graphs = []
        for items in (4, 9, 9, 3, 4):
            counts.reset()
            train_on(solver, items, 4)
            graphs.append(counts.graphs)
        assert graphs == ([0] * 5 if eager else [2, 2, 4, 2, 2])
        results.append(weights(solver))
    assert results[0] == results[1]


def test_batches_of_changing_sizes_are_no_obstacle(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    net, sizes = Net(parse_net(INPUTS), "TEST", device=device, seed=1), (4, 3, 4, 3, 3, 3, 3, 4, 4, 4)
    graphs = []
    for items in sizes:
        counts.reset()
        loss = net.forward(x=np.full((items, 6), items), y=np.zeros((items, 2)))["loss"]
        graphs.append(counts.graphs)
        again = Net(parse_net(INPUTS), "TEST", device=device, seed=1)
        assert again.forward(x=np.full((items, 6), items), y=np.zeros((items, 2)))["loss"] == loss
    assert net.replay.obstacle is None
    assert graphs == [0, 0, 0, 0, 0, 1, 1, 0, 0, 1]


def test_a_graph_is_left_when_a_net_gets_other_memory(cuda: CudaDevice) -> None:
    results = []
    for eager in (False, True):
        solver = make(cuda, "inputs", eager=eager, **ALONE)
        train_on(solver, 4, 4)
        blob = solver.net.blobs["x"]
        other = Blob(blob.shape, device=cuda)
        other.data[...] = 1
        blob.share_data(other)
        solver.net.layers[1].forward([blob], [solver.net.blobs["h"]])
        solver.step(4)
        results.append(weights(solver))
    assert results[0] == results[1]


def test_passes_over_a_part_of_the_net_do_no_harm(cuda: CudaDevice) -> None:
    results = []
    for eager in (False, True):
        solver = make(cuda, "siamese", eager=eager, display=0)
        for _ in range(3):
            solver.step(4)
            solver.net.backward(start="feat_p")  # one member of the towers, with what the graph left there
            results.append(weights(solver))
            solver.net.forward(start="conv", end="feat")
    assert results[:3] == results[3:]


# --- when graphs are not used, and why --------------------------------------------------------------------------------


@pytest.fixture
def layer_type() -> Iterator[Any]:
    """Registers layers for one test."""
    names: list[str] = []

    def register(name: str, cls: type[Layer]) -> str:
        register_layer(name)(cls)
        names.append(name)
        return INPUTS.replace("TanH", name)

    yield register
    for name in names:
        LAYERS.remove(name)


class Counting(TanH):
    """A layer that reads values in all passes after the first `reads_from`, and says that it does not."""

    replayable = True
    reads_from = 0
    passes = 0

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read, then do what TanH does."""
        self.passes += 1
        if self.passes > self.reads_from:
            self.device.to_host(bottom[0].data)
        super().forward(bottom, top)


def test_a_layer_that_does_not_say_that_it_is_replayable_runs_eagerly(cuda: CudaDevice, layer_type: Any) -> None:
    class Own(TanH):
        """It may do other things than TanH."""

    solver = make(cuda, layer_type("OwnForTest", Own), **ALONE)
    reason = 'eager: layer "middle" (OwnForTest) does not say that it is replayable'
    assert solver.execution == reason
    assert ("iterations", reason) in opening_facts(solver)
    train_on(solver, 4, 4)
    same = make(cuda, "inputs", **ALONE)
    train_on(same, 4, 4)
    assert weights(same) == weights(solver)
    assert ("iterations", ONE_GRAPH) in opening_facts(same)


@pytest.mark.parametrize("reads_from", [0, WARM_UP])
def test_a_layer_that_reads_values_after_all_is_named(
    reads_from: int, cuda: CudaDevice, layer_type: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cls = type("Reading", (Counting,), {"replayable": True, "reads_from": reads_from})
    solver = make(cuda, layer_type("ReadingForTest", cls), **ALONE)
    train_on(solver, 4, 6)
    assert solver.execution.startswith("eager: cuda:0 cannot record this as a graph")
    assert 'layer "middle" (ReadingForTest)' in solver.execution
    assert caplog.text.count("iterations run launch by launch") == 1
    same = make(cuda, "inputs", **ALONE)
    train_on(same, 4, 6)
    assert weights(same) == weights(solver)
    cuda.capture(lambda: None).launch()  # the stream is whole again


def test_a_layer_that_takes_memory_later_is_not_recorded(cuda: CudaDevice, layer_type: Any) -> None:
    class Hoarding(Counting):
        """Takes memory in its third pass."""

        replayable = True
        reads_from = 1 << 30

        def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
            super().forward(bottom, top)
            if self.passes > WARM_UP:
                _ = self.held.data

        def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
            super().setup(bottom, top)
            self.held = self.buffer("held")
            self.held.reshape(5)

    solver = make(cuda, layer_type("HoardingForTest", Hoarding), **ALONE)
    train_on(solver, 4, 4)
    assert "took memory" in solver.execution


def test_debug_info_runs_eagerly(cuda: CudaDevice) -> None:
    heard = Recorder()
    solver = make(cuda, "inputs", listeners=[heard], **{**ALONE, "display": 2}, debug_info=True)
    assert solver.execution == "eager: debug_info reads every blob"
    train_on(solver, 4, 4)
    assert sum("[Update]" in line for line in heard.lines) == 8
    assert make(cuda, "inputs", **ALONE, debug_info=True).execution == ONE_GRAPH  # nothing is displayed


def test_a_layer_whose_shapes_change_runs_eagerly(cuda: CudaDevice) -> None:
    text = INPUTS.replace(
        'name: "middle" type: "TanH" bottom: "h"', 'name: "middle" type: "Filter" bottom: "h" bottom: "s"'
    )
    text = text.replace('top: "y"', 'top: "y" top: "s"').replace("dim: 2 } }", "dim: 2 } shape { dim: 4 } }")
    solver = make(cuda, text, **ALONE)
    assert solver.execution == 'eager: layer "middle" (Filter) may change shapes in every pass'


def test_the_log_of_a_run_says_how_iterations_ran(cuda: CudaDevice) -> None:
    solver = make(cuda, "inputs", listeners=[log := RunLog("log.jsonl")], **ALONE, max_iter=4)
    solver.solve()
    records = [json.loads(line) for line in (log.path or Path()).read_text().splitlines()]
    assert [r["execution"] for r in records if r["event"] in ("start", "end")] == [ONE_GRAPH] * 2


def test_on_the_cpu_there_is_nothing_to_report() -> None:
    solver = Solver(write_solver(Path("here"), SOLVER, NETS["lenet"]), device="cpu")
    assert "iterations" not in dict(opening_facts(solver))
    assert solver.execution == 'eager: device "cpu" does not record work'


@pytest.mark.parametrize("eager", [False, True])
def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(eager: bool, cuda: CudaDevice) -> None:
    solver = make(cuda, "inputs", eager=eager, **{**ALONE, "display": 3})
    train_on(solver, 4, 6)
    before = weights(solver)
    solver.net.blobs["x"].data[1, 2] = np.nan
    with pytest.raises(NonFiniteError, match='the first NaN or infinity is in blob "x"'):
        solver.step()
    assert weights(solver) == before


def test_a_bad_label_is_noticed_behind_a_graph(cuda: CudaDevice) -> None:
    text = INPUTS.replace("shape { dim: 4 dim: 2 }", "shape { dim: 4 }").replace("EuclideanLoss", "SoftmaxWithLoss")
    solver = make(cuda, text, **ALONE)
    solver.step(4)
    assert solver.execution == ONE_GRAPH
    solver.net.blobs["y"].data[2] = 7
    with pytest.raises(Exception, match='label 7 at index 2 of "y" is not a class'):
        solver.step(2)


# --- which layers -----------------------------------------------------------------------------------------------------

NOT_REPLAYABLE = {
    "Filter": "the number of selected items decides shapes",
    "HDF5Output": "writes what it reads back to a file",
    "Python": "runs on the host",
}


def test_every_layer_says_whether_it_is_replayable() -> None:
    """Decode and AccuracyEncoding are where the labels are known; `setup` says it."""
    built_in = {name: LAYERS[name] for name in LAYERS if LAYERS[name].__module__.startswith("netforge.")}
    assert {name for name, cls in built_in.items() if not cls.replayable} == set(NOT_REPLAYABLE)
    assert all(NOT_REPLAYABLE.values())


def test_memory_that_is_taken_while_recording_stays_with_the_graph(cuda: CudaDevice) -> None:
    x = cuda.zeros((4,), np.float32)

    def work() -> None:
        x[...] = x + 1

    graph = cuda.capture(work)
    assert cuda.to_host(x).tolist() == [0] * 4
    for _ in range(3):
        graph.launch()
    assert cuda.to_host(x).tolist() == [3] * 4


def test_a_capture_that_cuda_gave_up_leaves_the_stream_whole(cuda: CudaDevice) -> None:
    with pytest.raises(DeviceError, match="cuda:0 cannot record this as a graph"):
        cuda.capture(cuda.synchronize)
    x = cuda.zeros((4,), np.float32)
    cuda.ops.fill(x, 1.0)  # compiled before it is recorded
    cuda.capture(lambda: cuda.ops.fill(x, 2.0, accumulate=True)).launch()
    assert cuda.to_host(x).tolist() == [3] * 4


def test_a_net_that_is_dropped_goes_at_once_with_its_graphs(cuda: CudaDevice) -> None:
    solver = make(cuda, "inputs", **ALONE)
    train_on(solver, 4, 4)
    gone = weakref.ref(solver.net)
    gc.collect()
    gc.disable()
    try:
        del solver
        assert gone() is None
    finally:
        gc.enable()


def test_a_net_alone_is_replayed_too(counted: tuple[CudaDevice, Any]) -> None:
    device, counts = counted
    net = Net(parse_net(INPUTS), "TEST", device=device, seed=1)
    outputs = []
    counts.reset()
    for value in range(5):
        outputs.append(net.forward(x=np.full((4, 6), value))["loss"].tolist())
    assert len(set(outputs)) == 5
    assert counts.graphs == 3
