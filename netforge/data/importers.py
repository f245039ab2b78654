"""Bringing data sets into the image database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.database import ImageDatabase, SourceInfo
from netforge.data.idx import IMAGES_MAGIC, LABELS_MAGIC, read_idx
from netforge.data.writer import check_name
from netforge.errors import DataError

# The names under which MNIST and its kin are distributed: parts of file names for (images, labels).
MNIST_PARTS = {"training": "train", "testing": "t10k"}
MNIST_SPELLINGS = ("{part}-{kind}-idx{axes}-ubyte", "{part}-{kind}.idx{axes}-ubyte")


@dataclass(frozen=True)
class _Part:
    """One half of a data set: images (n, C, H, W) and labels (n,)."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def import_mnist(
    database: ImageDatabase, folder: str | Path, *, name: str = "MNIST", channels: int = 1, replace: bool = False
) -> list[SourceInfo]:
    """Import the four IDX files of MNIST, or of a set distributed in the same way, such as USPS or Fashion-MNIST.

    folder: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-` files, plain or with .gz.
    name: makes the sources NAME.training and NAME.testing, both with the mean of the training images (kept as float32;
    MyCaffe cuts it to whole numbers). channels: 1, or 3 to repeat the grey image in each of three channels.
    replace: whether sources of these names may be replaced.

    Both sources appear at once or, after an error, not at all. Raises DataError where a file is missing or damaged,
    where images and labels do not match, or where a name is taken.
    """
    check_name(name)
    with_names = {f"{name}.{part}": _read_part(Path(folder), prefix, channels) for part, prefix in MNIST_PARTS.items()}
    sizes = {part.images.shape[1:] for part in with_names.values()}
    if len(sizes) > 1:
        raise DataError(
            f"training and testing images differ in shape: {sorted(sizes)}",
            where=str(folder),
            mend="put the four files of one set into the folder",
        )
    with database.write() as writer:
        mean = None
        for source, part in with_names.items():
            class_names = {int(label): str(label) for label in np.unique(part.labels)}
            own_mean = writer.add(source, [part.images], part.labels, class_names=class_names, replace=replace)
            mean = own_mean if mean is None else mean
            writer.set_mean(source, mean)
    return [database.find(source) for source in with_names]


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
