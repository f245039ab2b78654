"""The module `cupy`, with as many GPUs as wanted."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cudashim
import numpy as np

from fakecupy.array import computed, device, ndarray, poison
from fakecupy.capture import (
    CUDARuntimeError,
    Graph,
    Memory,
    MemoryPool,
    counts,
    recording,
    refuse_in_capture,
    refuse_to_wait,
    submit,
    taken,
    thread,
    using_allocator,
)
from fakecupy.copying import Copy, alloc_pinned_memory

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


class OutOfMemoryError(MemoryError):
    """What CuPy raises where memory ran out."""


class Event:
    """A point in a stream. graph: the one that took it, where the stream was captured then."""

    def __init__(self, block: bool = True, disable_timing: bool = False) -> None:
        self.time_s: float | None = None
        self.timed = not disable_timing
        self.graph: Graph | None = None
        self.copies: list[Copy] = []

    def record(self, stream: Stream | None = None) -> None:
        """Note that the stream, or the current one, got here."""
        self.time_s, self.graph = time.perf_counter(), stream.graph if stream is not None else recording()
        self.copies = list(stream.copies) if stream is not None else []

    def synchronize(self) -> None:
        """Everything is done at once here, but copies from page-locked memory."""
        refuse_to_wait(self.graph)
        for copy in self.copies:
            copy.finish()


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds from one event to the next."""
    if start.time_s is None or end.time_s is None or not (start.timed and end.timed):
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: an event without a time")
    return (end.time_s - start.time_s) * 1e3


class Stream:
    """A stream: work is done at once, but for what a graph takes while the stream is captured.

    graph: the one that takes it. copies: from page-locked memory, that its work comes behind.
    """

    def __init__(self, runtime: Runtime, null: bool = False, non_blocking: bool = False) -> None:
        self._runtime = runtime
        self.device_id = runtime.current
        self.null = null
        self.ptr = 0 if null else id(self)
        self.graph: Graph | None = None
        self.copies: list[Copy] = []

    def __enter__(self) -> Stream:
        if self._runtime.current != self.device_id:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle: a stream of another GPU")
        self._runtime.streams.append(self)
        thread.streams.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._runtime.streams.pop() is self
        assert thread.streams.pop() is self

    def synchronize(self) -> None:
        """Everything is done at once here, but copies from page-locked memory."""
        refuse_to_wait(self.graph)
        for copy in self.copies:
            copy.finish()
        self.copies.clear()

    def record(self, event: Event | None = None) -> Event:
        """A point in this stream."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Everything is done at once here, but copies from page-locked memory."""
        assert isinstance(event, Event)
        if event.graph is not self.graph:
            raise CUDARuntimeError("cudaErrorStreamCaptureIsolation: an event from outside a capture, or from inside")
        for copy in event.copies:
            copy.arrive()
        self.copies = [copy for copy in dict.fromkeys(self.copies + event.copies) if copy in Copy.under_way]

    # --- graphs ------------------------------------------------------------------------------------------------------

    def begin_capture(self, mode: int | None = None) -> None:
        """Keep from now on what this stream is asked to do."""
        if self.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.graph is not None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is captured already")
        assert mode == self._runtime.streamCaptureModeRelaxed, "other modes forbid to take memory"
        self.graph = Graph()
        self._runtime.capture_libraries(self)

    def end_capture(self) -> Graph:
        """What was kept; raises where that is lost."""
        graph, self.graph = self.graph, None
        self._runtime.capture_libraries(None)
        if graph is None or graph.invalid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return graph

    def is_capturing(self) -> bool:
        """Whether work is kept now; like CuPy's, it raises where the capture is lost."""
        if self.graph is not None and self.graph.invalid:
            raise RuntimeError("the stream was capturing, but an error has invalidated the capture sequence")
        return self.graph is not None


class RawModule:
    """`cupy.RawModule`: kernels that run on the current stream."""

    def __init__(self, **options: Any) -> None:
        self._module = cudashim.RawModule(**options)

    def get_function(self, name: str) -> Any:
        """The kernel of that name."""
        kernel = self._module.get_function(name)
        return lambda grid, block, args, **options: submit(name, kernel, grid, block, args, **options)


