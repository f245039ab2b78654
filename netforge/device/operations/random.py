"""Operations: counter-based random numbers."""

from __future__ import annotations


class RandomOps:
    """NumPy reference of counter-based random numbers."""
