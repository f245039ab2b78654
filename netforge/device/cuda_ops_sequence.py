"""Caches of the newest items of each class, and draws from them, on a GPU (kernels/sequence.cu)."""

from __future__ import annotations

from typing import Any

from netforge.device.cuda_ops_core import CudaCore
from netforge.device.operations.sequence import Partner
from netforge.device.random import RandomStream

Array = Any  # a CuPy array

_PARTNERS: dict[Partner, int] = {"OTHER": 0, "SAME": 1, "ALTERNATING": 2}


class CudaSequence(CudaCore):
    """`SequenceOps` by kernels."""

    def sequence_store(self, x: Array, labels: Array, cache: Array, counts: Array, places: Array) -> None:
        """Write the items of a batch into the caches of their classes; places (N,) = their slots."""
        classes, slots, size = cache.shape
        arrays = (labels, counts, places)
        self.launch.each("sequence_places", x.dtype, len(x), *arrays, len(x), classes, slots)
        self.launch.several("sequence_store", x.dtype, x.size, x, labels, places, cache, x.size, size, slots)
        self.launch.warps("sequence_count", x.dtype, classes, labels, counts, len(x), classes, slots)

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
        """Draw the partners of each item; write the first that there is none for into `report` and answer -1."""
        partners, items = chosen.shape
        arrays = (labels, places, counts, chosen, classes, self.first_index(), position)
        numbers = (items, partners, len(counts), slots, first_class, _PARTNERS[partner], stream.seed, stream.key)
        self.launch.each("sequence_choose", labels.dtype, items * partners, *arrays, *numbers)
        return self.found(classes, classes.size, classes.dtype, report)
