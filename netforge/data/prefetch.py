"""Makes batches ahead of their use, in one background thread.

What is made must be a pure function of a number (the batch number), so that results do not depend on timing: a reader
that asks for batch k gets batch k, whether it was made ahead or not.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """What the thread and its owner share; the thread holds no reference to the owner, so that the owner can go."""

    def __init__(self, make: Callable[[int], T], depth: int, discard: Callable[[T], object] | None) -> None:
        self.make = make
        self.depth = depth
        self.discard = discard
        self.process = os.getpid()
        self.changed = threading.Condition()
        self.items: deque[T | BaseException] = deque()
        self.next_taken = 0
        self.restarts = 0
        self.stalled = True
        self.closed = False

    def run(self) -> None:
        """The thread's work: keep `items` filled until closed."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or not (self.stalled or len(self.items) >= self.depth))
                if self.closed:
                    return
                position, restarts = self.next_taken + len(self.items), self.restarts
            item: T | BaseException
            try:
                item = self.make(position)
            except BaseException as error:
                item = error
            with self.changed:
                if restarts == self.restarts:
                    self.items.append(item)
                    self.stalled = isinstance(item, BaseException)
                    self.changed.notify_all()
                else:
                    self.drop(item)

    def drop(self, *items: T | BaseException) -> None:
        """Give back items that nobody gets."""
        if self.discard is not None:
            for item in items:
                if not isinstance(item, BaseException):
                    self.discard(item)

    def take(self, position: int) -> T:
        """Item number `position`; waits for it. An exception of `make` is raised here."""
        with self.changed:
            exhausted = self.stalled and not self.items
            if position != self.next_taken or exhausted:
                self.drop(*self.items)
                self.items.clear()
                self.next_taken = position
                self.restarts += 1
                self.stalled = False
                self.changed.notify_all()
            self.changed.wait_for(lambda: self.items)
            item = self.items.popleft()
            if isinstance(item, BaseException):
                raise item
            self.next_taken += 1
            self.changed.notify_all()
            return item

    def close(self, thread: threading.Thread) -> None:
        """End the thread and wait for its end; in a forked child, where the thread does not exist, do nothing."""
        if self.process != os.getpid():
            return
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        if thread is not threading.current_thread():
            thread.join()
        self.drop(*self.items)


class Prefetcher(Generic[T]):
    """Serves make(0), make(1), ... or any other run of numbers, up to `depth` items ahead.

    depth 0 makes each item when it is asked for, without a thread. The thread starts at the first request, and ends
    with `close`, when the prefetcher is collected, or when the interpreter exits. In a forked child a new thread is
    started. discard: gets every item that was made and that nobody will get.
    """

    def __init__(self, make: Callable[[int], T], depth: int, *, discard: Callable[[T], object] | None = None) -> None:
        self._make = make
        self._depth = depth
        self._discard = discard
        self._queue: _Queue[T] | None = None
        self._finalizer: weakref.finalize[..., Prefetcher[T]] | None = None

    def get(self, position: int) -> T:
        """Item number `position`. Raises what `make` raised for it."""
        if self._depth == 0:
            return self._make(position)
        if self._queue is None or self._queue.process != os.getpid():
            self._queue = self._start()
        return self._queue.take(position)

    def _start(self) -> _Queue[T]:
        queue = _Queue(self._make, self._depth, self._discard)
        thread = threading.Thread(target=queue.run, name="netforge prefetch", daemon=True)
        self._finalizer = weakref.finalize(self, queue.close, thread)
        thread.start()
        return queue

    def close(self) -> None:
        """End the thread; a later `get` starts another one."""
        if self._finalizer is not None:
            self._finalizer()
        self._finalizer = None
        self._queue = None
