"""The stand-in for CuPy captures graphs as CUDA does: nothing is done before the launch, and memory is not kept."""

from __future__ import annotations

from typing import Any

import fakecupy
import numpy as np
import pytest
from fakecupy import CUDARuntimeError, counts

ADD = """
extern "C" __global__ void add(const float* x, float* y, int count) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] += x[i];
}
"""


@pytest.fixture
def cupy() -> Any:
    return fakecupy.module()


def captured(cupy: Any, work: Any, pool: Any = None) -> Any:
    """The graph of some work, and the stream that it was captured on."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, cupy.cuda.using_allocator((pool or cupy.cuda.MemoryPool()).malloc):
        stream.begin_capture(mode=cupy.cuda.runtime.streamCaptureModeRelaxed)
        assert stream.is_capturing()
        try:
            work(stream)
        finally:
            graph = stream.end_capture()
    assert not stream.is_capturing()
    return graph


def test_work_is_done_by_launches_alone(cupy: Any) -> None:
    x, y = cupy.ones(5, np.float32), cupy.zeros(5, np.float32)
    kernel = cupy.RawModule(code=ADD).get_function("add")
    x += 1

    def work(stream: Any) -> None:
        kernel((1,), (32,), (x, y, np.int32(5)))
        x.fill(7)
        y[1:3] = 0
        cupy.multiply(y, x, out=y)

    counts.reset()
    graph = captured(cupy, work)
    assert (counts.launches, counts.graphs) == ([], 0)
    assert (x.tolist(), y.tolist()) == ([2] * 5, [0] * 5)
    graph.launch()
    assert (x.tolist(), y.tolist()) == ([7] * 5, [14, 0, 0, 14, 14])
    graph.launch()
    assert y.tolist() == [147, 0, 0, 147, 147]
    assert (counts.launches, counts.graphs) == ([], 2)


def test_new_arrays_are_undefined_until_a_launch(cupy: Any) -> None:
    x, made, pool = cupy.ones((2, 3), np.float32), [], cupy.cuda.MemoryPool()
    graph = captured(cupy, lambda stream: made.extend([x + 1, x.sum(axis=0), cupy.zeros(3), x[::-1]]), pool)
    total, sums, zeros, view = made
    assert not (total.get() == 2).any() and not (sums.get() == 2).any() and not (zeros.get() == 0).any()
    x[0] = 4
    assert view.tolist() == [[1] * 3, [4] * 3]  # a view is no work
    graph.launch()
    assert (total.tolist(), sums.tolist(), zeros.tolist()) == ([[5] * 3, [2] * 3], [5] * 3, [0] * 3)


def test_a_graph_does_not_keep_memory_but_a_pool_does(cupy: Any) -> None:
    y, pool = cupy.zeros(3), cupy.cuda.MemoryPool()

    def work(stream: Any) -> None:
        y[...] = y + 1

    graph = captured(cupy, work, pool)
    graph.launch()
    assert y.tolist() == [1] * 3
    del pool
    with pytest.raises(CUDARuntimeError, match="memory that was freed"):
        graph.launch()
    held = [cupy.ones(3)]
    graph = captured(cupy, lambda stream: cupy.add(held[0], 1, out=y))
    graph.launch()
    held.clear()
    with pytest.raises(CUDARuntimeError, match="memory that was freed"):
        graph.launch()


@pytest.mark.parametrize("waits", ["stream", "event"])
def test_whoever_waits_loses_the_capture(waits: str, cupy: Any) -> None:
    def work(stream: Any) -> None:
        cupy.cuda.Stream().synchronize()  # another one is no matter
        with pytest.raises(CUDARuntimeError, match="StreamCaptureUnsupported"):
            (stream if waits == "stream" else stream.record()).synchronize()
        with pytest.raises(RuntimeError, match="invalidated the capture"):
            stream.is_capturing()

    with pytest.raises(CUDARuntimeError, match="StreamCaptureInvalidated"):
        captured(cupy, work)


def test_transfers_are_refused(cupy: Any) -> None:
    x, held = cupy.ones(3), np.zeros(3)

    def work(stream: Any) -> None:
        refused = (x.get, x.tolist, lambda: float(x[0]), lambda: cupy.asarray(held), lambda: x.set(held, stream))
        for transfer in refused:
            with pytest.raises(CUDARuntimeError, match="StreamCaptureUnsupported"):
                transfer()

    captured(cupy, work)


def test_events_do_not_cross_the_border_of_a_capture(cupy: Any) -> None:
    other = cupy.cuda.Stream()
    before = other.record()

    def work(stream: Any) -> None:
        with pytest.raises(CUDARuntimeError, match="Isolation"):
            stream.wait_event(before)
        with pytest.raises(CUDARuntimeError, match="Isolation"):
            other.wait_event(stream.record())

    captured(cupy, work)


def test_other_streams_go_on(cupy: Any) -> None:
    x, other = cupy.ones(3), cupy.cuda.Stream()

    def work(stream: Any) -> None:
        with other:
            x.fill(2)
        assert stream.is_capturing()

    captured(cupy, work)
    assert x.tolist() == [2] * 3


def test_the_null_stream_cannot_be_captured(cupy: Any) -> None:
    with pytest.raises(RuntimeError, match="default"):
        cupy.cuda.get_current_stream().begin_capture(mode=cupy.cuda.runtime.streamCaptureModeRelaxed)


def test_events_tell_the_time_between_them(cupy: Any) -> None:
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    with pytest.raises(CUDARuntimeError, match="without a time"):
        cupy.cuda.get_elapsed_time(start, end)
    start.record()
    end.record()
    assert cupy.cuda.get_elapsed_time(start, end) >= 0
