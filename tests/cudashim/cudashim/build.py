"""Compiling kernel text with g++, kept by content in a cache folder."""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SANITIZERS = {
    "": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"],
    "thread": ["-fsanitize=thread", "-fno-omit-frame-pointer"],
}
# No fused multiply-add, no reordering: as close to plain IEEE as the references in NumPy are.
FLAGS = ["-std=c++17", "-fPIC", "-shared", "-w", "-g1", "-ffp-contract=off", "-fno-strict-aliasing"]


def compiler() -> str | None:
    """The path of g++ ($CXX where set), or None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


def sanitizer() -> str:
    """Which sanitizer this process builds kernels with: "", "address" (with undefined behaviour) or "thread"."""
    return os.environ.get("CUDASHIM_SANITIZE", "")


def sanitizer_environment(name: str) -> dict[str, str]:
    """The environment of a Python process that runs kernels under sanitizer `name`, "address" or "thread"."""
    library = {"address": "libasan.so", "thread": "libtsan.so"}[name]
    path = subprocess.run(
        [compiler() or "g++", f"-print-file-name={library}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        **os.environ,
        "LD_PRELOAD": path,
        "CUDASHIM_SANITIZE": name,
        "CUDASHIM_CACHE": str(cache_folder()),
        "OPENBLAS_NUM_THREADS": "1",
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:exitcode=66",
    }


@functools.cache
def cache_folder() -> Path:
    """Where compiled kernels lie: $CUDASHIM_CACHE, or a folder that goes when this process ends."""
    if named := os.environ.get("CUDASHIM_CACHE"):
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.mkdtemp(prefix="cudashim-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def runtime() -> ctypes.CDLL:
    """The runtime, compiled once, with its symbols open to the kernels' libraries."""
    text = (HERE / "runtime.cpp").read_text()
    path = shared_library(
        text, ["-std=c++17", "-fPIC", "-shared", "-O2", f"-I{HERE}"], [HERE / "fiber.h", HERE / "threads.h"]
    )
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    library.cudashim_last_error.restype = ctypes.c_char_p
    return library


def kernel_library(text: str, defines: Sequence[str]) -> ctypes.CDLL:
    """Compile a module's text, already turned into C++, and load it."""
    runtime()
    flags = [*FLAGS, "-O1", *SANITIZERS[sanitizer()], f"-I{HERE}", *defines]
    return ctypes.CDLL(str(shared_library(text, flags, [HERE / "cudashim.h"])))


def shared_library(text: str, flags: Sequence[str], headers: Sequence[Path]) -> Path:
    """Compile C++ text, unless the same text, flags and headers were before; raises RuntimeError with g++'s words."""
    program = compiler()
    if program is None:
        raise RuntimeError("no C++ compiler: install g++ or set CXX")
    content = "\0".join([program, text, *flags, *(h.read_text() for h in headers)])
    library = cache_folder() / (hashlib.sha256(content.encode()).hexdigest()[:24] + ".so")
    if not library.exists():
        unfinished = library.with_suffix(f".{os.getpid()}")
        command = [program, *flags, "-x", "c++", "-", "-o", str(unfinished)]
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        os.replace(unfinished, library)
    return library
