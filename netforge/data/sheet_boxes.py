"""The boxes of annotated images, to be drawn on a sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netforge.data.database import ImageDatabase, SourceInfo
from netforge.data.source import Source


@dataclass(frozen=True)
class SheetBox:
    """A box with its label; xmin .. ymax in shares of the image's sides."""

    label: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class Boxes:
    """The boxes of one source by the ids of its images; False where it has none."""

    def __init__(self, database: ImageDatabase, info: SourceInfo) -> None:
        with database.snapshot() as connection:
            rows = connection.execute(
                "SELECT position, label, xmin, ymin, xmax, ymax FROM boxes WHERE source = ? ORDER BY position, number",
                (info.id,),
            )
            self._of: dict[int, list[SheetBox]] = {}
            for position, *box in rows:
                self._of.setdefault(position, []).append(SheetBox(*box))

    def __bool__(self) -> bool:
        return bool(self._of)

    def of(self, source: Source, number: int) -> list[SheetBox]:
        """Those of image `number` of a source."""
        return self._of.get(int(source.ids(np.array([number]))[0]), [])
