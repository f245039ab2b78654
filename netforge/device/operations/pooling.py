"""Operations: max and average pooling."""

from __future__ import annotations


class PoolingOps:
    """NumPy reference of max and average pooling."""
