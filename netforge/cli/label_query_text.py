"""How often training drew each label, in words: a compact line for the live screen, and lines for a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netforge.errors import counted

if TYPE_CHECKING:
    from netforge.data.labels.label_queries import LabelQueryCounts

MOST_LISTED = 10


def screen_texts(queries: Sequence[LabelQueryCounts]) -> list[str]:
    """A line for each source: percent of each label, or their range where there are many, and epochs."""
    lines = []
    for entry in queries:
        parts = [entry.source] if len(queries) > 1 else []
        percent = entry.hit_percent.tolist()
        if len(percent) <= MOST_LISTED:
            parts.append(" ".join(f"{value:.1f}" for value in percent) + " %")
        else:
            parts.append(f"{_range(percent)} % each of {counted(len(percent), 'label')}")
        if entry.epochs is not None:
            parts.append(f"{_range(entry.epochs.tolist())} epochs")
        lines.append("   ".join(parts))
    return lines


def log_lines(queries: Sequence[LabelQueryCounts]) -> list[str]:
    """Two lines for each source, in MyCaffe's words; of many labels the first are listed."""
    lines = []
    for entry in queries:
        named = f" of {entry.source}" if len(queries) > 1 else ""
        lines.append(f"Label query hit percent{named}: {_listed([f'{x:.2f} %' for x in entry.hit_percent.tolist()])}")
        if entry.epochs is not None:
            lines.append(f"Label query epochs{named}: {_listed([f'{x:.2f}' for x in entry.epochs.tolist()])}")
    return lines


def _listed(texts: list[str]) -> str:
    more = [f"... {len(texts):,} labels"] if len(texts) > MOST_LISTED else []
    return "{" + ", ".join(texts[:MOST_LISTED] + more) + "}"


def _range(values: list[float]) -> str:
    """The smallest and the largest value, or the one that they round to."""
    low, high = (f"{value:.2f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
