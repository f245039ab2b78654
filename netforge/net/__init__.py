"""Nets: built from prototxt, run forward and backward."""

from __future__ import annotations

from netforge.net.net import Net
from netforge.net.summary import LayerSummary
from netforge.net.weights import Learnable

__all__ = ["LayerSummary", "Learnable", "Net"]
