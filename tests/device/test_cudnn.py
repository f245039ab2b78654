"""Convolution by cuDNN against the NumPy reference: on a stand-in for it, and on a GPU where there is one."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

from netforge.device import cudnn as cudnn_module
from netforge.device.cudnn import Convolution, ConvolutionOptions, Cudnn
from netforge.device.cudnn_descriptors import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    FMA_MATH,
    FORWARD,
    ConvolutionDescriptors,
    CudnnFunctions,
)
from netforge.device.libraries import CUDNN, load
from netforge.device.operations import Ops
from netforge.device.operations.convolution import ConvGeometry, conv_output_shape
from netforge.errors import DeviceError
from tests.cudashim.vendor.bench import HostBench, gpu_bench, host_bench
from tests.cudashim.vendor.build import build_cudnn

PASSES = (FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS)
# x, w, stride, pad, dilation, group
CASES = {
    "lenet": ((2, 1, 12, 12), (4, 1, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    "strides and pads that differ": ((3, 4, 11, 10), (6, 4, 3, 2), (2, 3), (2, 1), (1, 1), 1),
    "dilation and groups": ((2, 6, 9, 8), (9, 2, 3, 3), (1, 2), (1, 2), (2, 3), 3),
    "each channel alone": ((2, 5, 6, 6), (5, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    "one position": ((4, 3, 1, 1), (7, 3, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "one axis": ((3, 4, 17), (6, 2, 4), (3,), (2,), (2,), 2),
    "no axis": ((5, 6), (4, 3), (), (), (), 2),
    "three axes": ((2, 4, 5, 6, 7), (4, 2, 2, 3, 2), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
}


@pytest.fixture
def host(monkeypatch) -> HostBench:
    return host_bench(monkeypatch, "NETFORGE_CUDNN", build_cudnn)


@pytest.fixture(params=["stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def bench(request):
    return gpu_bench() if request.param == "gpu" else request.getfixturevalue("host")


def problem(name: str):
    """Shapes of x and w, and the geometry, of a case."""
    x, w, *geometry = CASES[name]
    return x, w, ConvGeometry(*geometry)


def lenet(cudnn: Cudnn) -> Convolution:
    return cudnn.convolution(*problem("lenet")[:2], np.float32, problem("lenet")[2])


def run_forward(host: HostBench, convolution: Convolution, stream: int = 0) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in (*problem("lenet")[:2], convolution.y_shape)]
    convolution.forward(stream, *(host.pointer(array) for array in arrays))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("deterministic", [True, False], ids=["expected", "measured"])
def test_all_passes_equal_the_reference(bench, rng, case, dtype, deterministic):
    x_shape, w_shape, g = problem(case)
    cudnn = Cudnn(bench.cuda, bench.allocate, ConvolutionOptions(deterministic=deterministic))
    convolution = cudnn.convolution(x_shape, w_shape, np.dtype(dtype), g)
    y_shape = (x_shape[0], w_shape[0], *conv_output_shape(x_shape[2:], w_shape[2:], g))
    assert convolution.y_shape == y_shape
    shapes = {"x": x_shape, "w": w_shape, "y": y_shape, "dy": y_shape, "dx": x_shape, "dw": w_shape}
    host = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    device = {name: bench.put(array) for name, array in host.items()}
    at = {name: bench.pointer(array) for name, array in device.items()}

    convolution.forward(bench.stream, at["x"], at["w"], at["y"])
    convolution.backward_data(bench.stream, at["dy"], at["w"], at["dx"])
    convolution.backward_weights(bench.stream, at["x"], at["dy"], at["dw"])

    ops = Ops()
    ops.conv_forward(host["x"], host["w"], host["y"], g)
    ops.conv_backward_data(host["dy"], host["w"], host["dx"], g)
    ops.conv_backward_weights(host["x"], host["dy"], host["dw"], g)
    tolerance = bench.tolerance[dtype]
    for name, expected in host.items():
        found = bench.get(device[name])
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 10, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_the_adjoints_of_forward(bench, rng, case):
    # conv is linear in x and in w: <conv(x, w), dy> = <x, backward_data(dy, w)> = <w, backward_weights(x, dy)>
    x_shape, w_shape, g = problem(case)
    convolution = Cudnn(bench.cuda, bench.allocate).convolution(x_shape, w_shape, np.dtype(np.float64), g)
    x, w, dy = (rng.standard_normal(shape) for shape in (x_shape, w_shape, convolution.y_shape))
    inputs = [bench.put(array) for array in (x, w, dy)]
    at_x, at_w, at_dy = (bench.pointer(array) for array in inputs)
    y, dx, dw = (bench.put(np.zeros_like(array)) for array in (dy, x, w))
    convolution.forward(bench.stream, at_x, at_w, bench.pointer(y))
    convolution.backward_data(bench.stream, at_dy, at_w, bench.pointer(dx))
    convolution.backward_weights(bench.stream, at_x, at_dy, bench.pointer(dw))
    expected = np.vdot(bench.get(y), dy)
    assert np.vdot(bench.get(dx), x) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert np.vdot(bench.get(dw), w) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_cudnn_8_works_alike(monkeypatch, rng):
    host = host_bench(monkeypatch, "NETFORGE_CUDNN", build_cudnn, 11, 8)
    cudnn = Cudnn(11, host.allocate)
    assert cudnn.library.version[0] == 8
    x, w, y = (rng.standard_normal(shape).astype("f") for shape in (*problem("lenet")[:2], (2, 4, 8, 8)))
    lenet(cudnn).forward(0, *(host.pointer(array) for array in (x, w, y)))
    expected = np.empty_like(y)
    Ops().conv_forward(x, w, expected, problem("lenet")[2])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "algorithm"),
    [
        (ConvolutionOptions(), 1),  # the stand-in's algorithm 0 is not deterministic
        (ConvolutionOptions(workspace_bytes=1 << 20), 1),
        (ConvolutionOptions(workspace_bytes=(1 << 20) - 1), 2),
        (ConvolutionOptions(deterministic=False), 2),  # the fastest when measured
        (ConvolutionOptions(deterministic=False, workspace_bytes=0), 0),
    ],
    ids=str,
)
def test_the_fastest_algorithm_that_satisfies_the_options(host, options, algorithm):
    convolution = lenet(Cudnn(host.cuda, host.allocate, options))
    run_forward(host, convolution)
    assert host.record.algorithm == algorithm == convolution.algorithms[FORWARD].number
    assert host.record.workspace == convolution.algorithms[FORWARD].workspace <= options.workspace_bytes


@pytest.mark.parametrize(
    ("case", "pays", "options", "algorithm"),
    [
        ("dilation and groups", 1, ConvolutionOptions(), 2),  # windows of 3 x 3
        ("dilation and groups", 1 << 40, ConvolutionOptions(), 1),
        ("lenet", 1, ConvolutionOptions(), 1),  # windows of 5 x 5 round too much ...
        ("lenet", 1, ConvolutionOptions(allow_tf32=True), 2),  # ... but no more than TF32
        ("lenet", 1, ConvolutionOptions(deterministic=False), 1),
    ],
    ids=str,
)
def test_winograds_algorithm_where_it_pays_and_is_exact(host, monkeypatch, case, pays, options, algorithm):
    monkeypatch.setattr(cudnn_module, "WINOGRAD_PAYS", pays)
    monkeypatch.setitem(FORWARD.__dict__, "winograd", 2)  # of the stand-in's, the heuristics' last and the fastest
    x, w, g = problem(case)
    convolution = Cudnn(host.cuda, host.allocate, options).convolution(x, w, np.float32, g)
    convolution.plan(0, FORWARD)
    assert convolution.algorithms[FORWARD].number == algorithm


def test_preferred_algorithms_come_before_the_heuristics(host, monkeypatch):
    monkeypatch.setitem(FORWARD.__dict__, "preferred", (9, 2))
    convolution = lenet(Cudnn(host.cuda, host.allocate))
    convolution.plan(0, FORWARD)
    assert convolution.algorithms[FORWARD].number == 2


def test_no_algorithm_satisfies_the_options(host):
    convolution = lenet(Cudnn(host.cuda, host.allocate, ConvolutionOptions(workspace_bytes=10)))
    with pytest.raises(DeviceError) as caught:
        convolution.plan(0, BACKWARD_WEIGHTS)
    assert "no deterministic algorithm within 10 bytes of workspace for BackwardFilter" in str(caught.value)
    assert "(2, 1, 12, 12)" in str(caught.value) and "larger workspace or other algorithms" in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "allow_tf32", "math"),
    [("float32", False, 3), ("float32", True, 1), ("float64", False, 1), ("float64", True, 1)],
)
def test_tf32_is_used_only_where_allowed(host, dtype, allow_tf32, math):
    # The stand-in advises arithmetic 1, tensor cores, for its algorithm; 3 is plain float32.
    x, w, g = problem("one position")
    cudnn = Cudnn(host.cuda, host.allocate, ConvolutionOptions(allow_tf32=allow_tf32))
    convolution = cudnn.convolution(x, w, np.dtype(dtype), g)
    arrays = [np.zeros(shape, dtype) for shape in (x, w, convolution.y_shape)]
    convolution.forward(0, *(host.pointer(array) for array in arrays))
    assert host.record.math == math


def test_a_planned_pass_neither_searches_nor_allocates(host):
    convolution = lenet(Cudnn(host.cuda, host.allocate))
    convolution.plan(64, *PASSES)
    taken = len(host.sizes)
    searches = ["Get{}Algorithm_v7", "Find{}AlgorithmEx", "Get{}WorkspaceSize"]
    names = [f"cudnn{text.format(f'Convolution{p.name}')}" for p in PASSES for text in searches]
    names += ["cudnnSetConvolutionMathType", "cudnnSetStream", "cudnnCreateTensorDescriptor"]
    before = [host.record.calls(name) for name in names]
    run_forward(host, convolution, 64)
    convolution.plan(64, *PASSES)
    assert [host.record.calls(name) for name in names] == before
    assert len(host.sizes) == taken
    assert host.record.stream == 64


def test_measuring_gives_its_memory_back(host):
    cudnn = Cudnn(host.cuda, host.allocate, ConvolutionOptions(deterministic=False, workspace_bytes=1 << 16))
    lenet(cudnn).plan(0, FORWARD)
    x, w, y = 2 * 12 * 12 * 4, 4 * 25 * 4, 2 * 4 * 8 * 8 * 4
    assert host.sizes == [x, w, y, 1 << 16, 8192]  # its own arrays and workspace, then what the chosen one needs


def test_workspaces_belong_to_streams_and_never_move_while_used(host):
    cudnn = Cudnn(host.cuda, host.allocate)
    assert cudnn.workspace(1, 0) is None
    small = cudnn.workspace(1, 3000)
    assert cudnn.workspace(1, 4096) == small  # rounded up to a power of two
    assert cudnn.workspace(2, 10) not in (small, None)
    large = cudnn.workspace(1, 5000)
    assert large != small and cudnn.workspace(1, 100) == large
    assert host.sizes == [4096, 16, 8192]
    assert [memory.ptr for memory in cudnn._outgrown] == [small]  # a captured graph may still write there


def test_convolutions_are_made_once_for_each_problem_and_options(host):
    cudnn = Cudnn(host.cuda, host.allocate)
    first = lenet(cudnn)
    assert lenet(cudnn) is first
    x, w, g = problem("lenet")
    assert cudnn.convolution(x, w, np.dtype(np.float64), g) is not first
    assert cudnn.convolution((3, *x[1:]), w, np.float32, g) is not first
    cudnn.options = ConvolutionOptions(deterministic=False)
    assert lenet(cudnn) is not first
    cudnn.options = ConvolutionOptions()
    assert lenet(cudnn) is first


def test_the_stream_is_set_where_it_changes(host):
    cudnn = Cudnn(host.cuda, host.allocate)
    before = host.record.calls("cudnnSetStream")
    for stream in (16, 16, 32, 16):
        run_forward(host, lenet(cudnn), stream)
        assert host.record.stream == stream
    assert host.record.calls("cudnnSetStream") - before == 3
    host.record.fail_next("cudnnSetStream", 5000)
    with pytest.raises(DeviceError, match="cudnnSetStream failed with CUDNN_STATUS_EXECUTION_FAILED"):
        run_forward(host, lenet(cudnn), 32)
    for stream in (32, 16):  # neither the new nor the old one is taken to be set
        run_forward(host, lenet(cudnn), stream)
        assert host.record.stream == stream


@pytest.mark.parametrize(
    ("x", "w", "g", "dtype", "found"),
    [
        ((2, 3, 4, 4), (1, 3, 2, 2), ConvGeometry(), "float16", "float32 and float64 here, not float16"),
        ((2, 3, 4), (1, 3, 2), ConvGeometry(), "float32", "different numbers of spatial axes"),
        ((2, 3, 4, 4), (1, 2, 2, 2), ConvGeometry(), "float32", "do not fit in 1 groups"),
        ((2, 4, 4, 4), (3, 2, 2, 2), ConvGeometry(group=2), "float32", "do not fit in 2 groups"),
        ((1, 1, 2**16, 2**15), (1, 1, 1, 1), ConvGeometry(), "float32", "more than 2147483647 elements"),
        ((1,) * 6, (1,) * 6, ConvGeometry(*[(1,) * 4] * 3), "float32", "at most 3 spatial axes, found 4"),
    ],
    ids=["type", "axes", "channels", "outputs", "size", "four axes"],
)
def test_what_cudnn_cannot_do_is_refused(host, x, w, g, dtype, found):
    gc.collect()
    before = host.record.alive
    cudnn = Cudnn(host.cuda, host.allocate)
    with pytest.raises(DeviceError, match=found):
        cudnn.convolution(x, w, np.dtype(dtype), g)
    del cudnn
    gc.collect()
    assert host.record.alive == before


def test_errors_name_the_function_the_library_and_what_helps(host):
    host.record.fail_next("cudnnCreate", 1001)
    with pytest.raises(DeviceError) as caught:
        Cudnn(host.cuda, host.allocate)
    text = str(caught.value)
    assert text.startswith(f"cuDNN 9.4.1 ({host.path}, NETFORGE_CUDNN): cudnnCreate failed")
    assert "CUDNN_STATUS_NOT_INITIALIZED (said by the stand-in)" in text and "nvidia-smi" in text


def test_a_pass_that_fails_says_so(host):
    convolution = lenet(Cudnn(host.cuda, host.allocate))
    host.record.fail_next("cudnnConvolutionForward", 5000)
    with pytest.raises(DeviceError, match="cudnnConvolutionForward failed with CUDNN_STATUS_EXECUTION_FAILED"):
        run_forward(host, convolution)


def test_everything_is_destroyed_with_its_object(host):
    gc.collect()
    before = host.record.alive
    cudnn = Cudnn(host.cuda, host.allocate)
    lenet(cudnn).plan(0, *PASSES)
    assert host.record.alive == before + 1 + 3 + 3  # the handle, x, y and w, a window for each pass
    del cudnn
    gc.collect()
    assert host.record.alive == before


def test_the_end_of_the_interpreter_is_silent(host):
    code = (
        "import numpy as np\nfrom netforge.device.cudnn import Cudnn\n"
        "from netforge.device.operations.convolution import ConvGeometry\n"
        "keep = Cudnn(12, None).convolution((1, 1, 4, 4), (1, 1, 2, 2), np.float32, ConvGeometry())\n"
        "print(keep.y_shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1, 1, 3, 3)\n", "")


@pytest.fixture(params=[11, 12, 13])
def real(request, monkeypatch):
    """The real cuDNN for each version of CUDA; descriptors need no driver."""
    monkeypatch.delenv("NETFORGE_CUDNN", raising=False)
    try:
        return request.param, load(CUDNN, request.param)
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_the_real_library_agrees_on_output_shapes(real, case, dtype):
    x, w, g = problem(case)
    descriptors = ConvolutionDescriptors(CudnnFunctions(real[1]), x, w, np.dtype(dtype), g, FMA_MATH)
    assert descriptors.y_shape == (x[0], w[0], *conv_output_shape(x[2:], w[2:], g))


def test_the_real_library_says_what_is_wrong(real):
    cuda, library = real
    functions = CudnnFunctions(library)
    with pytest.raises(DeviceError, match="cudnnSetConvolutionGroupCount failed with CUDNN_STATUS_BAD_PARAM"):
        functions.call("SetConvolutionGroupCount", None, 1)
    try:
        Cudnn(cuda, lambda size: pytest.fail("nothing has to be allocated yet"))
    except DeviceError as error:  # without a driver
        assert "cudnnCreate failed with CUDNN_STATUS_NOT_INITIALIZED" in str(error)
        assert "nvidia-smi" in str(error)
