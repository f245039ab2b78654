"""Operations: elementwise activations."""

from __future__ import annotations


class NeuronOps:
    """NumPy reference of elementwise activations."""
