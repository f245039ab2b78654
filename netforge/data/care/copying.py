"""Sources made of images of other sources: sub-sets, what they leave, and several sources as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.importers.splitting import draw
from netforge.data.labels.query import Query
from netforge.data.labels.ranges import LabelRanges
from netforge.data.source import Source
from netforge.data.sources.image_set import ImageSet
from netforge.data.sources.opening import cannot_be_asked, none_meets, open_source
from netforge.data.store.boxes import Boxes
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, store
from netforge.errors import DataError


@dataclass(frozen=True)
class AutoLabels:
    """What a net makes of n images.

    labels: (n,). sure: (n,) whether it is sure enough of each. class_names: label to name.
    """

    labels: npt.NDArray[np.int64]
    sure: npt.NDArray[np.bool_]
    class_names: dict[int, str]


def copy_images(
    database: ImageDatabase,
    sources: Sequence[str],
    name: str,
    *,
    most_per_label: int | None = None,
    seed: int = 0,
    where: str | Query | None = None,
    only_labels: str | None = None,
    auto_label: Callable[[Source], AutoLabels] | None = None,
    rest: str | None = None,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Copy images into a source of their own, in their order, with all that is known of them: labels in use and at
    import, marks of labels that a net gave, boosts, groups, boxes, origins and names of classes.

    sources: names in the database, or folders of LMDBs; the images of all of them are taken together. most_per_label:
    so many images of each label, or all of a label that has fewer; which ones depends on `seed`, the label and the
    images of that label alone. where: images that do not meet a query are left out, see `data.query`; only_labels:
    those with other labels, see `LabelRanges`. auto_label: is called with the images that are left, and gives them
    other labels; images that it is not sure of are left out, before `most_per_label` counts. rest: makes a second
    source of every image that is not in the first, with the labels that it had and the first one's mean image. mean_of,
    replace, dry_run, progress: see `store`.

    Raises DataError where the sources differ in shape, type or colour order or give one label two names, where no image
    is left for one of the new sources, where a name is taken, or where a source that is asked by `where` is not in the
    database; UnknownNameError where there is no such source, or class in `where`; and what `auto_label` raises.
    """
    targets = [name] if rest is None else [name, rest]
    for target in targets:
        if target in sources or targets.count(target) > 1:
            raise DataError(f'"{target}" is named twice: images cannot be copied onto themselves')
    pool = _Pool([_Kept.of(database, source, where) for source in sources])
    chosen = pool.meant
    if where is not None and not chosen.any():
        raise none_meets(where, pool.images.name)
    if only_labels is not None:
        chosen &= LabelRanges(only_labels).mask(pool.labels)
    labels, given = pool.labels, None
    if auto_label is not None:
        rows = pool.rows(name, chosen)
        given = auto_label(pool.images[rows])
        labels[rows], chosen[rows] = given.labels, given.sure
    if most_per_label is not None:
        chosen = draw(labels, chosen, most_per_label, seed)
    rows = pool.rows(name, chosen)
    drafts = [pool.draft(name, rows) if given is None else pool.draft(name, rows, (labels[rows], given.class_names))]
    if rest is not None:
        drafts.append(pool.draft(rest, pool.rows(rest, ~chosen)))
    return store(database, drafts, mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)


@dataclass(frozen=True)
class _Kept:
    """A source, which of its images a query means, and what the database knows of them beside what nets see."""

    source: Source
    meant: npt.NDArray[np.bool_]
    original_labels: npt.NDArray[np.int64]
    auto: npt.NDArray[np.int64]
    origins: list[str | None]
    boxes: Boxes

    @classmethod
    def of(cls, database: ImageDatabase, name: str, where: str | Query | None) -> _Kept:
        source = open_source(None, name, database=database.path)
        count = source.count
        if source.database is None:
            if where is not None:
                raise cannot_be_asked(name)
            zeros = np.zeros(count, np.int64)
            return cls(source, np.ones(count, np.bool_), source.labels, zeros, [None] * count, Boxes.none())
        name = source.name
        with database.snapshot():
            source = database.open(name)
            meant = np.full(source.count, where is None)
            if where is not None:
                meant[database.indices(name, where)] = True
            originals, origins = database.original_labels(name), database.origins(name)
            return cls(source, meant, originals, database.auto_marks(name), origins, database.boxes(name))


class _Pool:
    """The images of several sources of one shape, numbered through, whose classes have the same names everywhere.

    images: all of them. labels: theirs, a copy. meant: which ones the query means, a copy.
    """

    def __init__(self, kept: Sequence[_Kept]) -> None:
        sources = [part.source for part in kept]
        self.images = ImageSet(sources)
        self.labels = self.images.labels
        self.meant = np.concatenate([part.meant for part in kept])
        self._originals = np.concatenate([part.original_labels for part in kept])
        self._auto = np.concatenate([part.auto for part in kept])
        self._origins = [origin for part in kept for origin in part.origins]
        starts = np.cumsum([0, *(source.count for source in sources[:-1])]).tolist()
        self._boxes = Boxes.joined([part.boxes for part in kept], starts)
        self._class_names: dict[int, str] = {}
        for source in sources:
            for label, text in source.class_names.items():
                if self._class_names.setdefault(label, text) != text:
                    found = f'label {label} is "{self._class_names[label]}" in one source and "{text}" in another'
                    raise DataError(found, where=source.name, mend="copy them into sources of their own")

    @staticmethod
    def rows(name: str, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """The numbers of the images that are chosen for a source; raises DataError where there are none."""
        rows = np.flatnonzero(chosen)
        if not len(rows):
            raise DataError(f'no image is left for source "{name}"', mend="choose fewer or other images")
        return rows

    def draft(
        self,
        name: str,
        rows: npt.NDArray[np.int64],
        given: tuple[npt.NDArray[np.int64], dict[int, str]] | None = None,
    ) -> Draft:
        """A draft of the images with these numbers, in ascending order; given: labels of a net, and their names."""
        images, boxes = self.images[rows], self._boxes.of_images(rows)
        labels, known = (images.labels, self._class_names) if given is None else given
        names = {label: known[label] for label in np.unique(labels).tolist() if label in known}
        for label in np.unique(boxes.label).tolist():
            text = self._class_names.get(label)
            if text is not None and names.setdefault(label, text) != text:
                raise DataError(f'label {label} is "{text}" in boxes, but "{names[label]}" for the net', where=name)
        return Draft(
            name,
            (images.read(numbers)[0] for numbers in images.block_numbers()),
            labels,
            names,
            original_labels=self._originals[rows],
            groups=images.groups,
            auto=self._auto[rows] if given is None else np.ones(len(rows), np.int64),
            boosts=images.boosts,
            origins=[self._origins[row] for row in rows],
            boxes=boxes,
            color_order=images.color_order,
        )
