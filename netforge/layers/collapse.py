"""Noticing that embeddings have collapsed into one point, for all losses that compare the items of a batch."""

from __future__ import annotations

NEAR, NOTHING = 0.1, 0.01
"""Distances between classes below these shares of a loss's own scale are short, and as good as none."""
APART = 1.1
"""Short distances still tell classes apart where they are this many times those within them."""
GROWTH = 2.0
"""A distance that has grown by this factor is on its way out of the collapse."""
LOOKS = 3
"""How many looks in a row must agree: the first batches of a healthy net can look collapsed."""


class CollapseWatch:
    """Tells in words when all embeddings are alike, whatever their class: a `Layer.diagnose` asks it at each display.

    scale: the distance from which on the loss rewards telling classes apart: its margin, 1 for a soft one, its
    temperature. resting: the loss of embeddings that are all alike. mend: what to try besides a lower rate, a warm-up
    and normalised layers, starting in lower case; or nothing.
    """

    def __init__(self, scale: float, resting: float, mend: str = "") -> None:
        self._scale, self._resting, self._mend = scale, resting, mend
        self._looks = 0
        self._longest = 0.0  # mean distance between classes in the looks that count

    def look(self, within: float, between: float) -> str | None:
        """Take in a batch's mean distances within and between classes; returns the words once it is clear."""
        alike = between < NEAR * self._scale and between <= APART * within
        alike = alike or between < NOTHING * self._scale
        growing = self._looks > 0 and between > GROWTH * self._longest > 0
        self._looks = self._looks + 1 if alike and not growing else 0
        self._longest = max(self._longest, between) if self._looks > 1 else between
        if self._looks < LOOKS:
            return None
        more = f", {self._mend}" if self._mend else ""
        return (
            f"the embeddings have collapsed: their mean distance is {between:.2g} between classes and {within:.2g} "
            f"within them, {self._looks} looks in a row, and the loss rests near {self._resting:.3g}; "
            f"try a lower base_lr, a warm-up (warmup_iter), BatchNorm after the layers with weights{more}"
        )
