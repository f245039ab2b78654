"""The module `cupy`, with as many GPUs as wanted."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import cudashim
import numpy as np

from fakecupy.array import counts, device, host, ndarray

ON_ARRAYS = (
    "abs",
    "add",
    "divide",
    "einsum",
    "maximum",
    "mean",
    "multiply",
    "sign",
    "sqrt",
    "subtract",
    "sum",
    "where",
)
MAKING_ARRAYS = ("full", "ones", "zeros", "zeros_like")
POISON = 0xCD
"""Every byte of memory whose contents are undefined."""


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA refuses."""


class OutOfMemoryError(MemoryError):
    """What CuPy raises where memory ran out."""


class Event:
    """A point in a stream."""

    def synchronize(self) -> None:
        """Everything is done at once here."""


class Stream:
    """A stream: work is done at once, but which one is current is kept."""

    def __init__(self, runtime: Runtime, null: bool = False, non_blocking: bool = False) -> None:
        self._runtime = runtime
        self.device_id = runtime.current
        self.ptr = 0 if null else id(self)

    def __enter__(self) -> Stream:
        if self._runtime.current != self.device_id:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle: a stream of another GPU")
        self._runtime.streams.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._runtime.streams.pop() is self

    def synchronize(self) -> None:
        """Everything is done at once here."""

    def record(self, event: Event | None = None) -> Event:
        """A point in this stream."""
        return event or Event()

    def wait_event(self, event: Event) -> None:
        """Everything is done at once here."""
        assert isinstance(event, Event)


class Runtime:
    """`cupy.cuda.runtime`, and what is current: `current` GPU and `streams`, the innermost last.

    gpus: how many; 0 raises as CUDA does without a driver. memory_bytes: the largest array that there is room for.
    """

    CUDARuntimeError = CUDARuntimeError

    def __init__(self, gpus: int, version: int, memory_bytes: int) -> None:
        self.gpus, self.version, self.memory_bytes = gpus, version, memory_bytes
        self.current = 0
        self.streams = [Stream(self, null=True)]

    def getDeviceCount(self) -> int:
        if not self.gpus:
            raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
        return self.gpus

    def getDevice(self) -> int:
        return self.current

    def runtimeGetVersion(self) -> int:
        return self.version

    def driverGetVersion(self) -> int:
        return self.version if self.gpus else 0

    def getDeviceProperties(self, index: int) -> dict[str, Any]:
        return {
            "name": f"Stand-in {index}".encode(),
            "major": 8,
            "minor": 6,
            "totalGlobalMem": self.memory_bytes,
            "multiProcessorCount": 2,
        }


class Device:
    """`cupy.cuda.Device`."""

    def __init__(self, runtime: Runtime, index: int) -> None:
        self._runtime, self.id = runtime, index

    def __enter__(self) -> Device:
        self._before, self._runtime.current = self._runtime.current, self.id
        return self

    def __exit__(self, *exc: object) -> None:
        self._runtime.current = self._before


class Memory:
    """`cupy.cuda.alloc`: bytes of the GPU."""

    def __init__(self, size: int) -> None:
        self._bytes = np.full(size, POISON, np.uint8)
        self.ptr = self._bytes.ctypes.data


def module(gpus: int = 1, *, version: int = 12090, memory_bytes: int = 1 << 30) -> ModuleType:
    """A module to stand in for cupy. gpus: 0 stands for a computer without a driver. version: of CUDA."""
    cupy = ModuleType("cupy")
    runtime = Runtime(gpus, version, memory_bytes)
    cupy.__version__ = "14.2.0"
    cupy.ndarray = ndarray
    for name in ON_ARRAYS + MAKING_ARRAYS:
        setattr(cupy, name, _function(runtime, name))
    cupy.empty = lambda shape, dtype=float: _poisoned(runtime, shape, dtype)
    cupy.empty_like = lambda array: _poisoned(runtime, array.shape, array.dtype)
    cupy.asarray = lambda array, dtype=None: _from_host(runtime, array, dtype)
    cupy.array = lambda array, dtype=None, order="K": _from_host(runtime, array, dtype)
    cupy.asnumpy = lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array)
    cupy.RawModule = cudashim.RawModule
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.runtime = runtime
    cupy.cuda.memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cupy.cuda.Device = lambda index: Device(runtime, index)
    cupy.cuda.Stream = lambda **options: Stream(runtime, **options)
    cupy.cuda.Event = Event
    cupy.cuda.get_current_stream = lambda: runtime.streams[-1]
    cupy.cuda.alloc = Memory
    return cupy


def _room(runtime: Runtime, size: int) -> None:
    if not runtime.gpus:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    if size > runtime.memory_bytes:
        raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")


def _function(runtime: Runtime, name: str) -> Any:
    """NumPy's function of that name on arrays of the GPU."""
    function = getattr(np, name)

    def call(*args: Any, **options: Any) -> Any:
        for value in (*args, *options.values()):
            if type(value) is np.ndarray and value.ndim:
                raise TypeError(f"cupy.{name} called with an array of NumPy (CuPy: Unsupported type numpy.ndarray)")
        plain = [host(v) if isinstance(v, ndarray) else v for v in args]
        result = function(*plain, **{k: host(v) if isinstance(v, ndarray) else v for k, v in options.items()})
        _room(runtime, result.nbytes)
        return options.get("out", device(result))

    return call


def _poisoned(runtime: Runtime, shape: Any, dtype: Any) -> ndarray:
    array = np.empty(shape, dtype)
    _room(runtime, array.nbytes)
    array.reshape(-1).view(np.uint8)[...] = POISON
    return device(array)


def _from_host(runtime: Runtime, array: Any, dtype: Any) -> ndarray:
    if isinstance(array, ndarray):
        return device(host(array).astype(dtype or array.dtype))
    copied = np.array(array, dtype, order="C")
    _room(runtime, copied.nbytes)
    return device(copied)


__all__ = ["CUDARuntimeError", "OutOfMemoryError", "counts", "module"]
