"""RawModule and RawKernel, called as CuPy's are, with every launch checked."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from cudashim.build import kernel_library, runtime

ORDERS = {"forward": 0, "reversed": 1, "shuffled": 2}
LARGEST_GRID = (2**31 - 1, 65535, 65535)
LARGEST_BLOCK = (1024, 1024, 64)
LARGEST_THREADS = 1024
LARGEST_SHARED_BYTES = 48 << 10  # without asking the driver for more

_DYNAMIC_SHARED = re.compile(r"\bextern\s+__shared__\s+(?:__align__\([^)]*\)\s+)?([^;\[\]]+?)\s*\b(\w+)\s*\[\s*\]\s*;")
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\("
)
_MACRO = re.compile(r'^#define (\w+)\((\w+)\) extern "C" __global__ void \2##(\w+)$', re.M)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)

_order = (ORDERS["forward"], 0)


class LaunchError(Exception):
    """A launch that CUDA would refuse, get wrong in silence, or never finish."""


@contextlib.contextmanager
def thread_order(order: str, seed: int = 0) -> Iterator[None]:
    """Start threads (and blocks) "forward", "reversed" or "shuffled" in all launches inside the `with`."""
    global _order
    before, _order = _order, (ORDERS[order], seed)
    try:
        yield
    finally:
        _order = before


class _Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_size_t),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
    ]


class RawModule:
    """The kernels of a text, all of them `extern "C" __global__ void`.

    options: those that begin with -D are used, others (-std, -I) have no meaning here.
    """

    def __init__(self, *, code: str, options: Sequence[str] = (), **_: Any) -> None:
        defines = [option for option in options if option.startswith("-D")]
        self.names = _KERNEL.findall(_COMMENT.sub(_same_lines, code)) + _named_by_macro(code)
        body = _DYNAMIC_SHARED.sub(r"\1* \2 = reinterpret_cast<\1*>(cudashim_dynamic_shared());", code)
        exports = "".join(f"CUDASHIM_EXPORT({name})\n" for name in self.names)
        self._library = kernel_library(f'#include "cudashim.h"\n#line 1 "kernel.cu"\n{body}\n{exports}', defines)

    def get_function(self, name: str) -> RawKernel:
        """The kernel of that name."""
        if name not in self.names:
            raise AttributeError(f"{name}: no kernel of this text; it has {', '.join(self.names)}")
        return RawKernel._of_module(self._library, name)


class RawKernel:
    """One kernel; `signature` holds its parameters' codes, such as "Cf4" for const float*."""

    def __init__(self, code: str, name: str, options: Sequence[str] = (), **_: Any) -> None:
        self.__dict__.update(RawModule(code=code, options=options).get_function(name).__dict__)

    @classmethod
    def _of_module(cls, library: ctypes.CDLL, name: str) -> RawKernel:
        kernel = cls.__new__(cls)
        text = ctypes.create_string_buffer(4096)
        getattr(library, f"cudashim_signature_{name}")(text)
        kernel.name = name
        kernel.signature = [code for code in text.value.decode().split(",") if code]
        kernel._run = getattr(library, f"cudashim_run_{name}")
        return kernel

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0, **_: Any
    ) -> None:
        """Run to the end; raises LaunchError."""
        grid, block = _three(grid), _three(block)
        self._check_shape(grid, block, shared_mem)
        if len(args) != len(self.signature):
            raise LaunchError(f"{self.name} takes {len(self.signature)} arguments, not {len(args)}")
        values = [self._argument(i, code, arg) for i, (code, arg) in enumerate(zip(self.signature, args, strict=True))]
        places = (ctypes.c_void_p * max(1, len(values)))(*(ctypes.addressof(value) for value in values))
        launch = _Launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared_mem, *_order)
        if self._run(ctypes.byref(launch), places):
            raise LaunchError(f"{self.name}: {runtime().cudashim_last_error().decode()}")

    def _check_shape(self, grid: tuple[int, ...], block: tuple[int, ...], shared_bytes: int) -> None:
        fits = all(0 < n <= most for n, most in zip((*grid, *block), LARGEST_GRID + LARGEST_BLOCK, strict=True))
        if not fits or prod(block) > LARGEST_THREADS:
            raise LaunchError(f"{self.name}: CUDA has no grid of {grid} blocks of {block} threads")
        if shared_bytes > LARGEST_SHARED_BYTES:
            raise LaunchError(f"{self.name}: {shared_bytes} bytes of shared memory, over {LARGEST_SHARED_BYTES}")

    def _argument(self, index: int, code: str, value: Any) -> Any:
        where = f"{self.name}, argument {index} ({code})"
        if code[0] in "CP":
            return _pointer(where, code, value)
        if not isinstance(value, np.generic):  # as CuPy passes them
            value = np.int64(value) if isinstance(value, int) else np.float64(value)
        if _code(value.dtype) != code:
            raise LaunchError(f"{where}: a {value.dtype}, whose raw bytes CuPy would pass")
        return ctypes.create_string_buffer(value.tobytes(), value.dtype.itemsize)


def _pointer(where: str, code: str, value: Any) -> ctypes.c_void_p:
    if value is None:
        return ctypes.c_void_p(0)
    if not isinstance(value, np.ndarray):
        raise LaunchError(f"{where}: wants an array, got {type(value).__name__}")
    if code[1] not in "xv" and _code(value.dtype) != code[1:]:
        raise LaunchError(f"{where}: an array of {value.dtype}")
    if not value.flags.c_contiguous:
        raise LaunchError(f"{where}: an array that is not C-contiguous")
    if code[0] == "P" and not value.flags.writeable:
        raise LaunchError(f"{where}: a read-only array")
    return ctypes.c_void_p(value.ctypes.data)


def _code(dtype: np.dtype[Any]) -> str:
    return {"f": "f", "i": "i", "u": "u", "b": "u"}.get(dtype.kind, "x") + str(dtype.itemsize)


def _three(sizes: Sequence[int]) -> tuple[int, ...]:
    return (*sizes, *(1,) * (3 - len(sizes)))


def _same_lines(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


def _named_by_macro(code: str) -> list[str]:
    """Kernels declared as M(name), where `#define M(x) extern "C" __global__ void x##suffix` stands in the text."""
    definition = _MACRO.search(code)
    if not definition:
        return []
    return [name + definition[3] for name in re.findall(rf"^{definition[1]}\((\w+)\)", code, re.M)]
