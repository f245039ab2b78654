"""The CUDA device: what is found on computers with and without a GPU, memory, streams."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from netforge import device as devices
from netforge.cli import cli
from netforge.device import get_device
from netforge.device.cuda import CudaDevice
from netforge.device.probe import probe
from netforge.errors import DeviceError
from tests.device.cuda_bench import standin


@pytest.fixture
def fresh():
    """No device from before, and none left behind."""
    caches = (devices._best, devices._cuda)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def cuda(monkeypatch) -> CudaDevice:
    standin(monkeypatch)
    return CudaDevice()


# --- what is there ---------------------------------------------------------------------------------------------------


def test_importing_netforge_loads_no_cupy():
    script = (
        "import sys, netforge; from netforge.device import get_device; get_device('cpu'); print('cupy' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_without_cupy_the_extra_is_named(monkeypatch, fresh):
    monkeypatch.setattr("netforge.device.probe._driver_version", lambda: 0)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert probe().cupy is None and not probe().gpus
    with pytest.raises(DeviceError, match=r"cuda:2.*CuPy is not installed. Run: pip install 'netforge\[cuda12\]'"):
        get_device("cuda:2")
    assert get_device("auto") is get_device("cpu")


@pytest.mark.parametrize(
    ("driver", "extra"), [(0, "cuda12"), (10020, "cuda12"), (11040, "cuda11"), (12090, "cuda12"), (14000, "cuda13")]
)
def test_the_extra_fits_the_driver(monkeypatch, driver, extra):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr("netforge.device.probe._driver_version", lambda: driver)
    assert probe().mend == f"run: pip install 'netforge[{extra}]'"


def test_without_a_driver_the_cpu_is_used(monkeypatch, fresh):
    standin(monkeypatch, gpus=0)
    with pytest.raises(DeviceError, match=r"there is no NVIDIA driver. Install NVIDIA's driver"):
        get_device("cuda")
    assert get_device("auto").name == "cpu"
    for wish in ({"allow_tf32": True}, {"deterministic": False}):
        with pytest.raises(DeviceError, match="cannot be had: there is no GPU that works"):
            get_device("auto", **wish)


def test_a_driver_older_than_cupy(monkeypatch):
    standin(monkeypatch, gpus=0, version=13000)
    monkeypatch.setattr("netforge.device.probe._driver_version", lambda: 12020)
    found = r"CuPy needs CUDA 13.0, the driver supports CUDA 12.2. .* remove cupy-cuda13x and run: .*\[cuda12\]"
    with pytest.raises(DeviceError, match=found):
        CudaDevice()


def test_a_cupy_for_an_unknown_cuda(monkeypatch):
    standin(monkeypatch, version=10020)
    with pytest.raises(DeviceError, match=r"built for CUDA 10.2, netforge knows CUDA 11, 12, 13"):
        CudaDevice()


def test_a_broken_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    with pytest.raises(DeviceError, match=r"CuPy cannot be loaded .*Remove every cupy package"):
        CudaDevice()


def test_a_gpu_that_is_not_there(monkeypatch):
    standin(monkeypatch, gpus=2)
    with pytest.raises(DeviceError, match=r"cuda:2.*there are cuda:0 to cuda:1"):
        CudaDevice(2)
    assert CudaDevice(1).gpu.index == 1


def test_auto_takes_the_first_gpu(monkeypatch, fresh):
    standin(monkeypatch)
    assert get_device("auto") is get_device("cuda:0") is get_device("cuda")
    assert get_device("cuda", allow_tf32=True) is not get_device("cuda")
    assert get_device("cuda", allow_tf32=True).ops.cublas.allow_tf32


def test_auto_says_why_it_took_the_cpu(monkeypatch, fresh, caplog):
    standin(monkeypatch)
    monkeypatch.setenv("NETFORGE_CUBLAS", "/nowhere/libcublas.so")
    assert get_device("auto").name == "cpu"
    assert "using the CPU: NETFORGE_CUBLAS: no cuBLAS" in caplog.text


def test_description(cuda):
    lines = cuda.describe()
    assert lines[0].startswith("cuda:0: Stand-in 0, compute capability 8.6, 1.0 GiB, CuPy 14.2.0 for CUDA 12.9")
    assert lines[1] == "cuda:0: deterministic algorithms, full float32 products"
    assert [name in line for name, line in zip(("NVRTC", "cuBLAS", "cuDNN"), lines[2:], strict=True)] == [True] * 3


def test_the_compiler_is_loaded_for_a_cupy_that_does_not_look_for_it(monkeypatch):
    standin(monkeypatch)
    loaded = []
    monkeypatch.setattr("netforge.device.libraries.load", lambda wanted, cuda: loaded.append((wanted.title, cuda)))
    CudaDevice()
    assert loaded == [("NVRTC", 12)]


@pytest.mark.parametrize(
    ("work", "found"),
    [
        ("fill", r"does not compute \(ImportError: no compiler\); no NVRTC for CUDA 12.*pip install nvidia-cuda-nvrtc"),
        ("matmul", "computes wrong numbers"),
    ],
)
def test_a_gpu_that_does_not_compute_is_told(work, found, cuda, monkeypatch, fresh, tmp_path):
    def broken(*arrays, **options):
        if work == "fill":
            raise ImportError("no compiler")

    cuda.check()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr("netforge.device.libraries.CUDA_FOLDERS", ())
    monkeypatch.setattr(type(cuda.ops), work, broken)
    with pytest.raises(DeviceError, match=f"cuda:0.*{found}"):
        cuda.check()
    result = CliRunner().invoke(cli, ["device-query"])
    assert "cuda:0: Stand-in 0" in result.output and f"\ncuda: {'device'}" in result.output
    assert CliRunner().invoke(cli, ["device-query", "--device", "cuda:0"]).exit_code == 1


# --- memory and streams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", [np.float32(3), np.arange(6.0).reshape(2, 3)[:, ::-2], np.zeros((0, 2), np.int64)])
def test_there_and_back(cuda, array):
    there = cuda.from_host(np.asarray(array))
    assert there.flags.c_contiguous
    back = cuda.to_host(there)
    assert type(back) is np.ndarray and back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_what_is_copied_from_the_host_is_a_copy(cuda):
    array = np.zeros(3)
    there = cuda.from_host(array)
    array[0] = 1
    assert not cuda.to_host(there).any()


@pytest.mark.parametrize(
    "allocate", [lambda d: d.zeros((1 << 20,), np.float32), lambda d: d.from_host(np.ones(1 << 20))]
)
def test_memory_that_runs_out_says_what_to_do(monkeypatch, allocate):
    standin(monkeypatch, memory_bytes=1 << 20)
    with pytest.raises(DeviceError, match=r"memory of cuda:0 .* ran out.*Lower batch_size, and raise iter_size"):
        allocate(CudaDevice())


def test_its_stream_is_current_while_it_runs(monkeypatch):
    cupy = standin(monkeypatch, gpus=2)
    device, current = CudaDevice(1), cupy.cuda.get_current_stream
    outside = current()
    with device.running():
        assert current() is device.stream and cupy.cuda.runtime.getDevice() == 1
        with device.running():
            assert current() is device.stream
        assert current() is device.stream
    assert current() is outside and cupy.cuda.runtime.getDevice() == 0
    with pytest.raises(KeyError), device.running():
        raise KeyError
    assert current() is outside and cupy.cuda.runtime.getDevice() == 0


def test_work_waits_for_what_came_before_it(monkeypatch):
    cupy = standin(monkeypatch)
    device = CudaDevice()
    waits = []
    monkeypatch.setattr(type(device.stream), "wait_event", lambda self, event: waits.append(self.ptr))
    with device.running():
        assert waits == [device.stream.ptr]
    assert waits == [device.stream.ptr, cupy.cuda.get_current_stream().ptr]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "deterministic algorithms, full float32 products"),
        (["--no-deterministic", "--allow-tf32"], "the fastest algorithms, float32 rounded to TF32 in products"),
    ],
)
def test_device_query_says_how_a_gpu_computes(monkeypatch, fresh, options, words):
    standin(monkeypatch)
    result = CliRunner().invoke(cli, ["device-query", *options])
    assert f"cuda:0: {words}\n" in result.output and "cpu: NumPy" in result.output
