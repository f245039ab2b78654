"""The stand-in for CUDA computes what CUDA would, and finds the mistakes planted in planted.cu without a sanitizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cudashim import LaunchError, RawKernel, RawModule, build, thread_order

TEXT = Path(__file__).with_name("planted.cu").read_text()
ORDERS = ["forward", "reversed", "shuffled"]


@pytest.fixture(scope="module")
def module() -> RawModule:
    return RawModule(code=TEXT)


def floats(n: int) -> np.ndarray:
    return np.zeros(n, np.float32)


def line_of(text: str) -> int:
    """The line of planted.cu that holds `text`."""
    return TEXT[: TEXT.index(text)].count("\n") + 1


@pytest.mark.parametrize("order", ORDERS)
def test_barriers_order_shared_memory(module: RawModule, order: str) -> None:
    out = floats(64)
    with thread_order(order):
        module.get_function("reverse_block")((2,), (64,), (out,))
    np.testing.assert_array_equal(out, np.arange(64)[::-1])


def test_a_missing_barrier_depends_on_the_order(module: RawModule) -> None:
    results = []
    for order in ("forward", "reversed"):
        results.append(floats(64))
        with thread_order(order):
            module.get_function("missing_barrier")((1,), (64,), (results[-1],))
    assert (results[0] != results[1]).any()


@pytest.mark.parametrize("order", ORDERS)
def test_votes_and_shuffles(module: RawModule, order: str) -> None:
    x = np.random.default_rng(0).integers(-4, 4, 64).astype(np.int32)
    ballots, counts = np.zeros(2, np.uint32), np.zeros(2, np.int32)
    values, up, swapped, halves = np.arange(32.0), np.zeros(32), np.zeros(32), np.zeros(32, np.int32)
    with thread_order(order, seed=5):
        module.get_function("vote")((1,), (64,), (x, ballots, counts))
        module.get_function("neighbours")((1,), (32,), (values, up, swapped))
        module.get_function("half_warps")((1,), (32,), (halves,))
    assert ballots.tolist() == [sum(1 << i for i in range(32) if x[w + i] > 0) for w in (0, 32)]
    assert counts.tolist() == [(x > 0).sum(), 1]
    np.testing.assert_array_equal(up, np.maximum(values - 1, 0))
    np.testing.assert_array_equal(swapped, values.reshape(16, 2)[:, ::-1].ravel())
    np.testing.assert_array_equal(halves, np.repeat([120, 376], 16))


@pytest.mark.parametrize("order", ORDERS)
def test_every_thread_of_every_block_runs_once(module: RawModule, order: str) -> None:
    out = np.zeros(2 * 3 * 2 * 4 * 3 * 5, np.int32)
    with thread_order(order):
        module.get_function("places")((2, 3, 2), (4, 3, 5), (out,))
    np.testing.assert_array_equal(out, np.arange(out.size))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("name", "threads", "words"),
    [
        ("divergent_barrier", 32, r"divergent __syncthreads\(\)"),
        ("barrier_after_return", 32, "return"),
        ("waits_for_a_waiting_lane", 32, "deadlock: .*__shfl_sync"),
    ],
)
def test_barriers_that_cannot_open(module: RawModule, name: str, threads: int, words: str, order: str) -> None:
    with thread_order(order), pytest.raises(LaunchError, match=words):
        module.get_function(name)((1,), (threads,), (floats(64),))


def test_a_divergent_barrier_is_named_with_its_lines(module: RawModule) -> None:
    first, second = line_of("if (threadIdx.x < 16) __syncthreads()"), line_of("else { x[0] = 1; __syncthreads()")
    with pytest.raises(LaunchError, match=rf"at line {first}, .* at line {second} \[block \(0,0,0\)"):
        module.get_function("divergent_barrier")((1,), (32,), (floats(1),))


def test_a_lane_outside_its_mask(module: RawModule) -> None:
    with pytest.raises(LaunchError, match="__shfl_sync: the calling lane is not in the mask"):
        module.get_function("lane_outside_its_mask")((1,), (32,), (np.zeros(32, np.int32),))


def test_what_a_shuffle_leaves_undefined_is_poison(module: RawModule) -> None:
    x = floats(8)
    module.get_function("shuffles_from_an_absent_lane")((1,), (8,), (x,))
    np.testing.assert_array_equal(np.isnan(x), [False] * 6 + [True] * 2)


GOOD = (floats(4), floats(4), np.float32(2), np.int32(4))


def read_only() -> np.ndarray:
    x = floats(4)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, np.zeros(4), "an array of float64"),
        (1, floats(8)[::2], "not C-contiguous"),
        (1, read_only(), "a read-only array"),
        (1, [0.0], "wants an array, got list"),
        (2, 2.0, "float64, whose raw bytes"),
        (3, 4, "int64, whose raw bytes"),
        (3, np.uint32(4), "uint32, whose raw bytes"),
    ],
)
def test_wrong_arguments(module: RawModule, place: int, value: Any, words: str) -> None:
    arguments = [*GOOD]
    arguments[place] = value
    with pytest.raises(LaunchError, match=rf"scaled, argument {place} .*{words}"):
        module.get_function("scaled")((1,), (32,), tuple(arguments))


def test_read_only_arrays_suit_const_pointers(module: RawModule) -> None:
    module.get_function("scaled")((1,), (32,), (read_only(), *GOOD[1:]))


def test_wrong_number_of_arguments(module: RawModule) -> None:
    with pytest.raises(LaunchError, match="scaled takes 4 arguments, not 3"):
        module.get_function("scaled")((1,), (32,), GOOD[:3])


@pytest.mark.parametrize(
    ("grid", "block"), [((0,), (32,)), ((1,), (1025,)), ((1,), (32, 33)), ((1, 65536), (32,)), ((1,), (1, 1, 65))]
)
def test_shapes_that_cuda_lacks(module: RawModule, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    with pytest.raises(LaunchError, match="CUDA has no grid"):
        module.get_function("scaled")(grid, block, GOOD)


def test_too_much_shared_memory(module: RawModule) -> None:
    with pytest.raises(LaunchError, match="bytes of shared memory"):
        module.get_function("scaled")((1,), (32,), GOOD, shared_mem=49153)


def test_unknown_kernels_and_faulty_text(module: RawModule) -> None:
    with pytest.raises(AttributeError, match="scaled"):
        module.get_function("scale")
    with pytest.raises(RuntimeError, match=r"kernel\.cu:1:.*error"):
        RawModule(code='extern "C" __global__ void f(int* x) { x[0] = y; }')


def test_declarations_by_macro_and_definitions() -> None:
    text = """#define KERNEL(name) extern "C" __global__ void name##_f32
KERNEL(fill)(float* x) { x[threadIdx.x] = VALUE; }
"""
    module = RawModule(code=text, options=("-std=c++17", "-DVALUE=3"))
    assert module.names == ["fill_f32"]
    x = floats(4)
    module.get_function("fill_f32")((1,), (4,), (x,))
    assert x.tolist() == [3] * 4


def test_compiled_kernels_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = RawKernel(TEXT, "scaled")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    again = RawKernel(TEXT, "scaled")
    assert kernel.signature == again.signature == ["Cf4", "Pf4", "f4", "i4"]


def test_no_kernel_of_the_text_is_overlooked(module: RawModule) -> None:
    assert module.names == re.findall(r'extern "C" __global__ void (\w+)', TEXT)
