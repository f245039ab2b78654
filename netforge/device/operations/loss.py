"""Operations: distances and losses between two inputs."""

from __future__ import annotations


class LossOps:
    """NumPy reference of distances and losses between two inputs."""
