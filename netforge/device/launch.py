"""Launching netforge's kernels: compiled when first needed, their arguments checked, grids chosen from sizes alone.

Grids depend on nothing but the sizes of a call and the GPU's model, so that equal calls give equal bits.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device import kernel_source

Array = Any  # a CuPy array

BLOCK = 256
LARGE_BLOCK = 512
"""Where blocks are few and have much work each; leaves a kernel 128 registers a thread."""
WARP = 32
AT_ONCE = 4
"""Elements that a thread asks for before it uses the first (common.cuh)."""
OPTIONS = ("-std=c++17",)
"""CuPy 13 compiles as C++11 unless told otherwise, CuPy 14 as C++17."""

ONE_BLOCK_SUM = 1 << 13
"""Sums over at most as many elements run in one block: a second launch would cost more than the idle processors."""
SUM_BLOCKS = 2048
"""Most blocks of a larger sum: all that a GPU runs at once, and few enough that one block adds up their parts."""


class Scratch:
    """Working memory that operations share, one array for each purpose; it grows and never moves while it is in use.

    Operations run one after another on one stream, so that the next one may use the memory of the one before. What an
    array outgrows is kept: a captured graph may still use it.
    """

    def __init__(self, xp: ModuleType) -> None:
        self._xp = xp
        self._arrays: dict[tuple[str, np.dtype[Any]], Array] = {}
        self._outgrown: list[Array] = []

    def take(self, purpose: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """An array with undefined contents, the memory of all others for this purpose."""
        key, size = (purpose, np.dtype(dtype)), math.prod(shape)
        array = self._arrays.get(key)
        if array is None or array.size < size:
            if array is not None:
                self._outgrown.append(array)
            array = self._arrays[key] = self._xp.empty((size,), dtype)
        return array[:size].reshape(shape)


class Launcher:
    """Launches kernels by name on the current stream of the current GPU.

    xp: CuPy. processors: multiprocessors of the GPU. scratch: where sums keep their parts.
    """

    def __init__(self, xp: ModuleType, processors: int, scratch: Scratch) -> None:
        self._xp = xp
        self._most_blocks = processors * 32  # four times what fits at once: processors that are done early go on
        self._scratch = scratch
        self._modules: dict[tuple[str, str], Any] = {}
        self._functions: dict[tuple[str, npt.DTypeLike], tuple[kernel_source.Kernel, Any]] = {}

    def each(self, name: str, dtype: npt.DTypeLike, count: int, *arguments: Any) -> None:
        """One thread for each of `count` elements."""
        if count:
            self.grid(name, dtype, (min(-(-count // BLOCK), self._most_blocks),), *arguments)

    def several(self, name: str, dtype: npt.DTypeLike, count: int, *arguments: Any) -> None:
        """One thread for AT_ONCE of `count` elements: kernels made of `for_each_of`."""
        self.each(name, dtype, -(-count // AT_ONCE), *arguments)

    def warps(self, name: str, dtype: npt.DTypeLike, count: int, *arguments: Any) -> None:
        """One warp for each of `count` items."""
        self.each(name, dtype, count * WARP, *arguments)

    def blocks(self, name: str, dtype: npt.DTypeLike, count: int, *arguments: Any, threads: int = BLOCK) -> None:
        """One block for each of `count` items."""
        if count:
            self.grid(name, dtype, (min(count, self._most_blocks),), *arguments, threads=threads)

    def grid(
        self, name: str, dtype: npt.DTypeLike, grid: tuple[int, ...], *arguments: Any, threads: int = BLOCK
    ) -> None:
        """A grid of blocks of so many threads."""
        kernel, function = self._function(name, dtype)
        function(grid, (threads,), kernel.arguments(arguments))

    def sum(
        self,
        name: str,
        dtype: npt.DTypeLike,
        threads: int,
        before: tuple[Any, ...],
        out: Array,
        after: tuple[Any, ...],
        *,
        factor: float,
        divisor: Array | None = None,
        least: float = -math.inf,
    ) -> None:
        """A kernel that ends in `finish_sum`: out[0] = factor * sum / divisor[0], the sum raised to `least`.

        threads: how many would have one element each; a thread takes AT_ONCE. The kernel takes `before`, the memory
        for parts, and `after`; `out` is among them.
        """
        blocks = sum_blocks(threads)
        parts = self._scratch.take("parts", (blocks,), dtype) if blocks > 1 else None
        self.grid(name, dtype, (blocks,), *before, parts, *after)
        if parts is not None:
            self.grid("sum_parts", dtype, (1,), parts, divisor, out, blocks, factor, least)

    def channels(
        self,
        name: str,
        inputs: tuple[Array, ...],
        outs: tuple[Array, ...],
        view: tuple[int, int, int],
        factor: float,
        add: bool,
    ) -> None:
        """A channel_* kernel over arrays seen as (outer, channels, inner): outs[...][c] (+)= factor * a channel's sum.

        Most kernels have one sum, channel_sum_dot has two.
        """
        channels, splits, dtype = view[1], channel_splits(view), outs[0].dtype
        if not channels:
            return
        parts = self._scratch.take("parts", (len(outs), channels, splits), dtype) if splits > 1 else None
        self.grid(name, dtype, (channels, splits), *inputs, *outs, parts, *view, factor, add)
        if parts is not None:
            first, second = (*outs, None)[:2]
            numbers = (channels, splits, factor, add)
            self.warps("finish_channels", dtype, channels * len(outs), parts, first, second, *numbers)

    def _function(self, name: str, dtype: npt.DTypeLike) -> tuple[kernel_source.Kernel, Any]:
        known = self._functions.get((name, dtype))
        if known is None:
            kernel = kernel_source.kernel(name, dtype)
            module = self._module(kernel.family, kernel.dtype.name)
            known = self._functions[name, dtype] = kernel, module.get_function(kernel.name)
        return known

    def _module(self, family: str, dtype: str) -> Any:
        key = (family, dtype)
        if key not in self._modules:
            self._modules[key] = self._xp.RawModule(code=kernel_source.module_text(family, dtype), options=OPTIONS)
        return self._modules[key]


def sum_blocks(count: int) -> int:
    """Blocks that share a sum over `count` elements."""
    return 1 if count <= ONE_BLOCK_SUM else min(-(-count // (AT_ONCE * BLOCK)), SUM_BLOCKS)


def channel_splits(view: tuple[int, int, int]) -> int:
    """Blocks that share a channel's sum over arrays seen as (outer, channels, inner): enough to fill a GPU."""
    outer, channels, inner = view
    return max(1, min(-(-outer * inner // (2 * AT_ONCE * BLOCK)), -(-SUM_BLOCKS // max(1, channels))))