class Runtime(threading.local):
    """`cupy.cuda.runtime`, and what is current in a thread: `current` GPU and `streams`, the innermost last.

    gpus: how many; 0 raises as CUDA does without a driver. memory_bytes: the largest array that there is room for.
    free_bytes: what memGetInfo says. libraries: stand-ins for NVIDIA's, whose work belongs to graphs too.
    """

    CUDARuntimeError = CUDARuntimeError
    streamCaptureModeRelaxed = 2

    def __init__(self, gpus: int, version: int, memory_bytes: int, libraries: Sequence[Path]) -> None:
        self.gpus, self.version, self.memory_bytes = gpus, version, memory_bytes
        self.free_bytes = memory_bytes
        self.current = 0
        self.streams = [Stream(self, null=True)]
        self._libraries = [ctypes.CDLL(str(path)) for path in libraries]
        self._told: list[Any] = []

    def capture_libraries(self, stream: Stream | None) -> None:
        """Let the libraries keep what they are asked to do on a stream, for its graph; None ends that."""
        self._told = [_keeper(library, stream.graph) if stream is not None else None for library in self._libraries]
        for library, tell in zip(self._libraries, self._told, strict=True):
            address = ctypes.c_void_p(stream.ptr if stream is not None else None)
            library.standin_capture(address, ctypes.cast(tell, ctypes.c_void_p) if tell is not None else None)

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

    def memGetInfo(self) -> tuple[int, int]:
        return self.free_bytes, self.memory_bytes

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


def _keeper(library: ctypes.CDLL, graph: Graph | None) -> Any:
    """A C function that puts the work of that number, kept by a library, into a graph."""
    assert graph is not None
    return ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: graph.add(library.standin_replay, (number,), {}))


def module(
    gpus: int = 1, *, version: int = 12090, memory_bytes: int = 1 << 30, libraries: Sequence[Path] = ()
) -> ModuleType:
    """A module to stand in for cupy.

    gpus: 0 stands for a computer without a driver. version: of CUDA. libraries: stand-ins for NVIDIA's libraries.
    """
    cupy = ModuleType("cupy")
    runtime = Runtime(gpus, version, memory_bytes, libraries)
    cupy.__version__ = "14.2.0"
    cupy.ndarray = ndarray
    for name in ON_ARRAYS + MAKING_ARRAYS:
        setattr(cupy, name, _function(runtime, name))
    cupy.empty = lambda shape, dtype=float: _poisoned(runtime, shape, dtype)
    cupy.empty_like = lambda array: _poisoned(runtime, array.shape, array.dtype)
    cupy.asarray = lambda array, dtype=None: _from_host(runtime, array, dtype)
    cupy.array = lambda array, dtype=None, order="K": _from_host(runtime, array, dtype)
    cupy.asnumpy = lambda array: array.get() if isinstance(array, ndarray) else np.asarray(array)
    cupy.RawModule = RawModule
    cupy.cuda = ModuleType("cupy.cuda")
    cupy.cuda.runtime = runtime
    cupy.cuda.memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    cupy.cuda.Device = lambda index: Device(runtime, index)
    cupy.cuda.Stream = lambda **options: Stream(runtime, **options)
    cupy.cuda.Event = Event
    cupy.cuda.get_elapsed_time = get_elapsed_time
    cupy.cuda.MemoryPool = MemoryPool
    cupy.cuda.using_allocator = using_allocator
    cupy.cuda.get_current_stream = lambda: runtime.streams[-1]
    cupy.cuda.alloc = Memory
    cupy.cuda.alloc_pinned_memory = alloc_pinned_memory
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 0)
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
        result = computed(name, function, *args, **options)
        _room(runtime, result.nbytes)
        return result

    return call


def _poisoned(runtime: Runtime, shape: Any, dtype: Any) -> ndarray:
    array = taken(np.empty(shape, dtype))
    _room(runtime, array.nbytes)
    poison(array)
    return device(array)


def _from_host(runtime: Runtime, array: Any, dtype: Any) -> ndarray:
    if isinstance(array, ndarray):
        return array.astype(dtype or array.dtype)
    refuse_in_capture("a transfer from the host")
    copied = taken(np.array(array, dtype, order="C"))
    _room(runtime, copied.nbytes)
    return device(copied)


__all__ = ["CUDARuntimeError", "OutOfMemoryError", "counts", "module"]
