"""Operations: class centroids and distances to them."""

from __future__ import annotations


class DecodeOps:
    """NumPy reference of class centroids and distances to them."""
