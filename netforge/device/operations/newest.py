"""Operations: the newest items of a stream, kept in a ring, and scores of classes by the nearest of them.

A ring is (slots, size); its cursor (2,) holds the slot that is written next and the number of slots that are filled, in
the floating type of the ring, which is exact below 2^24.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any

CHUNK_ELEMENTS = 1 << 22
"""Distances that are held at a time."""


class NewestOps:
    """NumPy reference of rings and of scores by nearest neighbours."""

    def ring_store(self, x: Array, ring: Array, cursor: Array) -> None:
        """Write the items of x (N, size) into the slots from cursor[0] on, in order; of more than fit, the newest."""
        items, slots = len(x), len(ring)
        order = np.arange(max(0, items - slots), items)
        ring[(int(cursor[0]) + order) % slots] = x[order]

    def ring_advance(self, cursor: Array, items: int, slots: int) -> None:
        """Move a cursor on, once all rings that share it have taken the items."""
        cursor[0] = (int(cursor[0]) + items) % slots
        cursor[1] = min(int(cursor[1]) + items, slots)

    def nearest_scores(self, x: Array, ring: Array, labels: Array, cursor: Array, scores: Array, k: int) -> None:
        """scores (N, L): how near each class is, from 1 for the nearest one down to 0 for the farthest.

        x (N, D); ring (slots, D) of items with labels (slots, 1), filled as cursor says. The distance to a class is the
        mean of the k smallest squared distances to its items, or of all where there are fewer; over the classes that
        have items it is scaled to [0, 1] for each x, and taken from 1. Classes without items score 0.
        """
        filled = int(cursor[1])
        stored, index = ring[:filled].astype(np.float64), labels[:filled, 0]
        squares = np.einsum("sd,sd->s", stored, stored)
        members = [np.flatnonzero(index == label) for label in range(scores.shape[1])]
        means = np.full(scores.shape, np.inf)
        step = max(1, CHUNK_ELEMENTS // max(1, filled))
        for start in range(0, len(x), step):
            wide = x[start : start + step].astype(np.float64)
            distances = squares - 2 * (wide @ stored.T) + np.einsum("nd,nd->n", wide, wide)[:, None]
            np.maximum(distances, 0, out=distances)  # double precision leaves a trace of its rounding
            for label, own in enumerate(members):
                if len(own):
                    near = distances[:, own]
                    nearest = np.partition(near, k - 1, axis=1)[:, :k] if len(own) > k else near
                    means[start : start + step, label] = nearest.mean(axis=1)
        there = np.isfinite(means)
        least = means.min(axis=1, keepdims=True, where=there, initial=np.inf)
        span = means.max(axis=1, keepdims=True, where=there, initial=0) - least
        with np.errstate(invalid="ignore", divide="ignore"):
            near = np.where(span > 0, 1 - (means - least) / span, 1)
        np.copyto(scores, np.where(there, near, 0))
