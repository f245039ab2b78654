"""Bringing arrays in memory into the image database: those of scikit-learn's data sets, or one's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.formats.arrays import as_bytes, as_numbers, as_planes, check_whole_numbers, image_layout
from netforge.data.formats.fitting import resized
from netforge.data.importers.splitting import split
from netforge.data.labels.ranges import numbered
from netforge.data.store.builtin import read_digits
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, number_names, store
from netforge.data.store.writer import check_class_name, check_name
from netforge.errors import DataError, SettingsError

BLOCK_BYTES = 1 << 22
DIGITS_WHITE = 16

# Data sets that scikit-learn downloads, by what their names begin with, and how they come in.
PICKLED = (
    "scikit-learn keeps it pickled, and nothing is unpickled here",
    "save its arrays in Python, numpy.savez(FILE, images=faces.images, labels=faces.target), and import them with "
    '"netforge data import npz"; or call netforge.data.import_arrays',
)
ELSEWHERE = {
    "olivetti": PICKLED,
    "california": PICKLED,
    "lfw": (
        "scikit-learn keeps it as a folder of pictures",
        'import them with "netforge data import images scikit_learn_data/lfw_home/lfw_funneled"',
    ),
}


def import_arrays(
    database: ImageDatabase,
    name: str,
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    layout: str | None = None,
    white: float | None = None,
    groups: npt.ArrayLike | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    size: tuple[int, int] | None = None,
    testing: float = 0.0,
    seed: int = 0,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Make a source of arrays, such as `data` and `target` of scikit-learn's data sets.

        faces = sklearn.datasets.fetch_olivetti_faces()
        import_arrays(database, "faces", faces.images, faces.target, testing=0.2)

        digits = sklearn.datasets.fetch_openml("mnist_784", as_frame=False)
        import_arrays(database, "mnist", digits.data, digits.target, shape=(28, 28), white=255)

    images: (n, H, W), (n, H, W, C) or (n, C, H, W), or with `shape`, of one image, (n, H * W) or (n, H * W * C).
    layout: "NHWC" or "NCHW", where four axes can be read in both ways. white: the largest value a pixel can have, which
    is stored as 255; by default 255 for whole numbers and 1 for floats. labels: (n,) whole numbers, or texts. Texts
    that are all whole numbers become these; others are classes, numbered in the order of the alphabet and named.
    groups: (n,) whole numbers, see `Source.groups`. class_names: by label, or that of label k in place k. size:
    (height, width) to which images are brought.

    testing: share of each class that goes into a source NAME.testing, the others into NAME.training; which ones depends
    on `seed`. With 0 there is one source, NAME. mean_of, replace, dry_run, progress: see `store`.

    Raises DataError where an array is not of this form or a name is taken, SettingsError where an option is out of its
    range.
    """
    check_name(name)
    _check_white(white)
    pixels, layout = _images(name, _array(f'images for "{name}"', images), shape, layout)
    numbers, names = _labels(name, _array(f'labels for "{name}"', labels), len(pixels))
    names = names if class_names is None else _chosen_names(name, numbers, class_names)
    shared = None if groups is None else _whole_numbers(f'groups for "{name}"', groups, len(pixels))
    drafts = [
        Draft(
            part,
            _blocks(pixels, rows, f'images for "{name}"', layout, white, size),
            numbers[rows],
            names,
            groups=None if shared is None else shared[rows],
        )
        for part, rows in split(name, numbers, testing, seed).items()
    ]
    return store(database, drafts, mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)


def import_sklearn(
    database: ImageDatabase,
    dataset: str,
    *,
    name: str,
    testing: float = 0.0,
    seed: int = 0,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Stored]:
    """Make a source of a data set of images that comes with scikit-learn: "digits", 1,797 digits of 8 x 8 pixels.

    name, testing, seed, replace, dry_run, progress: see `import_arrays`. `digits.training` and `digits.testing` need no
    import: they are there at their first use, split in a way that never changes.

    Raises DataError for data sets that scikit-learn keeps elsewhere, and says how they come in.
    """
    if dataset != "digits":
        found, mend = next(
            (told for start, told in ELSEWHERE.items() if dataset.startswith(start)),
            ("this is no data set of images that comes with scikit-learn", 'name "digits"; for others, ' + PICKLED[1]),
        )
        raise DataError(found, where=dataset, mend=mend)
    table = read_digits()
    return import_arrays(
        database,
        name,
        table[:, :-1],
        table[:, -1].astype(np.int64),
        shape=(8, 8),
        white=DIGITS_WHITE,
        testing=testing,
        seed=seed,
        replace=replace,
        dry_run=dry_run,
        progress=progress,
    )


def _check_white(white: float | None) -> None:
    if white is not None and not (math.isfinite(white) and white > 0):
        raise SettingsError(f"white is {white}", mend="give the largest value of a pixel, such as 16")


def _array(where: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"this is no array: {error}", where=where, mend="give one of numbers") from None


def _images(
    name: str, images: npt.NDArray[Any], shape: tuple[int, ...] | None, layout: str | None
) -> tuple[npt.NDArray[Any], str]:
    """The array with an axis for each side, and its layout."""
    where = f'images for "{name}"'
    if shape is not None:
        if images.ndim != 2 or len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) != images.shape[1]:
            found = f"the array has shape {images.shape}, which cannot be read as rows of images {tuple(shape)}"
            raise DataError(found, where=where, mend="give the shape of one image: (H, W), (H, W, C) or (C, H, W)")
        images = images.reshape(len(images), *shape)
    return images, image_layout(images.shape, images.dtype, where, layout)


def _labels(name: str, labels: npt.NDArray[Any], count: int) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Labels as numbers, and the names of the classes."""
    where = f'labels for "{name}"'
    if labels.shape != (count,) or labels.dtype.kind not in "OU":
        numbers = _whole_numbers(where, labels, count)
        return numbers, number_names(numbers)
    texts = labels.tolist()
    strange = [text for text in texts if not isinstance(text, str)]
    if strange:
        found = f"the array holds objects such as {strange[0]!r:.80}"
        raise DataError(found, where=where, mend="give whole numbers, or texts")
    given, names = numbered(texts)
    for text in names.values():
        check_class_name(text, where)
    numbers = as_numbers(np.array(given, np.int64), where)
    return numbers, names or number_names(numbers)


def _whole_numbers(where: str, given: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    values = _array(where, given)
    check_whole_numbers(values.shape, values.dtype, count, where)
    return as_numbers(values, where)


def _chosen_names(name: str, labels: npt.NDArray[np.int64], given: Sequence[str] | Mapping[int, str]) -> dict[int, str]:
    """The given names of the labels that are there."""
    where = f'class names for "{name}"'
    known = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
    names = {}
    for label in np.unique(labels).tolist():
        if label not in known:
            raise DataError(
                f"label {label} has no name among {len(known)}", where=where, mend="give one for each label"
            )
        check_class_name(str(known[label]), where)
        names[label] = str(known[label])
    return names


def _blocks(
    images: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    where: str,
    layout: str,
    white: float | None,
    size: tuple[int, int] | None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The images with these numbers in blocks (n, C, H, W)."""
    step = max(1, BLOCK_BYTES // images[:1].nbytes)
    for start in range(0, len(rows), step):
        own = rows[start : start + step]
        planes = as_planes(as_bytes(images[own], where, own, white), layout)
        yield planes if size is None else resized(planes, size)
