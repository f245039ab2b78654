"""Sources made of images of other sources: sub-sets, what they leave, and several sources as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.boxes import Boxes
from netforge.data.database import ImageDatabase
from netforge.data.drafts import Draft, Progress, Stored, store
from netforge.data.image_set import ImageSet
from netforge.data.label_ranges import LabelRanges
from netforge.data.opening import open_source
from netforge.data.sampling import permutation, random_words
from netforge.data.source import Source
from netforge.device.random import RandomStream
from netforge.errors import DataError

BLOCK_BYTES = 1 << 22


def copy_images(
    database: ImageDatabase,
    sources: Sequence[str],
    name: str,
    *,
    most_per_label: int | None = None,
    seed: int = 0,
    only_labels: str | None = None,
    rest: str | None = None,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Copy images into a source of their own, in their order; labels, groups, boxes, origins and names of classes come
    along.

    sources: names in the database, or folders of LMDBs; the images of all of them are taken together. most_per_label:
    so many images of each label, or all of a label that has fewer; which ones depends on `seed`, the label and the
    images of that label alone. only_labels: images with other labels are left out, see `LabelRanges`. rest: makes a
    second source of every image that is not in the first, with the first one's mean image. mean_of, replace, dry_run,
    progress: see `store`.

    Raises DataError where the sources differ in shape, type or colour order or give one label two names, where no image
    is left for one of the new sources, or where a name is taken; UnknownNameError where there is no such source.
    """
    targets = [name] if rest is None else [name, rest]
    for target in targets:
        if target in sources or targets.count(target) > 1:
            raise DataError(f'"{target}" is named twice: images cannot be copied onto themselves')
    opened = [open_source(None, source, database=database.path) for source in sources]
    pool = _Pool(opened, [_Kept.of(database, source) for source in opened])
    chosen = np.ones(len(pool.labels), np.bool_) if only_labels is None else LabelRanges(only_labels).mask(pool.labels)
    if most_per_label is not None:
        chosen = draw(pool.labels, chosen, most_per_label, seed)
    drafts = [pool.draft(name, np.flatnonzero(chosen))]
    if rest is not None:
        drafts.append(pool.draft(rest, np.flatnonzero(~chosen)))
    return store(database, drafts, mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)


def draw(labels: npt.NDArray[np.int64], among: npt.NDArray[np.bool_], most: int, seed: int) -> npt.NDArray[np.bool_]:
    """Choose at most `most` of the images `among` of each label, all equally likely; a mask over all images."""
    chosen = np.zeros(len(labels), np.bool_)
    stream = RandomStream(seed, "copy")
    for label in np.unique(labels[among]).tolist():
        rows = np.flatnonzero((labels == label) & among)
        chosen[rows[permutation(random_words(stream, label % (1 << 32), len(rows)))[:most]]] = True
    return chosen


def draw_share(labels: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose `share` of the images of each label, rounded, all equally likely; a mask over all images."""
    chosen = np.zeros(len(labels), np.bool_)
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        chosen |= draw(labels, labels == label, round(int(size) * share), seed)
    return chosen


@dataclass(frozen=True)
class _Kept:
    """What the database knows of the images of a source beside what nets see; of an LMDB, nothing."""

    original_labels: npt.NDArray[np.int64]
    origins: list[str | None]
    boxes: Boxes

    @classmethod
    def of(cls, database: ImageDatabase, source: Source) -> _Kept:
        if source.name not in database:
            return cls(source.labels, [None] * source.count, Boxes.none())
        kept = cls(database.original_labels(source.name), database.origins(source.name), database.boxes(source.name))
        if len(kept.original_labels) != source.count or len(kept.origins) != source.count:
            found = f'source "{source.name}" was changed meanwhile'
            raise DataError(found, where=str(database.path), mend="try again")
        return kept


class _Pool:
    """The images of several sources of one shape, numbered through, whose classes have the same names everywhere."""

    def __init__(self, sources: Sequence[Source], kept: Sequence[_Kept]) -> None:
        self._images = ImageSet(sources)
        self.labels = self._images.labels
        self._originals = np.concatenate([part.original_labels for part in kept])
        self._origins = [origin for part in kept for origin in part.origins]
        starts = np.cumsum([0, *(source.count for source in sources[:-1])]).tolist()
        self._boxes = Boxes.joined([part.boxes for part in kept], starts)
        self._class_names: dict[int, str] = {}
        for source in sources:
            for label, text in source.class_names.items():
                if self._class_names.setdefault(label, text) != text:
                    found = f'label {label} is "{self._class_names[label]}" in one source and "{text}" in another'
                    raise DataError(found, where=source.name, mend="copy them into sources of their own")

    def draft(self, name: str, rows: npt.NDArray[np.int64]) -> Draft:
        """A draft of the images with these numbers, in ascending order."""
        if not len(rows):
            raise DataError(f'no image is left for source "{name}"', mend="choose fewer or other images")
        images = self._images[rows]
        boxes = self._boxes.of_images(rows)
        present = {*np.unique(images.labels).tolist(), *np.unique(boxes.label).tolist()}
        return Draft(
            name,
            _blocks(images),
            images.labels,
            {label: text for label, text in self._class_names.items() if label in present},
            original_labels=self._originals[rows],
            groups=images.groups,
            origins=[self._origins[row] for row in rows],
            boxes=boxes,
            color_order=images.color_order,
        )


def _blocks(images: ImageSet) -> Iterator[npt.NDArray[Any]]:
    """The images in blocks of some MiB, each of one source: two could differ in type, which is checked later."""
    for numbers in images.runs(max(1, BLOCK_BYTES // int(np.prod(images.shape)))):
        yield images.read(numbers)[0]
