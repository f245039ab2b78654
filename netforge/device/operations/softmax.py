"""Operations: softmax and its losses."""

from __future__ import annotations


class SoftmaxOps:
    """NumPy reference of softmax and its losses."""
