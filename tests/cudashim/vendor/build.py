"""Stand-ins for cuDNN and cuBLAS on host memory: built with g++, and read back by tests."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


def has_compiler() -> bool:
    """Whether there is a C++ compiler."""
    from cudashim.build import compiler

    return compiler() is not None


def build_text(text: str, soname: str = "") -> Path:
    """A shared library of some C++ text, known to the linker as `soname` where given."""
    from cudashim.build import shared_library

    flags = ["-std=c++17", "-fPIC", "-shared", "-O1", "-Wall", "-Werror", f"-I{HERE}"]
    flags += [f"-Wl,-soname,{soname}"] if soname else []
    return shared_library(text, flags, [HERE / "standin.h"])


def build_cudnn(cuda: int = 12, version: int = 9) -> Path:
    """A stand-in for a version of cuDNN, built for a major version of CUDA."""
    defines = f"#define STANDIN_CUDNN {version}\n#define STANDIN_CUDA {cuda}\n"
    return build_text(defines + (HERE / "cudnn.cpp").read_text())


def build_cublas(cuda: int = 12) -> Path:
    """A stand-in for cuBLAS of a major version of CUDA."""
    return build_text(f"#define STANDIN_CUDA {cuda}\n" + (HERE / "cublas.cpp").read_text())


class Record:
    """What a stand-in was asked to do, and how to make it fail."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.standin_last_stream.restype = ctypes.c_void_p
        self._library.standin_last_workspace.restype = ctypes.c_size_t

    def calls(self, name: str) -> int:
        """How often a function was called."""
        return self._library.standin_calls(name.encode())

    def fail_next(self, name: str, status: int) -> None:
        """Let the next call of a function answer with a status."""
        self._library.standin_fail_next(name.encode(), status)

    @property
    def alive(self) -> int:
        """Handles and descriptors that were made and not destroyed."""
        return self._library.standin_alive()

    @property
    def algorithm(self) -> int:
        """Number of the algorithm of the latest pass."""
        return self._library.standin_last_algorithm()

    @property
    def math(self) -> int:
        """Arithmetic of the latest pass or product."""
        return self._library.standin_last_math()

    @property
    def stream(self) -> int:
        """Stream of the latest pass or product."""
        return self._library.standin_last_stream() or 0

    @property
    def workspace(self) -> int:
        """Bytes of workspace of the latest pass or product."""
        return self._library.standin_last_workspace()
