"""Prefetching changes when batches are made, never which."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.data.batches import prefetch
from netforge.data.batches.prefetch import Prefetcher
from netforge.errors import DataError


def square(position: int) -> int:
    return position * position


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.lists(st.integers(0, 9), max_size=30), st.booleans())
def test_any_order_of_requests_gives_the_same_items(depth: int, positions: list[int], helping: bool) -> None:
    before = threads()
    prefetcher = Prefetcher(square, depth, helping=helping)
    assert [prefetcher.get(p) for p in positions] == [p * p for p in positions]
    prefetcher.close()
    assert threads() <= before


def test_items_are_made_ahead_but_not_without_bound() -> None:
    made: list[int] = []
    prefetcher = Prefetcher(made.append, 3)
    prefetcher.get(0)
    deadline = time.monotonic() + 20
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    prefetcher.close()


def test_who_waits_makes_items_too() -> None:
    both_at_work = threading.Barrier(2, timeout=20)
    makers = {}

    def make(position: int) -> int:
        makers[position] = threading.current_thread()
        if position < 2:
            both_at_work.wait()
        return position

    prefetcher = Prefetcher(make, 2, helping=True)
    assert [prefetcher.get(k) for k in range(5)] == list(range(5))
    prefetcher.close()
    assert threading.current_thread() in (makers[0], makers[1]) and makers[0] is not makers[1]


@pytest.mark.parametrize("helping", [False, True])
def test_an_interrupted_wait_can_be_taken_up_again(helping: bool) -> None:
    interrupted = []

    def make(position: int) -> int:
        if position == 1 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return position

    prefetcher = Prefetcher(make, 3, helping=helping)
    assert prefetcher.get(0) == 0
    with pytest.raises(KeyboardInterrupt):
        prefetcher.get(1)
    assert [prefetcher.get(k) for k in (1, 2, 3)] == [1, 2, 3]
    prefetcher.close()


def test_an_interrupt_of_who_helps_is_raised_at_once() -> None:
    helper, helped = threading.current_thread(), threading.Event()

    def make(position: int) -> int:
        if threading.current_thread() is helper and not helped.is_set():
            helped.set()
            raise KeyboardInterrupt
        helped.wait(20)
        return position

    prefetcher = Prefetcher(make, 3, helping=True)
    with pytest.raises(KeyboardInterrupt):
        prefetcher.get(0)
    assert [prefetcher.get(k) for k in range(4)] == [0, 1, 2, 3]
    prefetcher.close()


def test_an_error_surfaces_at_its_item_and_can_be_passed() -> None:
    broken = {2}

    def make(position: int) -> int:
        if position in broken:
            raise DataError("record 2 is damaged")
        return position

    prefetcher = Prefetcher(make, 4)
    assert [prefetcher.get(0), prefetcher.get(1)] == [0, 1]
    for _ in range(2):
        with pytest.raises(DataError, match="record 2"):
            prefetcher.get(2)
    assert [prefetcher.get(3), prefetcher.get(4)] == [3, 4]
    broken.clear()
    assert [prefetcher.get(2), prefetcher.get(3)] == [2, 3]
    prefetcher.close()


def test_an_item_in_the_making_is_dropped_when_another_is_asked_for() -> None:
    begun, gate = threading.Event(), threading.Event()

    def make(position: int) -> int:
        if position == 1:
            begun.set()
            gate.wait()
        return position

    prefetcher = Prefetcher(make, 4)
    assert prefetcher.get(0) == 0
    begun.wait()
    release = threading.Timer(0.1, gate.set)
    release.start()
    assert prefetcher.get(7) == 7
    release.join()
    prefetcher.close()


def test_a_closed_prefetcher_starts_again() -> None:
    before = threads()
    prefetcher = Prefetcher(square, 2)
    assert prefetcher.get(5) == 25
    prefetcher.close()
    prefetcher.close()
    assert threads() <= before
    assert prefetcher.get(6) == 36
    prefetcher.close()


def test_a_forgotten_prefetcher_ends_its_thread() -> None:
    before = threads()
    prefetcher = Prefetcher(square, 2)
    prefetcher.get(0)
    assert len(threads() - before) == 1
    del prefetcher
    gc.collect()
    assert threads() <= before


def test_the_interpreter_ends_in_spite_of_a_waiting_thread() -> None:
    code = (
        "from netforge.data.batches.prefetch import Prefetcher\n"
        "p = Prefetcher(lambda k: bytes(1000), 2)\n"
        "p.get(0)\n"
        "print('done')\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_gets_its_own_thread() -> None:
    code = (
        "import os, sys\n"
        "from netforge.data.batches.prefetch import Prefetcher\n"
        "p = Prefetcher(lambda k: k * k, 2)\n"
        "first = p.get(0)\n"
        "child = os.fork()\n"
        "values = [p.get(k) for k in range(1, 6)]\n"
        "if child:\n"
        "    _, status = os.waitpid(child, 0)\n"
        "    print(values, status)\n"
        "else:\n"
        "    sys.exit(0 if values == [1, 4, 9, 16, 25] else 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[1, 4, 9, 16, 25] 0\n", done.stderr


@pytest.mark.parametrize("helping", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_items_that_nobody_gets_are_given_back(depth: int, helping: bool) -> None:
    made, given_back = [], []

    def make(position: int) -> int:
        made.append(position)
        return position

    prefetcher = Prefetcher(make, depth, discard=given_back.append, helping=helping)
    got = [prefetcher.get(0), prefetcher.get(1), prefetcher.get(7), prefetcher.get(8)]
    prefetcher.close()
    assert got == [0, 1, 7, 8]
    assert sorted(got + given_back) == sorted(made)


def test_who_comes_straight_back_makes_the_items_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "PROMPT_S", 0.5)
    monkeypatch.setattr(prefetch, "REST_S", 0.5)
    makers: list[int] = []

    def make(position: int) -> int:
        makers.append(threading.get_ident())
        time.sleep(0.001)
        return position

    prefetcher = Prefetcher(make, 3, helping=True)
    assert [prefetcher.get(k) for k in range(50)] == list(range(50))
    assert set(makers) == {threading.get_ident()}
    prefetcher.close()


def test_the_thread_does_not_rest_while_the_caller_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    made = threading.Semaphore(0)
    monkeypatch.setattr(prefetch, "PROMPT_S", 0.0)
    monkeypatch.setattr(prefetch.time, "sleep", rests.append)

    def make(position: int) -> int:
        made.release()
        return position

    prefetcher = Prefetcher(make, 1, helping=True)
    assert prefetcher.get(0) == 0 and made.acquire(timeout=20) and made.acquire(timeout=20)
    before = len(rests)
    for k in range(1, 5):
        assert prefetcher.get(k) == k and made.acquire(timeout=20)
    assert len(rests) == before
    prefetcher.close()
