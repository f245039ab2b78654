"""What every way of naming pictures comes to: files, their labels, and the sources they go into."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import Files

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PictureSet:
    """Pictures that are to be imported.

    files: where they lie. names: their names there. labels, groups: (count,), see `Source`. class_names: label to name.
    original_labels, auto, origins: of each picture, see `Writer.add`, where the list tells them; origins are otherwise
    the names.
    parts: "training", "testing", ... to the numbers of its pictures, where whoever made the list has split it.
    """

    files: Files
    names: list[str]
    labels: Numbers
    class_names: dict[int, str]
    groups: Numbers | None = None
    original_labels: Numbers | None = None
    auto: Numbers | None = None
    origins: list[str | None] | None = None
    parts: dict[str, Numbers] = field(default_factory=dict)
