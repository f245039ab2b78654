"""Threads that share work: every piece once, errors reach the caller, BLAS threads come back."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest

from netforge.device.workers import Workers, piece_size, scratch, thread_count
from netforge.errors import DeviceError


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 37])
def test_each_piece_is_computed_once(size, pieces):
    done: list[int] = []
    Workers(size).run(pieces, done.append)
    assert sorted(done) == list(range(pieces))


def test_pieces_run_side_by_side():
    meeting = threading.Barrier(3, timeout=20)
    Workers(3).run(3, lambda _: meeting.wait())


@pytest.mark.parametrize("size", [1, 3])
def test_errors_are_raised_by_the_caller_and_the_team_goes_on(size):
    workers = Workers(size)

    def piece(index: int) -> None:
        if index == 3:
            raise ZeroDivisionError("piece 3")

    with pytest.raises(ZeroDivisionError, match="piece 3"):
        workers.run(5, piece)
    done: list[int] = []
    workers.run(4, done.append)
    assert sorted(done) == [0, 1, 2, 3]


def test_blas_threads_are_held_back_and_come_back():
    workers, seen = Workers(2), []
    threads = lambda: [library.get_num_threads() for library in workers.blas.libraries]  # noqa: E731
    before = threads()
    try:
        for library in workers.blas.libraries:
            library.set_num_threads(2)
        given = threads()
        workers.run(2, lambda _: seen.append(threads()))
        assert all(number == 1 for numbers in seen for number in numbers)
        assert threads() == given
    finally:
        for library, number in zip(workers.blas.libraries, before, strict=True):
            library.set_num_threads(number)


def test_work_after_a_fork():
    if not hasattr(os, "fork"):
        pytest.skip("this platform cannot fork")
    workers = Workers(2)
    workers.run(2, lambda _: None)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def child() -> None:
        done: list[int] = []
        workers.run(5, done.append)
        results.put(sorted(done))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking beside threads
        process = context.Process(target=child)
        process.start()
    assert results.get() == [0, 1, 2, 3, 4]
    process.join(20)
    assert process.exitcode == 0


def test_scratch_is_reused_per_thread_and_name():
    first = scratch("test", (4, 5), np.float32)
    first[...] = 1
    again = scratch("test", (10,), np.float32)
    assert np.shares_memory(first, again) and again.dtype == np.float32
    assert not np.shares_memory(first, scratch("other", (4, 5), np.float32))
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(scratch("test", (4, 5), np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(first, elsewhere[0])


def test_threads_are_counted_or_given(monkeypatch):
    monkeypatch.delenv("NETFORGE_THREADS", raising=False)
    assert thread_count() >= 1
    monkeypatch.setenv("NETFORGE_THREADS", "7")
    assert Workers().size == 7
    assert Workers(2).size == 2


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "99999999"])
def test_a_wrong_number_of_threads_is_refused(monkeypatch, given):
    monkeypatch.setenv("NETFORGE_THREADS", given)
    with pytest.raises(DeviceError, match="NETFORGE_THREADS"):
        thread_count()


@pytest.mark.parametrize(
    ("items", "most", "size"), [(64, 16, 16), (64, 27, 16), (64, 5, 4), (16, 16, 4), (3, 16, 1), (0, 16, 1), (9, 0, 1)]
)
def test_piece_sizes(items, most, size):
    assert piece_size(items, most) == size
