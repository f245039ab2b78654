"""Operations: the solvers' update rules."""

from __future__ import annotations


class UpdateOps:
    """NumPy reference of the solvers' update rules."""
