"""A contact sheet of images that are there more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netforge.data.care.duplicates import Duplicates
from netforge.data.sheets.sheet import PLAIN, Row, Style, Tile, draw_sheet
from netforge.data.sources.image_set import ImageSet
from netforge.errors import counted

if TYPE_CHECKING:
    from PIL.Image import Image


def duplicate_sheet(images: ImageSet, groups: Sequence[Duplicates], *, per_row: int, style: Style = PLAIN) -> Image:
    """A row for each group: how far its images are apart, and up to `per_row` of them with label, id and source."""
    rows = []
    for group in groups:
        tiles = _tiles(images, group, per_row)
        rows.append(Row(tiles, "the same" if group.same else f"{group.apart:.1f} apart", _remark(group)))
    same = sum(group.same for group in groups)
    remark = f"{counted(same, 'group')} of the same pixels, {len(groups) - same:,} of nearly the same"
    return draw_sheet(images, rows, remark, heading=f"{images.name}: duplicates", style=style, fold=True)


def _spread(group: Duplicates, most: int) -> list[int]:
    """Places of up to `most` images of a group: of each label, and of both ends, as long as there is room."""
    first = {label: k for k, label in reversed(list(enumerate(group.labels)))}
    wanted = list(dict.fromkeys([*first.values(), len(group.images) - 1, *range(len(group.images))]))
    return sorted(wanted[:most])


def _tiles(images: ImageSet, group: Duplicates, most: int) -> list[Tile]:
    """Up to `most` images of a group, with label and id, and with the source where the group has images of several."""
    sources = [images.origin(number)[0] for number in group.images]
    several = len(set(sources)) > 1
    places = _spread(group, most)
    ids = images.ids(np.array([group.images[k] for k in places])).tolist()
    tiles = []
    for k, identity in zip(places, ids, strict=True):
        caption = (images.class_name(group.labels[k]), f"#{identity}", *([sources[k]] if several else []))
        tiles.append(Tile(group.images[k], caption, group.conflicting))
    return tiles


def _remark(group: Duplicates) -> str:
    labels = f", {counted(len(set(group.labels)), 'label')}" if group.conflicting else ""
    return counted(len(group.images), "image") + labels
