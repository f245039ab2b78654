"""Operations: convolution and its gradients."""

from __future__ import annotations


class ConvolutionOps:
    """NumPy reference of convolution and its gradients."""
