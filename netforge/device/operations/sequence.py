"""Operations: the newest items of each class, and what goes with each item of a batch: one of its class, and others.

cache (L, slots, size) holds the newest items of L classes; counts (L,) tell where each class stands: below `slots` it
is the number of its items, from there on `slots` and the slot that is written next, so that no count grows for ever.
Class numbers, counts and slots are whole numbers in the floating type of the items.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from netforge.device.operations.softmax import report_first
from netforge.device.random import RandomStream, raw_words

Array = Any
Partner = Literal["OTHER", "SAME", "ALTERNATING"]
"""The class of an item's first partner: another one, its own, or in turns its own (items 0, 2, 4 ...) and another."""


class SequenceOps:
    """NumPy reference of caches of classes and of draws from them."""

    def sequence_store(self, x: Array, labels: Array, cache: Array, counts: Array, places: Array) -> None:
        """Write the items x (N, size) of classes labels (N,) into the cache, in order: each over its class's oldest.

        places (N,) = the slot that each item has got, -1 where a newer item of the batch has taken it.
        """
        slots = cache.shape[1]
        index = labels.astype(np.intp)
        order = np.argsort(index, kind="stable")
        arrived = np.bincount(index, minlength=len(counts))
        rank = np.empty_like(index)
        rank[order] = np.arange(len(index)) - np.searchsorted(index[order], index[order])
        kept = rank >= arrived[index] - slots
        place = (counts.astype(np.intp)[index] + rank) % slots
        cache[index[kept], place[kept]] = x[kept]
        np.copyto(places, np.where(kept, place, -1))
        total = counts.astype(np.int64) + arrived
        np.copyto(counts, np.where(total < 2 * slots, total, slots + total % slots))

    def sequence_choose(
        self,
        labels: Array,
        places: Array,
        counts: Array,
        slots: int,
        chosen: Array,
        classes: Array,
        first_class: int,
        partner: Partner,
        stream: RandomStream,
        position: Array,
        report: Array | None = None,
    ) -> int:
        """Draw the partners of each item: chosen (P, N) = label * slots + slot, classes (N, 1 + P).

        labels (N,), places and counts as `sequence_store` left them. The first partner is of the class that `partner`
        says, all others of another class than the item. A class is drawn among those that have items, each as likely;
        then an item of it, each as likely, but never the item itself. Row i of classes holds the classes of the item
        and of its partners, plus `first_class`. Word i * P + p of draw position[0] serves partner p of item i: its low
        half draws the class, its high half the slot.

        Returns the flat index in `classes` of the first partner that there is none for, -1 where all are found; it
        holds the item's own class then. report (2,): where it is given and holds zeros, it becomes 1 + that index and
        the class; an asynchronous device then answers -1 at once.
        """
        partners, items = chosen.shape
        own = labels.astype(np.intp)[:, None]
        filled = np.minimum(counts, slots).astype(np.int64)
        words = raw_words(stream.seed, stream.key, int(position[0]), items * partners).reshape(items, partners)
        same = np.zeros((items, partners), bool)
        same[:: 2 if partner == "ALTERNATING" else 1, :1] = partner != "OTHER"
        label, alone = _draw_classes(words & np.uint64(0xFFFFFFFF), own, same, np.flatnonzero(filled))
        excluded = np.where(same & (places[:, None] >= 0), places[:, None], slots).astype(np.int64)
        slot, empty = _draw_slots(words >> np.uint64(32), filled[label], excluded, excluded < slots)
        missing = np.where(same, empty, alone)
        np.copyto(chosen, (label * slots + np.where(missing, 0, slot)).T)
        classes[:, 0] = labels + first_class
        classes[:, 1:] = label + first_class
        return _first_fault(missing, classes, report)


def _draw_classes(halves: Array, own: Array, same: Array, there: Array) -> tuple[Array, bool]:
    """The item's own class where `same`, else one of the classes `there` besides; and whether there is no other."""
    others = max(0, len(there) - 1)
    if not others:
        return np.broadcast_to(own, same.shape), True
    drawn = _below(halves, others)
    drawn += drawn >= np.searchsorted(there, own)
    return np.where(same, own, there[drawn]), False


def _draw_slots(halves: Array, filled: Array, excluded: Array, excludes: Array) -> tuple[Array, Array]:
    """A filled slot of each class, but not the excluded one; and where there is none."""
    room = filled - excludes
    slot = _below(halves, room)
    slot += slot >= excluded
    return slot, room <= 0


def _below(halves: Array, limits: Any) -> Array:
    """A whole number in [0, limit) from each uniform 32-bit number, as int64; 0 where the limit is not above 0."""
    return ((halves * np.maximum(limits, 0).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def _first_fault(missing: Array, classes: Array, report: Array | None) -> int:
    if not missing.any():
        return -1
    item, partner = divmod(int(missing.argmax()), int(missing.shape[1]))
    index = item * int(classes.shape[1]) + 1 + partner
    report_first(report, index, classes.reshape(-1)[index])
    return index
