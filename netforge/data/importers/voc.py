"""Bringing PASCAL VOC 2007 and 2012 into the image database, boxes and all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.formats.archive import open_files
from netforge.data.formats.decoding import picture_blocks
from netforge.data.formats.fitting import place
from netforge.data.formats.picture import Picture, PictureForm, without_warnings
from netforge.data.formats.voc import CLASSES, Annotation, VocSet, find_sets
from netforge.data.importers.pictures import PictureImport
from netforge.data.store.boxes import Boxes
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, store
from netforge.data.store.writer import check_name
from netforge.errors import DataError

# Which part of the set, and in which source: the split of "07+12" in papers on detection.
PARTS = {(2007, "trainval"): "training", (2012, "trainval"): "training", (2007, "test"): "testing"}
ARCHIVES = {
    (2007, "trainval"): "VOCtrainval_06-Nov-2007.tar",
    (2012, "trainval"): "VOCtrainval_11-May-2012.tar",
    (2007, "test"): "VOCtest_06-Nov-2007.tar",
}
SSD_SIZE = (300, 300)


def import_voc0712(
    database: ImageDatabase,
    paths: Sequence[str | Path],
    *,
    name: str = "VOC0712",
    form: PictureForm | None = None,
    year: int | None = None,
    skip_unreadable: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PictureImport:
    """Import VOC2007 and VOC2012: NAME.training of both trainval parts, NAME.testing of the test part of 2007.

    paths: the archives as they are distributed, or folders made of them. form: what each picture is made into, by
    default stretched to 300 x 300 in colour; a size is needed. year: 2007 or 2012 takes this one alone.

    Boxes come along (`ImageDatabase.boxes`), difficult ones marked, with the labels of `CLASSES`: 0 is the background.
    They move with the pixels; with fit "crop", those whose centre is cut off are dropped, and others cut. The label
    of an image is the class of its largest box, of the first of several, and 0 where there is none. Both sources have
    the mean image of the training images.

    skip_unreadable: leave out images that, or whose annotations, cannot be read. replace, dry_run, progress: see
    `store`.

    Raises DataError where a part is missing or is there twice, or pictures or annotations cannot be read.
    """
    check_name(name)
    form = form or PictureForm(3, SSD_SIZE)
    if form.size is None:
        raise DataError("the images of VOC differ in size", mend="bring all to one size: --size HEIGHTxWIDTH")
    with ExitStack() as closing, without_warnings():
        found = [part for path in paths for part in find_sets(closing.enter_context(open_files(path)))]
        unreadable: list[DataError] = []
        drafts = []
        for source in ("training", "testing"):
            sets = [
                _chosen(found, key, paths) for key, made in PARTS.items() if made == source and year in (None, key[0])
            ]
            if sets:
                drafts.append(_draft(f"{name}.{source}", sets, form, unreadable, skip_unreadable=skip_unreadable))
        done = store(database, drafts, replace=replace, dry_run=dry_run, progress=progress)
    return PictureImport(done, unreadable)


def _chosen(found: Sequence[VocSet], key: tuple[int, str], paths: Sequence[str | Path]) -> VocSet:
    """The part of that year and name."""
    year, part = key
    fitting = [one for one in found if (one.year, one.part) == key]
    if len(fitting) == 1:
        return fitting[0]
    where = ", ".join(map(str, paths))
    if fitting:
        raise DataError(f"the part {part} of VOC{year} is there twice", where=where, mend="name each part once")
    raise DataError(
        f"the part {part} of VOC{year} is missing",
        where=where,
        mend=f"name {ARCHIVES[key]} too, or the folder made of it; or take one year alone with --year",
    )


@dataclass
class _Columns:
    """What is noted of the images of a source while they are read."""

    form: PictureForm
    labels: list[int] = field(default_factory=list)
    origins: list[str | None] = field(default_factory=list)
    kept: list[Annotation] = field(default_factory=list)

    def take(self, part: VocSet, image: str, picture: Picture) -> None:
        """Note an image; raises DataError where its annotation cannot be read or is of another picture."""
        annotation = part.annotation(image)
        if annotation.size != picture.size:
            (height, width), (found_height, found_width) = annotation.size, picture.size
            found = f"the size is {width} x {height}, and {image}.jpg has {found_width} x {found_height} pixels"
            raise DataError(found, where=annotation.size_place, mend="put pictures and annotations of one set together")
        moved = placed(annotation, self.form)
        self.labels.append(largest(moved))
        self.origins.append(f"VOC{part.year}/JPEGImages/{image}.jpg")
        self.kept.append(moved)

    def boxes(self) -> Boxes:
        """The boxes of the images that were noted."""
        counts = [len(annotation.label) for annotation in self.kept]
        image = np.repeat(np.arange(len(counts)), counts)
        return Boxes(
            image,
            np.concatenate([annotation.label for annotation in self.kept]),
            np.concatenate([annotation.corners for annotation in self.kept]),
            np.concatenate([annotation.difficult for annotation in self.kept]),
        )


def placed(annotation: Annotation, form: PictureForm) -> Annotation:
    """An annotation for the picture in a form: boxes whose centre is cut off are dropped, and others cut."""
    size = form.size or annotation.size
    corners = place(annotation.size, size, form.fit).moved(annotation.corners)
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    kept = ((centres > 0) & (centres < 1)).all(1)
    clipped = np.clip(corners[kept], 0.0, 1.0)
    return Annotation(size, annotation.label[kept], clipped, annotation.difficult[kept], annotation.size_place)


def largest(annotation: Annotation) -> int:
    """The class of the largest box, of the first of several; that of the background where there is none."""
    if not len(annotation.label):
        return CLASSES.index("background")
    sides = annotation.corners[:, 2:] - annotation.corners[:, :2]
    height, width = annotation.size
    return int(annotation.label[np.argmax(sides[:, 0] * width * (sides[:, 1] * height))])


def _draft(
    name: str, sets: Sequence[VocSet], form: PictureForm, unreadable: list[DataError], *, skip_unreadable: bool
) -> Draft:
    columns = _Columns(form)

    def blocks() -> Iterator[npt.NDArray[np.uint8]]:
        for part in sets:
            ids = part.ids()
            names = [part.picture(image) for image in ids]

            def take(number: int, picture: Picture, part: VocSet = part, ids: list[str] = ids) -> None:
                columns.take(part, ids[number], picture)

            yield from picture_blocks(part.files, names, form, take, unreadable, skip_unreadable=skip_unreadable)

    return Draft(
        name,
        blocks(),
        columns.labels,
        dict(enumerate(CLASSES)),
        origins=columns.origins,
        boxes=columns.boxes,
    )
