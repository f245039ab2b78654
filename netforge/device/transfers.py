"""Copies from the host to a GPU that run beside its work: page-locked memory, a stream of their own, events."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DeviceError

Array = Any  # a CuPy array
Event = Any  # a CuPy event

CHUNK_BYTES = 16 << 20
"""What is copied at once where all of a large array goes over: so large that the bus is busy, so small that it fits."""


class Transfers:
    """Copies to GPU number `index`. xp: CuPy.

    Memory that a copy reads must not be written before an event behind the copy was waited for on the host, and what
    it writes must not be read on another stream before that stream waits for such an event.
    """

    def __init__(self, xp: ModuleType, index: int) -> None:
        self._xp, self._index = xp, index
        with xp.cuda.Device(index):
            self._copies = xp.cuda.Stream(non_blocking=True)

    def page_locked(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Memory of the host that the GPU reads by itself; contents are undefined.

        Raises DeviceError where the system gives no more of it.
        """
        count, dtype = math.prod(shape), np.dtype(dtype)
        try:
            memory = self._xp.cuda.alloc_pinned_memory(max(1, count * dtype.itemsize))
        except self._xp.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f"no {count * dtype.itemsize / 2**20:.1f} MiB of page-locked memory for copies to a GPU: {error}",
                mend="lower batch_size or prefetch, or let the process lock more memory (ulimit -l)",
            ) from error
        taken = np.frombuffer(memory, np.uint8)[: count * dtype.itemsize]
        return taken.view(dtype).reshape(shape)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Memory of the GPU, which copies beside its work may write at once; contents are undefined."""
        array = self._xp.empty(shape, dtype)
        self._copies.wait_event(self.record())  # work that is under way may still use memory that was freed behind it
        return array

    def free_bytes(self) -> int:
        """Memory of the GPU that new arrays could have."""
        with self._xp.cuda.Device(self._index):
            free, _ = self._xp.cuda.runtime.memGetInfo()
            return int(free) + int(self._xp.get_default_memory_pool().free_bytes())

    def copy(self, source: npt.NDArray[Any], target: Array) -> None:
        """Queue target = source on the current stream, behind its other work; `source` is page-locked."""
        target.set(source, stream=self._xp.cuda.get_current_stream())

    def copy_beside(self, source: npt.NDArray[Any], target: Array) -> Event:
        """Queue target = source beside the GPU's work; gives the event behind it. May be called from any thread."""
        with self._xp.cuda.Device(self._index):
            target.set(source, stream=self._copies)
            return self._copies.record(self._event())

    def record(self) -> Event:
        """An event behind everything that the current stream was given."""
        return self._xp.cuda.get_current_stream().record(self._event())

    def wait(self, event: Event) -> None:
        """Wait on the host for `event`, asleep. May be called from any thread."""
        with self._xp.cuda.Device(self._index):
            event.synchronize()

    def after(self, event: Event) -> None:
        """Let the current stream go on only behind `event`."""
        self._xp.cuda.get_current_stream().wait_event(event)

    def finish(self) -> None:
        """Wait until no copy is under way beside the GPU's work."""
        self._copies.synchronize()

    def _event(self) -> Event:
        return self._xp.cuda.Event(block=True, disable_timing=True)
