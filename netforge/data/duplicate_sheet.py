"""A contact sheet of images that are there more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netforge.data.duplicates import Duplicates
from netforge.data.image_set import ImageSet
from netforge.data.sheet import PLAIN, Row, Style, Tile, draw_sheet
from netforge.errors import counted

if TYPE_CHECKING:
    from PIL.Image import Image


def duplicate_sheet(images: ImageSet, groups: Sequence[Duplicates], *, per_row: int, style: Style = PLAIN) -> Image:
    """A row for each group: how far its images are apart, and up to `per_row` of them with label, id and source."""
    rows = []
    for group in groups:
        shown = _spread(group, per_row)
        tiles = [_tile(images, number, group) for number in shown]
        rows.append(Row(tiles, "the same" if group.same else f"{group.apart:.1f} apart", _remark(group)))
    same = sum(group.same for group in groups)
    remark = f"{counted(same, 'group')} of the same pixels, {len(groups) - same:,} of nearly the same"
    return draw_sheet(images, rows, remark, heading=f"{images.name}: duplicates", style=style, fold=True)


def _spread(group: Duplicates, most: int) -> list[int]:
    """Up to `most` images of a group: of each label, and of both ends of the numbers, as long as there is room."""
    first = {label: k for k, label in reversed(list(enumerate(group.labels)))}
    wanted = list(dict.fromkeys([*first.values(), len(group.images) - 1, *range(len(group.images))]))
    return [group.images[k] for k in sorted(wanted[:most])]


def _tile(images: ImageSet, number: int, group: Duplicates) -> Tile:
    label = group.labels[group.images.index(number)]
    source, _ = images.origin(number)
    identity = f"#{images.ids(np.array([number]))[0]}"
    several = len({images.origin(n)[0] for n in group.images}) > 1
    caption = (images.class_name(label), identity, *([source] if several else []))
    return Tile(number, caption, group.conflicting)


def _remark(group: Duplicates) -> str:
    labels = f", {counted(len(set(group.labels)), 'label')}" if group.conflicting else ""
    return counted(len(group.images), "image") + labels
