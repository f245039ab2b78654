"""Threads that share the work of one operation.

Work is cut into pieces by its shape alone, never by the number of threads, and each piece is computed by one thread: so
the results are the same bits whatever the number of threads. NumPy releases the interpreter's lock inside its loops and
matrix products, so threads run side by side; the BLAS library's own threads are held back meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import prod
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.base import host_zeros
from netforge.errors import DeviceError

Body = Callable[[int], None]


class Workers:
    """A team of threads; `size` counts the calling thread too."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or thread_count()
        self.blas = BlasThreads()
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._started = 0
        self._process = os.getpid()

    def run(self, pieces: int, body: Body) -> None:
        """Call body(0) ... body(pieces - 1), in any order, on all threads; errors of `body` are raised here."""
        if not pieces:
            return
        with self.blas.single():
            task = Task(pieces, body)
            helpers = min(self.size, pieces) - 1
            self._start(helpers)
            for _ in range(helpers):
                self._tasks.put(task)
            task.work()
            task.wait()

    def _start(self, helpers: int) -> None:
        if self._process != os.getpid():  # threads do not survive a fork
            self._process, self._started, self._tasks = os.getpid(), 0, SimpleQueue()
        while self._started < helpers:
            self._started += 1
            threading.Thread(target=_serve, args=(self._tasks,), name="netforge-worker", daemon=True).start()


class Task:
    """One call of `Workers.run`: pieces are handed out one by one to whoever is free."""

    def __init__(self, pieces: int, body: Body) -> None:
        self.pieces = pieces
        self.body = body
        self._next = count()
        self._finished: SimpleQueue[None] = SimpleQueue()
        self._error: BaseException | None = None

    def work(self) -> None:
        """Compute pieces until none is left; after an error the rest is only counted off.

        NumPy does not warn of overflow here: nets look for NaN and infinity in their own way.
        """
        with np.errstate(all="ignore"):
            while (piece := next(self._next)) < self.pieces:
                try:
                    if self._error is None:
                        self.body(piece)
                except BaseException as error:
                    self._error = error
                self._finished.put(None)

    def wait(self) -> None:
        """Return when every piece is done, whether or not all helpers woke up; raises what a piece raised."""
        for _ in range(self.pieces):
            self._finished.get()
        if self._error is not None:
            raise self._error


def _serve(tasks: SimpleQueue[Task]) -> None:
    while True:
        tasks.get().work()


MOST_THREADS = 1024


def thread_count() -> int:
    """Number of threads: NETFORGE_THREADS where it is set, else the processors that this process may use.

    Raises DeviceError where NETFORGE_THREADS is not a whole number from 1 to MOST_THREADS.
    """
    given = os.environ.get("NETFORGE_THREADS")
    if given:
        if not given.isdecimal() or not 1 <= int(given) <= MOST_THREADS:
            raise DeviceError(
                f'NETFORGE_THREADS is "{given}"',
                where="environment",
                mend=f"set it to 1 to {MOST_THREADS}, or unset it",
            )
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def piece_size(items: int, most: int, pieces: int = 4) -> int:
    """How many items to put into a piece of work: at most `most`, and few enough for `pieces` pieces.

    A power of two, which divides common batches.
    """
    return 1 << (max(min(items // pieces, most), 1).bit_length() - 1)


class BlasThreads:
    """The BLAS libraries that NumPy loaded, and how many threads they use."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        self.libraries: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[int] = []

    def describe(self) -> str:
        """Name, version and kernels of the libraries."""
        names = (
            " ".join(str(part) for part in (lib.internal_api, lib.version, getattr(lib, "architecture", None)) if part)
            for lib in self.libraries
        )
        return ", ".join(names) or "a BLAS whose threads cannot be set"

    @contextmanager
    def single(self) -> Iterator[None]:
        """Keep each matrix product on the thread that calls it."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._before = [lib.get_num_threads() for lib in self.libraries]
                self._set([1] * len(self.libraries))
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    self._set(self._before)

    def _set(self, threads: list[int]) -> None:
        for library, number in zip(self.libraries, threads, strict=True):
            library.set_num_threads(number)


_buffers = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of undefined content in the calling thread's buffer `name`; valid until `name` is asked for again."""
    dtype = np.dtype(dtype)
    needed = prod(shape) * dtype.itemsize
    buffer: npt.NDArray[Any] | None = getattr(_buffers, name, None)
    if buffer is None or buffer.nbytes < needed:
        buffer = host_zeros((needed,), np.uint8)
        setattr(_buffers, name, buffer)
    return buffer[:needed].view(dtype).reshape(shape)
