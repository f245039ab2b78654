"""Where vendor libraries are tried: stand-ins on host memory, or the real ones on a GPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cudashim.vendor.build import Record, has_compiler

STREAM = 0x7100


class HostMemory:
    """Host memory in the place of a device's, its last byte guarded by nothing but the stand-ins' own writes."""

    def __init__(self, size: int) -> None:
        self.array = np.zeros(size, np.uint8)

    @property
    def ptr(self) -> int:
        """Address of the first byte."""
        return self.array.ctypes.data


class HostBench:
    """Stand-ins: arrays are NumPy's, streams are numbers. sizes: of the memory that was asked for."""

    cuda = 12
    stream = STREAM
    tolerance = {"float32": 2e-5, "float64": 1e-12}

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = Record(path)
        self.sizes: list[int] = []

    def allocate(self, size: int) -> HostMemory:
        """Memory, counted."""
        self.sizes.append(size)
        return HostMemory(size)

    def put(self, array: np.ndarray) -> np.ndarray:
        """A C-contiguous copy where the library can read it."""
        return np.array(array, order="C")

    def pointer(self, array: np.ndarray) -> int:
        """Address of the first element."""
        return array.ctypes.data

    def get(self, array: np.ndarray) -> np.ndarray:
        """The values."""
        return array


class GpuBench:
    """The real libraries, on CuPy's current device."""

    tolerance = {"float32": 2e-4, "float64": 1e-11}

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy
        self.cuda = cupy.cuda.runtime.runtimeGetVersion() // 1000
        self.allocate = cupy.cuda.alloc
        self.stream = cupy.cuda.get_current_stream().ptr

    def put(self, array: np.ndarray) -> Any:
        """A C-contiguous copy on the device."""
        return self.cupy.array(array, order="C")

    def pointer(self, array: Any) -> int:
        """Address of the first element."""
        return array.data.ptr

    def get(self, array: Any) -> np.ndarray:
        """The values, once all work is done."""
        return self.cupy.asnumpy(array)


def host_bench(monkeypatch: pytest.MonkeyPatch, variable: str, build: Any, *arguments: int) -> HostBench:
    """A bench on a stand-in that `build` makes, which `variable` now names; skips where there is no compiler."""
    if not has_compiler():
        pytest.skip("no C++ compiler: install g++ to build the stand-ins for NVIDIA's libraries")
    path = build(*arguments)
    monkeypatch.setenv(variable, str(path))
    return HostBench(path)


def gpu_bench() -> GpuBench:
    """A bench on a GPU; skips, or fails where NETFORGE_REQUIRE_GPU=1 asks for one, when there is none."""
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy is missing, or has no driver: each raises errors of its own
        count, reason = 0, f"no GPU: {error}"
    else:
        reason = "no GPU"
    if not count:
        (pytest.fail if os.environ.get("NETFORGE_REQUIRE_GPU") == "1" else pytest.skip)(reason)
    return GpuBench()
