"""Makes batches ahead of their use, in one background thread, and where that is too slow in the caller's own too.

What is made must be a pure function of a number (the batch number), so that results do not depend on timing: a reader
that asks for batch k gets batch k, whether it was made ahead or not.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PROMPT_S = 0.0005
"""Who comes back for the next item sooner than this does nothing else meanwhile: a second maker would only be in the
way of the first, for they share one interpreter."""
REST_S = 0.003
"""How long the thread leaves the work to whom is prompt; items that take longer to make are worth a second maker."""


class _Queue(Generic[T]):
    """What the thread and its owner share; the thread holds no reference to the owner, so that the owner can go.

    Items next_taken .. next_made - 1 are there or in the making. restarts: how often another run of numbers was asked
    for; what was begun before counts for nothing. stalled: nothing is to be made until an item is asked for. prompt:
    whether the owner, who helps, came straight back for the item that was asked for last.
    """

    def __init__(
        self, make: Callable[[int], T], depth: int, discard: Callable[[T], object] | None, helping: bool
    ) -> None:
        self.make = make
        self.depth = depth
        self.discard = discard
        self.helping = helping
        self.process = os.getpid()
        self.changed = threading.Condition()
        self.items: dict[int, T | BaseException] = {}
        self.next_taken = 0
        self.next_made = 0
        self.restarts = 0
        self.requests = 0
        self.prompt = helping
        self.taken_at = 0.0
        self.stalled = True
        self.closed = False

    def run(self) -> None:
        """The thread's work: keep `items` filled until closed."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or self.has_work())
                requests, rests = self.requests, self.prompt
            if rests:  # the owner may be back at once, and make the next item itself
                time.sleep(REST_S)
            with self.changed:
                if self.closed:
                    return
                if not self.has_work() or (rests and requests != self.requests):
                    continue
                claim = self.claim()
            self.work(*claim)

    def has_work(self) -> bool:
        """Whether an item may be made."""
        return not self.stalled and self.next_made < self.next_taken + self.depth

    def claim(self) -> tuple[int, int]:
        """The number of an item that only the caller makes, and of the restart it belongs to."""
        self.next_made += 1
        return self.next_made - 1, self.restarts

    def work(self, position: int, restarts: int) -> T | BaseException:
        """Make an item that was claimed; an exception takes its place."""
        item: T | BaseException
        try:
            item = self.make(position)
        except BaseException as error:
            item = error
        with self.changed:
            if restarts == self.restarts:
                self.items[position] = item
                self.stalled |= isinstance(item, BaseException)
                self.changed.notify_all()
            else:
                self.drop(item)
        return item

    def drop(self, *items: T | BaseException) -> None:
        """Give back items that nobody gets."""
        if self.discard is not None:
            for item in items:
                if not isinstance(item, BaseException):
                    self.discard(item)

    def restart(self, position: int, *, stalled: bool) -> None:
        """Forget what was made and what is in the making; `position` is asked for next."""
        self.drop(*self.items.values())
        self.items.clear()
        self.next_taken = self.next_made = position
        self.restarts += 1
        self.stalled = stalled
        self.changed.notify_all()

    def take(self, position: int) -> T:
        """Item number `position`; waits for it, or helps. An exception of `make` is raised here."""
        try:
            with self.changed:
                self.note_request()
                if position != self.next_taken or (self.stalled and position == self.next_made):
                    self.restart(position, stalled=False)
                while position not in self.items:
                    self.help_or_wait()
                item = self.items.pop(position)
                if isinstance(item, BaseException):
                    raise item
                self.next_taken += 1
                self.taken_at = time.perf_counter()
                self.changed.notify_all()
                return item
        except BaseException:  # an interrupt of the user's, maybe, with an item in the making
            with self.changed:
                self.restart(position, stalled=True)
            raise

    def note_request(self) -> None:
        """Count a request, and see whether it comes straight after the last one; the first one counts as such."""
        if self.helping and self.requests:
            self.prompt = time.perf_counter() - self.taken_at < PROMPT_S
        self.requests += 1

    def help_or_wait(self) -> None:
        """What the owner does, who holds the lock, while its item is not there."""
        if not (self.helping and self.has_work()):
            self.changed.wait()
            return
        claim = self.claim()
        self.changed.release()
        try:
            made = self.work(*claim)
        finally:
            self.changed.acquire()
        if isinstance(made, BaseException) and not isinstance(made, Exception):
            raise made  # an interrupt is meant for who waits here, not for who asks for that item, if anyone does

    def close(self, thread: threading.Thread) -> None:
        """End the thread and wait for its end; in a forked child, where the thread does not exist, do nothing."""
        if self.process != os.getpid():
            return
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        if thread is not threading.current_thread():
            thread.join()
        self.drop(*self.items.values())


class Prefetcher(Generic[T]):
    """Serves make(0), make(1), ... or any other run of numbers, up to `depth` items ahead.

    depth 0 makes each item when it is asked for, without a thread. The thread starts at the first request, and ends
    with `close`, when the prefetcher is collected, or when the interpreter exits. In a forked child a new thread is
    started. discard: gets every item that was made and that nobody will get. helping: who has to wait for an item makes
    one meanwhile; `make` must bear to be called by two threads at once.
    """

    def __init__(
        self,
        make: Callable[[int], T],
        depth: int,
        *,
        discard: Callable[[T], object] | None = None,
        helping: bool = False,
    ) -> None:
        self._make = make
        self._depth = depth
        self._discard = discard
        self._helping = helping
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
        queue = _Queue(self._make, self._depth, self._discard, self._helping)
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
