"""What there is for CUDA on this computer: driver, CuPy, GPUs. Looking never raises.

CuPy may be installed where no driver is (CuPy for CUDA 11 then raises even where it is asked whether a GPU is there),
a driver may be older than CuPy's CUDA, and two builds of CuPy may have been installed over each other.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from netforge.errors import DeviceError

SUPPORTED = (11, 12, 13)
"""Major versions of CUDA for which there is an extra, `netforge[cuda11]` and so on."""

_LOOK = "check with nvidia-smi that an NVIDIA GPU is there and that its driver runs"


@dataclass(frozen=True)
class Gpu:
    """A GPU. compute_capability: "90" for 9.0. memory_bytes: all of its memory. processors: its multiprocessors."""

    index: int
    name: str
    compute_capability: str
    memory_bytes: int
    processors: int


@dataclass(frozen=True)
class Findings:
    """What was found. Where there is no usable GPU, `problem` says why and `mend` what to do.

    cupy: the module, None where it is missing or broken. runtime, driver: versions of CUDA that CuPy was built for and
    that the driver supports, as CUDA counts them (12090 for 12.9); 0 where unknown.
    """

    cupy: ModuleType | None = None
    runtime: int = 0
    driver: int = 0
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None
    mend: str | None = None

    def require(self, index: int) -> tuple[ModuleType, Gpu]:
        """CuPy and the GPU with that number; raises DeviceError where there is none, with what to do."""
        name = f'device "cuda:{index}"'
        if self.cupy is None or self.problem is not None:
            raise DeviceError(f"{name} is not usable: {self.problem}", mend=self.mend)
        for gpu in self.gpus:
            if gpu.index == index:
                return self.cupy, gpu
        last = len(self.gpus) - 1
        found = "cuda:0 is the only GPU" if last == 0 else f"there are cuda:0 to cuda:{last}"
        raise DeviceError(f"{name} is not there: {found}", mend=f"use one of them; {_LOOK}")


def probe() -> Findings:
    """Look for CuPy and GPUs. No exception leaves this function."""
    driver = _driver_version()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy warns where two of its builds are installed
            cupy = importlib.import_module("cupy")
            runtime = int(cupy.cuda.runtime.runtimeGetVersion())
    except ModuleNotFoundError as error:
        missing = "CuPy is not installed" if error.name == "cupy" else f"CuPy is incomplete ({error})"
        return Findings(driver=driver, problem=missing, mend=_install(driver))
    except Exception as error:
        return Findings(
            driver=driver,
            problem=f"CuPy cannot be loaded ({type(error).__name__}: {error})",
            mend=f"remove every cupy package that pip list shows, then {_install(driver)}",
        )
    return _with_gpus(cupy, runtime, driver)


def _with_gpus(cupy: ModuleType, runtime: int, driver: int) -> Findings:
    if runtime // 1000 not in SUPPORTED:
        versions = ", ".join(map(str, SUPPORTED))
        problem = f"CuPy was built for CUDA {_version(runtime)}, netforge knows CUDA {versions}"
        return Findings(cupy, runtime, driver, problem=problem, mend=_install(driver))
    try:
        gpus = tuple(_describe(cupy, index) for index in range(cupy.cuda.runtime.getDeviceCount()))
    except Exception as error:
        return Findings(cupy, runtime, driver, problem=_why_none(runtime, driver, error), mend=_mend(runtime, driver))
    if not gpus:
        return Findings(
            cupy, runtime, driver, problem="CUDA sees no GPU", mend=f"{_LOOK}, and unset an empty CUDA_VISIBLE_DEVICES"
        )
    return Findings(cupy, runtime, driver, gpus)


def _describe(cupy: ModuleType, index: int) -> Gpu:
    properties: dict[str, Any] = cupy.cuda.runtime.getDeviceProperties(index)
    return Gpu(
        index,
        properties["name"].decode(errors="replace"),
        f"{properties['major']}{properties['minor']}",
        int(properties["totalGlobalMem"]),
        int(properties["multiProcessorCount"]),
    )


def _driver_version() -> int:
    """The version of CUDA that the driver supports, asked from the driver itself; 0 where there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        version = ctypes.c_int()
        return version.value if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0
    except (OSError, AttributeError):
        return 0


def _install(driver: int) -> str:
    """The command that installs CuPy: for the driver's version of CUDA, or for CUDA 12 where that is unknown."""
    fitting = [major for major in SUPPORTED if major <= driver // 1000]
    return f"run: pip install 'netforge[cuda{fitting[-1] if fitting else 12}]'"


def _why_none(runtime: int, driver: int, error: Exception) -> str:
    if not driver:
        return "there is no NVIDIA driver"
    if driver // 1000 < runtime // 1000:
        return f"CuPy needs CUDA {_version(runtime)}, the driver supports CUDA {_version(driver)}"
    return f"CUDA answers {error}"


def _mend(runtime: int, driver: int) -> str:
    if driver and driver // 1000 < runtime // 1000:
        return f"install a newer driver, or remove cupy-cuda{runtime // 1000}x and {_install(driver)}"
    return _LOOK if driver else f"install NVIDIA's driver; {_LOOK}"


def _version(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def describe_version(version: int) -> str:
    """A version as CUDA counts them, for people: 12090 is "12.9", 0 "unknown"."""
    return _version(version) if version else "unknown"
