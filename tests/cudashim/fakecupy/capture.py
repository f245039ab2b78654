"""Capture of streams: what a captured stream is asked to do is kept, to be done by `Graph.launch`."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Work = Callable[..., None]


class CUDARuntimeError(RuntimeError):
    """What CuPy raises where CUDA refuses."""


class Place:
    """Where an array lies. It does not keep the memory, as a pointer in a graph does not."""

    def __init__(self, array: np.ndarray) -> None:
        owner = owner_of(array)
        self._owner, self._size = weakref.ref(owner), owner.nbytes
        self._start, self._address = owner.ctypes.data, array.ctypes.data
        self._shape, self._strides, self._dtype, self._kind = array.shape, array.strides, array.dtype, type(array)

    def array(self) -> np.ndarray:
        """The array; raises where its memory was freed."""
        owner = self._owner()
        if owner is None:
            raise CUDARuntimeError("cudaErrorIllegalAddress: a graph uses memory that was freed")
        memory = (ctypes.c_char * self._size).from_address(self._start)
        offset = self._address - self._start
        return np.ndarray(self._shape, self._dtype, memory, offset, self._strides).view(self._kind)


def owner_of(array: np.ndarray) -> np.ndarray:
    """The array whose memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Graph:
    """`cupy.cuda.Graph`: work with its arguments, done by `launch`."""

    launched = 0  # of all graphs

    def __init__(self) -> None:
        self.nodes: list[tuple[Work, tuple[Any, ...], dict[str, Any]]] = []
        self.invalid = False

    def add(self, work: Work, args: Sequence[Any], options: dict[str, Any]) -> None:
        """Keep a call; of arrays only where they lie."""
        self.nodes.append((work, _places(tuple(args)), {key: _places(value) for key, value in options.items()}))

    def launch(self, stream: Any = None) -> None:
        """Do all of it once."""
        if recording() is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: a graph launched into another one")
        Graph.launched += 1
        with np.errstate(all="ignore"):
            for work, args, options in self.nodes:
                work(*_arrays(args), **{key: _arrays(value) for key, value in options.items()})


def _places(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Place(value)
    return tuple(map(_places, value)) if type(value) in (tuple, list) else value


def _arrays(value: Any) -> Any:
    if isinstance(value, Place):
        return value.array()
    return tuple(map(_arrays, value)) if type(value) is tuple else value


class _Thread(threading.local):
    """streams: those entered in this thread, of all stand-ins, the innermost last. pools: of allocators in force."""

    def __init__(self) -> None:
        self.streams: list[Any] = []
        self.pools: list[MemoryPool] = []


thread = _Thread()


def recording() -> Graph | None:
    """The graph that takes what this thread asks for now, if its current stream is being captured."""
    return thread.streams[-1].graph if thread.streams else None


def submit(name: str, work: Work, *args: Any, **options: Any) -> None:
    """Do something on the current stream, or keep it for a graph."""
    graph = recording()
    if graph is None:
        counts.launches.append(name)
        work(*args, **options)
    else:
        graph.add(work, args, options)


def refuse_in_capture(what: str) -> None:
    """Raise while the current stream is captured, as CuPy does before CUDA could."""
    if recording() is not None:
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is captured")


def refuse_to_wait(graph: Graph | None) -> None:
    """Raise where somebody waits for work that goes into a graph; the capture is lost."""
    if graph is not None:
        graph.invalid = True
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: waiting for a stream that is captured")


class MemoryPool:
    """`cupy.cuda.MemoryPool`: keeps all memory that it ever gave out, until it goes itself."""

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []

    def keep(self, array: np.ndarray) -> None:
        """Hold an array's memory."""
        self._held.append(owner_of(array))

    def malloc(self, size: int) -> Memory:
        """Bytes, as `cupy.cuda.alloc` gives."""
        memory = Memory(size)
        self.keep(memory.bytes)
        return memory


class using_allocator:
    """`cupy.cuda.using_allocator`, for allocators that are the `malloc` of a pool."""

    def __init__(self, allocator: Any) -> None:
        self._pool: MemoryPool = allocator.__self__

    def __enter__(self) -> None:
        thread.pools.append(self._pool)

    def __exit__(self, *exc: object) -> None:
        thread.pools.pop()


def taken(array: np.ndarray) -> np.ndarray:
    """Note new memory with the allocator in force, and return it."""
    if thread.pools:
        thread.pools[-1].keep(array)
    return array


POISON = 0xCD
"""Every byte of memory whose contents are undefined."""


class Memory:
    """`cupy.cuda.alloc`: bytes of the GPU."""

    def __init__(self, size: int) -> None:
        self.bytes = taken(np.full(size, POISON, np.uint8))
        self.ptr = self.bytes.ctypes.data


class Counts:
    """What happened since `reset`.

    host_reads: the line of netforge behind each transfer of values to the host. launches: names of kernels and of work
    on arrays that was done at once. graphs: launches of graphs.
    """

    def __init__(self) -> None:
        self.host_reads: list[str] = []
        self.launches: list[str] = []
        self._graphs_before = 0

    @property
    def graphs(self) -> int:
        """How many graphs were launched."""
        return Graph.launched - self._graphs_before

    def reset(self) -> None:
        """Forget everything."""
        self.host_reads.clear()
        self.launches.clear()
        self._graphs_before = Graph.launched


counts = Counts()
