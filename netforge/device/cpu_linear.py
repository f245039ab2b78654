"""Matrix products and sums on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.device.operations.linear import LinearOps
from netforge.device.workers import Workers, scratch

Array = npt.NDArray[Any]

BLOCK_MULTIPLY_ADDS = 1 << 22  # the least work of a block of a product
BLOCKS = 8


class CpuLinear(LinearOps):
    """Matrix products in blocks of rows or columns, on all processors."""

    workers: Workers

    def matmul(
        self,
        a: Array,
        b: Array,
        out: Array,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        accumulate: bool = False,
    ) -> None:
        """See `LinearOps`."""
        left, right = a.T if transpose_a else a, b.T if transpose_b else b
        by_rows = out.shape[0] >= out.shape[1]
        length = max(out.shape)
        blocks = max(min(BLOCKS, out.size * left.shape[1] // BLOCK_MULTIPLY_ADDS), 1)
        size = -(-length // blocks)

        def block(index: int) -> None:
            span = slice(index * size, (index + 1) * size)
            rows, columns = (span, slice(None)) if by_rows else (slice(None), span)
            part = out[rows, columns]
            if accumulate:
                part += np.matmul(left[rows], right[:, columns], out=scratch("product", part.shape, out.dtype))
            else:
                np.matmul(left[rows], right[:, columns], out=part)

        self.workers.run(blocks, block)

    def bias_backward(self, dy: Array, db: Array, axis: int = 1) -> None:
        """See `LinearOps`."""
        letters = "abcdefghijklmnopqrstuvwxyz"[: dy.ndim]
        db += np.einsum(f"{letters}->{letters[axis]}", dy).reshape(db.shape)
