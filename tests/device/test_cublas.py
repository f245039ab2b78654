"""Matrix products by cuBLAS against NumPy: on a stand-in for it, and on a GPU where there is one."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

from netforge.device.cublas import Cublas, Matrix
from netforge.device.libraries import CUBLAS, load
from netforge.device.operations import Ops
from netforge.errors import DeviceError
from tests.cudashim.vendor.bench import HostBench, gpu_bench, host_bench
from tests.cudashim.vendor.build import build_cublas

SHAPES = [(1, 1, 1), (5, 3, 4), (1, 7, 2), (7, 1, 2), (16, 33, 17)]


@pytest.fixture
def host(monkeypatch) -> HostBench:
    return host_bench(monkeypatch, "NETFORGE_CUBLAS", build_cublas)


@pytest.fixture(params=["stand-in", pytest.param("gpu", marks=pytest.mark.gpu)])
def bench(request):
    return gpu_bench() if request.param == "gpu" else request.getfixturevalue("host")


def matrix(bench, array) -> Matrix:
    """A device array of one matrix, or of several of the same shape."""
    *_, rows, columns = array.shape
    return Matrix(bench.pointer(array), rows, columns, columns, rows * columns if array.ndim > 2 else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("accumulate", [False, True])
def test_products_equal_the_reference(bench, rng, dtype, shape, transpose_a, transpose_b, accumulate):
    m, n, k = shape
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    expected = rng.standard_normal((m, n)).astype(dtype)
    device = [bench.put(array) for array in (a, b, expected)]
    options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "accumulate": accumulate}
    Cublas(bench.cuda, bench.allocate).matmul(*(matrix(bench, d) for d in device), dtype, bench.stream, **options)
    Ops().matmul(a, b, expected, **options)
    tolerance = bench.tolerance[dtype]
    np.testing.assert_allclose(bench.get(device[2]), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_overwritten_even_where_they_were_not_numbers(bench, dtype):
    a, b, out = (bench.put(np.full((2, 2), value, dtype)) for value in (1, 2, np.nan))
    Cublas(bench.cuda, bench.allocate).matmul(*(matrix(bench, d) for d in (a, b, out)), dtype, bench.stream)
    np.testing.assert_array_equal(bench.get(out), np.full((2, 2), 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_of_larger_matrices(bench, rng, dtype):
    whole = rng.standard_normal((6, 8)).astype(dtype)
    device, out = bench.put(whole), bench.put(np.zeros((4, 9), dtype))
    size, start = whole.itemsize, bench.pointer(device)
    left = Matrix(start, 3, 2, 8)  # whole[:3, :2]
    right = Matrix(start + (8 + 3) * size, 2, 4, 8)  # whole[1:3, 3:7]
    Cublas(bench.cuda, bench.allocate).matmul(left, right, Matrix(bench.pointer(out), 3, 4, 9), dtype, bench.stream)
    expected = np.zeros((4, 9))
    expected[:3, :4] = whole[:3, :2] @ whole[1:3, 3:7]
    np.testing.assert_allclose(bench.get(out), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_batches_of_products_may_share_a_factor(bench, rng, dtype, transpose_b):
    a = rng.standard_normal((3, 4)).astype(dtype)
    b = rng.standard_normal((5, 2, 4) if transpose_b else (5, 4, 2)).astype(dtype)
    device = [bench.put(array) for array in (a, b, np.zeros((5, 3, 2), dtype))]
    Cublas(bench.cuda, bench.allocate).matmul(
        *(matrix(bench, d) for d in device), dtype, bench.stream, transpose_b=transpose_b, count=5
    )
    expected = a @ (b.swapaxes(1, 2) if transpose_b else b)
    np.testing.assert_allclose(bench.get(device[2]), expected, rtol=1e-5, atol=1e-5)


def square(bench, blas, stream, dtype="float32"):
    a = bench.put(np.eye(2, dtype=dtype))
    blas.matmul(*[matrix(bench, a)] * 2, matrix(bench, bench.put(a)), dtype, stream)


def test_each_stream_has_its_own_workspace_set_after_it(host):
    blas = Cublas(host.cuda, host.allocate, workspace_bytes=4096)
    before = host.record.calls("cublasSetStream_v2")
    for stream in (16, 16, 32, 16, 32, 32):
        square(host, blas, stream)
        assert (host.record.stream, host.record.workspace) == (stream, 4096)
    assert host.sizes == [4096, 4096]
    assert host.record.calls("cublasSetStream_v2") - before == 4  # only where the stream changes


def test_a_failed_change_of_stream_is_made_again(host):
    blas = Cublas(host.cuda, host.allocate)
    square(host, blas, 16)
    host.record.fail_next("cublasSetWorkspace_v2", 13)
    with pytest.raises(DeviceError, match="cublasSetWorkspace_v2 failed with EXECUTION_FAILED"):
        square(host, blas, 32)
    square(host, blas, 16)
    assert host.record.stream == 16


def test_tf32_is_off_until_allowed(host):
    blas = Cublas(host.cuda, host.allocate)
    square(host, blas, 0)
    assert host.record.math == 0
    blas.allow_tf32 = True
    square(host, blas, 0)
    assert host.record.math == 3
    blas.allow_tf32 = False
    square(host, blas, 0)
    assert host.record.math == 0


@pytest.mark.parametrize(
    ("a", "b", "out", "dtype"),
    [
        ((2, 3), (4, 5), (2, 5), "float32"),
        ((2, 3), (3, 5), (5, 2), "float32"),
        ((2, 3), (3, 5), (2, 5), "int32"),
    ],
)
def test_what_does_not_fit_is_refused(host, a, b, out, dtype):
    blas = Cublas(host.cuda, host.allocate)
    with pytest.raises(DeviceError, match=rf"no product of matrices .* into {out[0]} x {out[1]} in {dtype}"):
        blas.matmul(*(Matrix(1, *shape, shape[1]) for shape in (a, b, out)), dtype, 0)


def test_sizes_beyond_32_bits_are_refused(host):
    blas, n = Cublas(host.cuda, host.allocate), 2**31
    with pytest.raises(DeviceError, match="too large for cuBLAS"):
        blas.matmul(Matrix(1, n, 1, 1), Matrix(1, 1, 1, 1), Matrix(1, n, 1, 1), "float32", 0)


def test_errors_name_the_function_the_library_and_what_helps(host):
    host.record.fail_next("cublasCreate_v2", 1)
    with pytest.raises(DeviceError) as caught:
        Cublas(host.cuda, host.allocate)
    assert str(caught.value).startswith(f"cuBLAS 12.2.3 ({host.path}, NETFORGE_CUBLAS): cublasCreate_v2 failed")
    assert "NOT_INITIALIZED" in str(caught.value) and "nvidia-smi" in str(caught.value)
    host.record.fail_next("cublasCreate_v2", 99)
    with pytest.raises(DeviceError, match="failed with status 99"):
        Cublas(host.cuda, host.allocate)


def test_the_handle_is_destroyed_with_its_object(host):
    gc.collect()
    before = host.record.alive
    blas = Cublas(host.cuda, host.allocate)
    assert host.record.alive == before + 1
    del blas
    gc.collect()
    assert host.record.alive == before


def test_the_end_of_the_interpreter_is_silent(host):
    code = "from netforge.device.cublas import Cublas; keep = Cublas(12, None); print('made')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "made\n", "")


@pytest.mark.parametrize("cuda", [11, 12, 13])
def test_the_real_library_has_every_function(cuda, monkeypatch):
    monkeypatch.delenv("NETFORGE_CUBLAS", raising=False)
    try:
        library = load(CUBLAS, cuda)
    except DeviceError as error:
        pytest.skip(str(error))
    assert library.version[0] == cuda
    try:
        Cublas(cuda, lambda size: pytest.fail("nothing has to be allocated yet"))
    except DeviceError as error:  # without a driver: all functions were found, and creating a handle failed
        assert "cublasCreate_v2 failed with NOT_INITIALIZED" in str(error)
