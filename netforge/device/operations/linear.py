"""Operations: matrix products, biases, and factors along axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class LinearOps:
    """NumPy reference of matrix products, biases, and factors along axes."""

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
        """out (M, N) = a (M, K) times b (K, N), each transposed first where asked; added to `out` with `accumulate`."""
        left, right = a.T if transpose_a else a, b.T if transpose_b else b
        if accumulate:
            out += np.matmul(left, right)
        else:
            np.matmul(left, right, out=out)

    def bias_forward(self, y: Array, b: Array, axis: int = 1) -> None:
        """Add b, one number per index of `axis`, to y in place."""
        y += b.reshape(-1, *(1 for _ in y.shape[axis + 1 :]))

    def bias_backward(self, dy: Array, db: Array, axis: int = 1) -> None:
        """db += the sum of dy over all axes but `axis`."""
        db += dy.sum(axis=tuple(i for i in range(dy.ndim) if i != axis)).reshape(db.shape)

    def scale_forward(self, x: Array, factor: Array, bias: Array | None, y: Array, kept: Array | None = None) -> None:
        """y = x * factor[c], plus bias[c] where given; x, y (outer, C, inner), factor, bias (C,).

        y may be x, of which kept gets a copy where given.
        """
        if kept is not None:
            np.copyto(kept, x)
        np.multiply(x, factor[:, None], out=y)
        if bias is not None:
            y += bias[:, None]

    def scale_backward_factor(self, dy: Array, x: Array, dfactor: Array, dbias: Array | None = None) -> None:
        """dfactor[c] += the sum of dy * x over outer and inner, dbias[c] += that of dy where given."""
        dfactor += np.einsum("oci,oci->c", dy, x)
        if dbias is not None:
            self.bias_backward(dy, dbias)
