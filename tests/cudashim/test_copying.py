"""The stand-in for CuPy notices copies from page-locked memory that are used, or whose memory is written, too early."""

from __future__ import annotations

import fakecupy
import numpy as np
import pytest
from fakecupy.copying import EarlyWriteError


@pytest.fixture
def cupy():
    return fakecupy.module()


def page_locked(cupy, count: int = 4) -> np.ndarray:
    array = np.frombuffer(cupy.cuda.alloc_pinned_memory(count), np.uint8)[:count]
    array[...] = np.arange(count)
    return array


def test_what_a_stream_did_not_wait_for_is_not_there(cupy) -> None:
    source, target = page_locked(cupy), cupy.zeros((4,), np.uint8)
    work, copies = cupy.cuda.Stream(), cupy.cuda.Stream()
    target.set(source, stream=copies)
    event = copies.record()
    with work:
        assert target.get().tolist() == [0xCD] * 4
        work.wait_event(event)
        assert target.get().tolist() == [0, 1, 2, 3]


def test_the_streams_own_work_comes_behind_its_copies(cupy) -> None:
    source, target = page_locked(cupy), cupy.zeros((4,), np.uint8)
    with cupy.cuda.Stream() as work:
        target.set(source, stream=work)
        assert target.get().tolist() == [0, 1, 2, 3]


def test_memory_may_be_written_once_the_host_has_waited(cupy) -> None:
    source, target = page_locked(cupy), cupy.zeros((4,), np.uint8)
    work, copies = cupy.cuda.Stream(), cupy.cuda.Stream()
    target.set(source, stream=copies)
    work.wait_event(copies.record())
    work.record().synchronize()
    source[...] = 7
    target.set(source, stream=copies)
    copies.synchronize()
    assert target.get().tolist() == [7] * 4


@pytest.mark.parametrize("again", [False, True])
def test_memory_that_is_written_too_early_raises(cupy, again: bool) -> None:
    source, target = page_locked(cupy), cupy.zeros((4,), np.uint8)
    copies = cupy.cuda.Stream()
    target.set(source, stream=copies)
    cupy.cuda.Stream().wait_event(copies.record())  # only the host's waiting counts
    source[1] = 9
    with pytest.raises(EarlyWriteError):
        if again:
            target.set(source, stream=copies)
        copies.synchronize()


def test_memory_that_may_move_is_copied_at_once(cupy) -> None:
    source, target = np.arange(3), cupy.zeros((3,), int)
    target.set(source, stream=cupy.cuda.Stream())
    source[...] = 0
    assert target.get().tolist() == [0, 1, 2]
