"""Operations: matrix products."""

from __future__ import annotations


class LinearOps:
    """NumPy reference of matrix products."""
