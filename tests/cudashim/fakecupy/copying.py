"""Copies from page-locked memory: under way until somebody waits for an event behind them.

What such a copy writes is poisoned until the stream that reads it has waited for the copy. What it reads must not
change before the host has waited for it: memory that was written too early raises.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from fakecupy.capture import POISON, refuse_in_capture, thread


class EarlyWriteError(AssertionError):
    """Page-locked memory was written, or given to another copy, while a copy from it was under way."""


class Copy:
    """One copy: `source`, of the host, to `target`, of the GPU; both as NumPy's arrays."""

    under_way: list[Copy] = []

    def __init__(self, source: np.ndarray, target: np.ndarray) -> None:
        if any(np.may_share_memory(source, other.source) for other in self.under_way):
            raise EarlyWriteError("memory that an earlier copy may still read is copied again")
        self.source, self.target, self._expected = source, target, source.tobytes()
        self._arrived = False
        target.reshape(-1).view(np.uint8)[...] = POISON
        self.under_way.append(self)

    def arrive(self) -> None:
        """What a stream that waited for the copy finds."""
        if not self._arrived:
            self._check()
            self.target[...] = self.source
            self._arrived = True

    def finish(self) -> None:
        """The host has waited for the copy."""
        self.arrive()
        if self in self.under_way:
            self._check()
            self.under_way.remove(self)

    def _check(self) -> None:
        if self.source.tobytes() != self._expected:
            raise EarlyWriteError("memory was written while a copy from it was under way")


def alloc_pinned_memory(size: int) -> Any:
    """`cupy.cuda.alloc_pinned_memory`: something with a buffer of at least that many bytes."""
    memory = (ctypes.c_ubyte * (size + -size % 512))()
    ctypes.memset(memory, POISON, len(memory))
    return memory


def copy_from_host(source: Any, target: np.ndarray, stream: Any) -> None:
    """What `set` of an array does."""
    if not isinstance(source, np.ndarray) or source.dtype != target.dtype or source.shape != target.shape:
        raise TypeError(f"set wants an array of NumPy of {target.dtype} and shape {target.shape}")
    refuse_in_capture("a transfer from the host")
    if not _is_page_locked(source):
        target[...] = source  # CUDA waits for memory that may move
        return
    assert source.flags.c_contiguous, "CuPy copies this to memory that may move"
    copy = Copy(source, target)
    if thread.streams and stream is thread.streams[-1]:
        copy.arrive()
    stream.copies.append(copy)


def _is_page_locked(array: np.ndarray) -> bool:
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner.obj if isinstance(owner, memoryview) else owner, ctypes.Array)
