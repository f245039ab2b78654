"""Looking into nets and runs: pages of HTML, charts, diagrams, pictures of weights and embeddings, run reports."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netforge.inspect.drawing import draw

_HOMES = {"draw": "netforge.inspect.drawing"}

__all__ = ["draw"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netforge.inspect' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
