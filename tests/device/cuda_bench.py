"""A CUDA device to test: on the stand-ins for CuPy, cuDNN and cuBLAS, or a real GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netforge.device.cuda import CudaDevice
from tests.cudashim.vendor.build import build_cublas, build_cudnn, has_compiler

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cudashim"))


def standin(monkeypatch: pytest.MonkeyPatch, gpus: int = 1, *, cudnn: bool = True, **options: Any) -> ModuleType:
    """Put stand-ins for CuPy and NVIDIA's libraries in place and return the one for CuPy; skips without a compiler."""
    if not has_compiler():
        pytest.skip("no C++ compiler: install g++ to run the CUDA device on a CPU")
    import fakecupy

    libraries = [build_cublas(), *([build_cudnn()] if cudnn else [])]
    module = fakecupy.module(gpus, libraries=libraries, **options)
    monkeypatch.setitem(sys.modules, "cupy", module)
    monkeypatch.setattr("netforge.device.probe._driver_version", module.cuda.runtime.driverGetVersion)
    monkeypatch.setenv("NETFORGE_CUBLAS", str(build_cublas()))
    monkeypatch.setenv("NETFORGE_CUDNN", str(build_cudnn()) if cudnn else "/nowhere/libcudnn.so")
    return module


def standin_device(cudnn: bool = True) -> Iterator[CudaDevice]:
    """A CUDA device on the stand-ins, for as long as a fixture wants it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        standin(monkeypatch, cudnn=cudnn)
        yield CudaDevice()


def real_device() -> CudaDevice:
    """A GPU; skips, or fails where NETFORGE_REQUIRE_GPU=1 asks for one, when there is none."""
    from netforge.device.probe import probe

    found = probe()
    if not found.gpus:
        (pytest.fail if os.environ.get("NETFORGE_REQUIRE_GPU") == "1" else pytest.skip)(f"no GPU: {found.problem}")
    return CudaDevice()
