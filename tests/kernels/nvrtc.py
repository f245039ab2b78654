"""NVIDIA's compiler through ctypes: needs no GPU, driver or CuPy, only the library (pip: nvidia-cuda-nvrtc-cu11)."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DISTRIBUTIONS = ("nvidia-cuda-nvrtc-cu11", "nvidia-cuda-nvrtc-cu12")
"""pip's packages of it that know sm_70, sm_80 and sm_90; the one for CUDA 13 has dropped sm_70."""

OPTIONS = ("-std=c++17", "-ftz=true", "--ptxas-options=-v")


_APART = ThreadPoolExecutor(1)
"""NVRTC leaves the locale of its thread at "C", with which Python reads files as ASCII: it gets a thread of its own."""


class NvrtcError(Exception):
    """Text that NVRTC refused; the message is its log."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The installed library, None where there is none."""
    for name in DISTRIBUTIONS:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found = [Path(str(f.locate())) for f in files if re.fullmatch(r"libnvrtc\.so\.[\d.]+", f.name)]
        if found and found[0].exists():
            loaded = ctypes.CDLL(str(found[0]))
            loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
            return loaded
    return None


def compile_cubin(text: str, architecture: int) -> str:
    """Compile for compute capability `architecture` (80 for 8.0) to machine code; gives the log, with all registers."""
    return _APART.submit(_compile, text, (f"-arch=sm_{architecture}", *OPTIONS)).result()[1]


def compile_ptx(text: str, architecture: int) -> str:
    """Compile for compute capability `architecture` to PTX; gives its text."""
    return _APART.submit(_compile, text, (f"-arch=compute_{architecture}", *OPTIONS[:2])).result()[0]


def _compile(text: str, options: tuple[str, ...]) -> tuple[str, str]:
    nvrtc = library()
    assert nvrtc is not None
    program = ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None))
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
        log = _text(program, "ProgramLog")
        if failed:
            raise NvrtcError(log)
        return _text(program, "PTX"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(program: ctypes.c_void_p, what: str) -> str:
    nvrtc, size = library(), ctypes.c_size_t()
    assert nvrtc is not None
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.value.decode()


def _check(status: int) -> None:
    if status:
        nvrtc = library()
        assert nvrtc is not None
        raise NvrtcError(nvrtc.nvrtcGetErrorString(status).decode())
