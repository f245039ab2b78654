"""Bringing the IDX files of MNIST and its kin into the image database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.formats.idx import IMAGES_MAGIC, LABELS_MAGIC, read_idx
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, number_names, store
from netforge.data.store.writer import check_name
from netforge.errors import DataError

# The names under which MNIST and its kin are distributed: parts of file names for (images, labels).
MNIST_PARTS = {"training": "train", "testing": "t10k"}
MNIST_SPELLINGS = ("{part}-{kind}-idx{axes}-ubyte", "{part}-{kind}.idx{axes}-ubyte")
BLOCK_IMAGES = 4096


@dataclass(frozen=True)
class _Part:
    """One half of a data set: images (n, C, H, W) and labels (n,)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def import_mnist(
    database: ImageDatabase,
    folder: str | Path,
    *,
    name: str = "MNIST",
    channels: int = 1,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Import the four IDX files of MNIST, or of a set distributed in the same way, such as USPS or Fashion-MNIST.

    folder: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-` files, plain or with .gz.
    name: makes the sources NAME.training and NAME.testing, both with the mean of the training images (kept as float32;
    MyCaffe cuts it to whole numbers). channels: 1, or 3 to repeat the grey image in each of three channels. replace,
    dry_run, progress: see `store`.

    Both sources appear at once or, after an error, not at all. Raises DataError where a file is missing or damaged,
    where images and labels do not match, or where a name is taken.
    """
    check_name(name)
    parts = {f"{name}.{part}": _read_part(Path(folder), prefix, channels) for part, prefix in MNIST_PARTS.items()}
    sizes = {part.images.shape[1:] for part in parts.values()}
    if len(sizes) > 1:
        raise DataError(
            f"training and testing images differ in shape: {sorted(sizes)}",
            where=str(folder),
            mend="put the four files of one set into the folder",
        )
    drafts = [
        Draft(source, _blocks(part.images), part.labels, number_names(part.labels)) for source, part in parts.items()
    ]
    return store(database, drafts, replace=replace, dry_run=dry_run, progress=progress)


def _blocks(images: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(images), BLOCK_IMAGES):
        yield images[start : start + BLOCK_IMAGES]


def _read_part(folder: Path, prefix: str, channels: int) -> _Part:
    images_path = _find(folder, prefix, "images", 3)
    labels_path = _find(folder, prefix, "labels", 1)
    images = read_idx(images_path, IMAGES_MAGIC)
    labels = read_idx(labels_path, LABELS_MAGIC)
    if len(images) != len(labels):
        raise DataError(
            f"{len(images)} images, but {labels_path.name} has {len(labels)} labels",
            where=str(images_path),
            mend="put the two files of one set side by side",
        )
    stacked = np.broadcast_to(images[:, None], (len(images), channels, *images.shape[1:]))
    return _Part(stacked, labels.astype(np.int64))


def _find(folder: Path, part: str, kind: str, axes: int) -> Path:
    """The file for one part, under any of the names in use."""
    names = [spelling.format(part=part, kind=kind, axes=axes) for spelling in MNIST_SPELLINGS]
    for name in [*names, *(f"{n}.gz" for n in names)]:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"there is no {names[0]} here, neither plain nor with .gz",
        where=str(folder),
        mend="name the folder that holds the four files of the set",
    )
