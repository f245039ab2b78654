"""Sources on their way into the image database: all of them in one transaction, or a rehearsal that changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.store.boxes import Boxes
from netforge.data.store.builtin import BUILTIN_NAMES
from netforge.data.store.database import ImageDatabase
from netforge.data.store.writer import PixelRows, check_name, checked_columns, name_is_taken
from netforge.errors import DataError

Block = npt.NDArray[Any]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Draft:
    """A source that is to be made; what the fields hold is said at `Writer.add`.

    blocks: read once, and only when the source is stored or rehearsed. labels, class_names, groups, origins: looked at
    after that, so lists and names may be filled in meanwhile. boxes: a function is called after that, too.
    """

    name: str
    blocks: Iterable[Block]
    labels: npt.NDArray[np.int64] | list[int]
    class_names: dict[int, str]
    original_labels: npt.NDArray[np.int64] | list[int] | None = None
    groups: npt.NDArray[np.int64] | list[int] | None = None
    auto: npt.NDArray[np.int64] | list[int] | None = None
    boosts: npt.NDArray[np.int64] | None = None
    origins: list[str | None] | None = None
    boxes: Boxes | Callable[[], Boxes] = field(default_factory=Boxes.none)
    color_order: str = "RGB"

    @property
    def columns(self) -> dict[str, Any]:
        """What is known of each image, by the names that `Writer.add` gives it; None where nothing is."""
        return {
            "labels": self.labels,
            "original_labels": self.original_labels,
            "groups": self.groups,
            "auto": self.auto,
            "boosts": self.boosts,
            "origins": self.origins,
        }


@dataclass(frozen=True)
class Stored:
    """What became of a draft: a source of `count` images of `shape` (C, H, W), with labels (count,)."""

    name: str
    shape: tuple[int, int, int]
    labels: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.labels)


def number_names(labels: npt.NDArray[np.int64]) -> dict[int, str]:
    """Names for classes of `labels` (n,) that have none: the labels themselves."""
    return {label: str(label) for label in np.unique(labels).tolist()}


def store(
    database: ImageDatabase,
    drafts: Sequence[Draft],
    *,
    replace: bool = False,
    dry_run: bool = False,
    mean_of: str | None = None,
    mean: npt.NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> list[Stored]:
    """Make sources of the drafts, all at once or, after an error, none.

    replace: whether sources of these names may be replaced. dry_run: read and check everything, and change nothing.
    mean_of: the source whose mean image goes with the new ones. mean: that mean image itself, (C, H, W). Without them
    it is the mean of the first draft, so that one holds the training images. progress: called with the number of images
    of each block that is done.

    Raises DataError where a name is taken or cannot be, where images do not fit together, and whatever reading the
    blocks raises; UnknownNameError where there is no source `mean_of`.
    """
    for draft in drafts:
        check_name(draft.name)
        if draft.name in BUILTIN_NAMES:
            found = f'"{draft.name}" is the name of a source that is the same for everyone'
            raise DataError(found, mend="choose another name")
        if not replace and draft.name in database:
            raise name_is_taken(draft.name, str(database.path))
    given_mean = mean if mean_of is None else _mean(database, mean_of)
    if dry_run:
        return _rehearsed(drafts, given_mean, progress)
    done = []
    with database.write() as writer:
        mean = given_mean
        for draft in drafts:
            own_mean = writer.add(
                draft.name,
                _reported(draft.blocks, progress),
                class_names=draft.class_names,
                color_order=draft.color_order,
                replace=replace,
                **draft.columns,
            )
            writer.add_boxes(draft.name, _checked_boxes(draft))
            mean = own_mean if mean is None else mean
            _check_mean(draft.name, own_mean.shape, mean.shape)
            writer.set_mean(draft.name, mean)
            shape = (own_mean.shape[0], own_mean.shape[1], own_mean.shape[2])
            done.append(Stored(draft.name, shape, np.asarray(draft.labels)))
    return done


def _mean(database: ImageDatabase, name: str) -> npt.NDArray[np.float32]:
    mean = database.mean(database.find(name))
    if mean is None:
        raise DataError(f'source "{name}" has no mean image', where=str(database.path), mend="name another source")
    return mean


def _check_mean(name: str, shape: tuple[int, ...], mean_shape: tuple[int, ...]) -> None:
    if mean_shape != shape:
        raise DataError(
            f'the mean image has shape {mean_shape}, the images of "{name}" have {shape}',
            mend="name a source with images of the same shape for the mean",
        )


def _rehearsed(
    drafts: Sequence[Draft], mean: npt.NDArray[np.float32] | None, progress: Progress | None
) -> list[Stored]:
    """What would become of the drafts; every block is read, and all is checked that `Writer.add` checks."""
    mean_shape = None if mean is None else mean.shape
    done = []
    for draft in drafts:
        pixels = PixelRows(draft.name, lambda first, data: None)
        for block in _reported(draft.blocks, progress):
            pixels.add(block)
        checked_columns(draft.name, pixels.count, **draft.columns)
        _checked_boxes(draft)
        mean_shape = mean_shape or pixels.shape
        _check_mean(draft.name, pixels.shape, mean_shape)
        done.append(Stored(draft.name, pixels.shape, np.asarray(draft.labels)))
    return done


def _checked_boxes(draft: Draft) -> Boxes:
    boxes = draft.boxes() if callable(draft.boxes) else draft.boxes
    boxes.check(draft.name, len(draft.labels))
    return boxes


def _reported(blocks: Iterable[Block], progress: Progress | None) -> Iterator[Block]:
    for block in blocks:
        yield block
        if progress is not None:
            progress(len(block))
