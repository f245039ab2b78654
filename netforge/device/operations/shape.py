"""Operations: moving rows and columns, and picking elements by index.

Index arrays hold whole numbers as floats, checked before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = Any


def around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(elements before the axis, its size, elements behind it): the shape in which an operation along it is done."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


class ShapeOps:
    """NumPy reference of moving rows and columns, and picking elements by index."""

    def copy_columns(self, x: Array, x_start: int, y: Array, y_start: int, width: int) -> None:
        """y[:, y_start : y_start + width] = x[:, x_start : x_start + width]; x and y have two axes, and equal rows."""
        np.copyto(y[:, y_start : y_start + width], x[:, x_start : x_start + width])

    def crop_forward(self, x: Array, y: Array, offsets: tuple[int, ...]) -> None:
        """y = the window of x that starts at offsets and has the sizes of y; one offset for each axis."""
        np.copyto(y, x[_window(y, offsets)])

    def crop_backward(self, dy: Array, dx: Array, offsets: tuple[int, ...]) -> None:
        """dx = dy in the window, 0 around it; shapes as in `crop_forward`."""
        dx.fill(0)
        dx[_window(dy, offsets)] = dy

    def tile_forward(self, x: Array, y: Array) -> None:
        """y[o, t] = x[o] for each t; x (outer, block), y (outer, tiles, block)."""
        np.copyto(y, x[:, None])

    def tile_backward(self, dy: Array, dx: Array) -> None:
        """dx[o] = sum of dy[o, t] over t; shapes as in `tile_forward`."""
        np.sum(dy, axis=1, out=dx)

    def gather_rows(self, x: Array, index: Array, y: Array) -> None:
        """y[i] = x[index[i]]; x (rows, size), index (n,), y (n, size)."""
        np.take(x, index.astype(np.intp), axis=0, out=y)

    def scatter_add_rows(self, dy: Array, index: Array, dx: Array) -> None:
        """dx[index[i]] += dy[i], in the order of i; shapes as in `gather_rows`. Adds: clear dx first where needed."""
        np.add.at(dx, index.astype(np.intp), dy)

    def selected_rows(self, selector: Array) -> Array:
        """Indices of the elements of selector (n,) that are not 0, on the host: the size of a blob depends on them."""
        return np.flatnonzero(selector)

    def maximum_forward(self, inputs: list[Array], y: Array, winner: Array) -> None:
        """y = elementwise maximum; winner (int32) = index of the input it came from, the later one at a tie."""
        np.copyto(y, inputs[0])
        winner[...] = 0
        for i, x in enumerate(inputs[1:], start=1):
            later = x >= y
            np.copyto(winner, i, where=later)
            np.copyto(y, x, where=later)

    def maximum_backward(self, dy: Array, winner: Array, dx: Array, index: int) -> None:
        """dx = dy where `index` is the winner, 0 elsewhere."""
        np.multiply(dy, winner == index, out=dx)

    def top_k(self, x: Array, indices: Array, values: Array, k: int) -> None:
        """The k largest elements along axis 1 of x (outer, C, inner), largest first; at ties the larger index first.

        indices (as floats) and values: (outer, k, inner).
        """
        classes = x.shape[1]
        order = classes - 1 - np.argsort(-x[:, ::-1], axis=1, kind="stable")[:, :k]
        np.copyto(indices, order)
        np.copyto(values, np.take_along_axis(x, order, axis=1))


def _window(part: Array, offsets: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(offsets, part.shape, strict=True))
