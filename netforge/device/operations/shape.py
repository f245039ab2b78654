"""Operations: copying between differently shaped arrays."""

from __future__ import annotations


class ShapeOps:
    """NumPy reference of copying between differently shaped arrays."""
