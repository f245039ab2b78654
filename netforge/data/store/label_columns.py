"""What nets see of a source's labels, as it lies in the cache: one file that is mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.int64]

NO_GROUP = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class LabelColumns:
    """Of each image in use: its position among the stored ones, label, group and boost, (count,) each.

    groups: None where images have none. boosts: None where all are 0.
    """

    positions: Column
    labels: Column
    groups: Column | None = None
    boosts: Column | None = None

    @property
    def rows(self) -> Column:
        """All in one array: two rows, a third for groups, a fourth for boosts, with NO_GROUP in an idle third one."""
        groups, boosts = self.groups, self.boosts
        if boosts is not None and boosts.any():
            groups = np.full_like(boosts, NO_GROUP) if groups is None else groups
            return np.stack([self.positions, self.labels, groups, boosts])
        return np.stack([self.positions, self.labels, *([] if groups is None else [groups])])

    @classmethod
    def of(cls, rows: Column) -> LabelColumns:
        """What `rows` made; the columns are views."""
        positions, labels, *rest = rows
        groups = rest[0] if rest and NO_GROUP not in rest[0][:1] else None
        return cls(positions, labels, groups, rest[1] if len(rest) > 1 else None)
