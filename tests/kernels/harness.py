"""Running kernels on the stand-in for CUDA beside their NumPy references.

A case is a function that builds arrays, runs a reference and its kernels, and compares. `@case(sizes...)` puts it into
`CASES` once for each of its sizes; the first of them is the small one that ThreadSanitizer gets too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cudashim
import numpy as np

from netforge.device import kernel_source
from netforge.device.operations import Ops

GRID, BLOCK = 3, 96  # three blocks of three warps: no power of two, and less than most arrays, so that loops stride
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


class Bench:
    """One floating type, one order of threads, and numbers that are the same each time."""

    ops = Ops()

    def __init__(self, dtype: str, order: str) -> None:
        self.dtype = np.dtype(dtype)
        self.order = order
        self.rng = np.random.default_rng(7)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return self.rng.standard_normal(shape).astype(self.dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Uniform numbers in [low, high)."""
        return self.rng.uniform(low, high, shape).astype(self.dtype)

    def whole(self, below: int, *shape: int) -> np.ndarray:
        """Whole numbers in [0, below), held as floats as labels are."""
        return self.rng.integers(0, max(1, below), shape).astype(self.dtype)

    def dirty(self, *shape: int, dtype: Any = None) -> np.ndarray:
        """An array for results, full of numbers that must not survive."""
        return np.full(shape, 77, dtype or self.dtype)

    def number(self, value: float) -> np.ndarray:
        """An array of one number, as losses and divisors are."""
        return np.full(1, value, self.dtype)

    def launch(self, name: str, *arguments: Any, grid: tuple[int, ...] = (GRID,), block: int = BLOCK) -> None:
        """Run kernel `name`, its arguments checked and converted as a real launch does it."""
        kernel = kernel_source.kernel(name, self.dtype)
        values = kernel.arguments(arguments)
        with cudashim.thread_order(self.order, seed=3):
            module(kernel.family, self.dtype.name).get_function(kernel.name)(grid, (block,), values)

    def sum(
        self,
        name: str,
        *arguments: Any,
        parts_at: int,
        out_at: int,
        factor: float,
        divisor: Any = None,
        least: float = -np.inf,
    ) -> None:
        """Run a kernel that ends in `finish_sum` with one block, and again with three and `sum_parts`: both must agree.

        arguments: without the parts, which belong at place `parts_at`; the sum is the array at place `out_at`.
        """
        out = arguments[out_at]
        parts = self.dirty(GRID)
        given = (*arguments[:parts_at], parts, *arguments[parts_at:])
        self.launch(name, *given, grid=(1,))
        alone = out.copy()
        self.launch(name, *given)
        self.launch("sum_parts", parts, divisor, out, GRID, factor, least, grid=(1,))
        self.equal(out, alone)

    def equal(self, got: np.ndarray, expected: np.ndarray, *, exact: bool = False) -> None:
        """Compare within the type's rounding, or bit for bit."""
        if exact:
            np.testing.assert_array_equal(got, expected)
            return
        tolerance = TOLERANCE[self.dtype.name]
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@functools.cache
def module(family: str, dtype: str) -> cudashim.RawModule:
    """A family's kernels, compiled once a process."""
    return cudashim.RawModule(code=kernel_source.module_text(family, dtype))


@dataclass(frozen=True)
class Case:
    """One function with one size."""

    name: str
    run: Callable[[Bench], None]
    small: bool


CASES: list[Case] = []


def case(*sizes: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a case for each size, which the function gets as its second argument."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for i, size in enumerate(sizes):
            CASES.append(Case(f"{function.__name__}-{size}", functools.partial(_call, function, size), i == 0))
        return function

    return register


def _call(function: Callable[..., None], size: Any, bench: Bench) -> None:
    with np.errstate(all="ignore"):
        function(bench, size)
