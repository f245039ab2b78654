"""Operations: the contrastive loss."""

from __future__ import annotations


class ContrastiveOps:
    """NumPy reference of the contrastive loss."""
