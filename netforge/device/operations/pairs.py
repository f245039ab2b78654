"""Pairs of items, on the host: how far apart they are, and which of them are of one class."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

CHUNK_ELEMENTS = 1 << 18
"""Numbers that one step of a loop works on: they stay in a processor's cache."""


def squared_distances(x: Array, others: Array, out: Array) -> None:
    """out (N, M) = squared distances of x (N, D) to others (M, D), from differences: exactly 0 between equal ones.

    Where both are the same array, each pair is measured once.
    """
    step = max(1, CHUNK_ELEMENTS // max(1, others.size))
    for start in range(0, len(x), step):
        own, first = slice(start, start + step), start if others is x else 0
        difference = x[own, None] - others[None, first:]
        out[own, first:] = np.einsum("ijd,ijd->ij", difference, difference)
        if others is x:
            out[start:, own] = out[own, start:].T


def label_pairs(labels: Array) -> tuple[Array, Array]:
    """Masks (N, N) of the pairs of items with equal and with different labels (N, K), of which only column 0 counts.

    No item is a pair with itself, whatever its label: NaN differs from itself.
    """
    truth = labels[:, 0]
    same, different = truth[:, None] == truth, truth[:, None] != truth
    for pairs in (same, different):
        np.fill_diagonal(pairs, False)
    return same, different


def sum_members(values: Array, members: Array, totals: Array, counts: Array) -> None:
    """totals (N,) and counts (N,) = the sum and the number of those values (N, N) of each row that the mask takes."""
    np.einsum("ij,ij->i", values, members, out=totals)
    np.sum(members, axis=1, out=counts, dtype=counts.dtype)
