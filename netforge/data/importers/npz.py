"""Bringing the arrays of an .npz file into the image database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.formats.arrays import as_bytes, as_numbers, as_planes, check_whole_numbers, image_layout
from netforge.data.formats.fitting import resized
from netforge.data.formats.npz import Npz
from netforge.data.labels.ranges import LabelRanges
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, number_names, store
from netforge.data.store.writer import check_class_name
from netforge.errors import DataError


@dataclass(frozen=True)
class NpzKeys:
    """Which arrays of the file are what.

    images: (n, H, W), (n, H, W, C) or (n, C, H, W); bytes, whole numbers 0 .. 255, or floats 0 .. 1. labels: (n,)
    whole numbers. groups: (n,) whole numbers, see `Source.groups`. names: texts, that of label k in place k.
    """

    images: str
    labels: str
    groups: str | None = None
    names: str | None = None


def import_npz(
    database: ImageDatabase,
    path: str | Path,
    keys: NpzKeys,
    *,
    name: str,
    only_labels: str | None = None,
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    mean_of: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Stored:
    """Make a source of the arrays in an .npz file, as `numpy.savez` and `numpy.savez_compressed` write it.

    Pixels are stored as bytes: floats are multiplied by 255 and rounded. Labels stay as they are. The images are read
    some MiB at a time, so the file may be larger than the memory.

    name: of the source. only_labels: leave out images with other labels, see `LabelRanges`. size: (height, width) to
    which images are brought. layout: "NHWC" or "NCHW", where four axes can be read in both ways. mean_of, replace,
    dry_run, progress: see `store`.

    Raises DataError where the file is damaged, or an array is not of the form that `NpzKeys` says, UnknownNameError
    where the file has no such array.
    """
    with Npz(Path(path)) as file:
        shape, layout = _image_shape(file, keys.images, layout)
        labels = _numbers(file, keys.labels, shape[0])
        groups = None if keys.groups is None else _numbers(file, keys.groups, shape[0])
        chosen = np.ones(len(labels), np.bool_) if only_labels is None else LabelRanges(only_labels).mask(labels)
        draft = Draft(
            name,
            _pixels(file, keys.images, layout, chosen, size),
            labels[chosen],
            _class_names(file, keys.names, labels[chosen]),
            groups=None if groups is None else groups[chosen],
        )
        (done,) = store(database, [draft], mean_of=mean_of, replace=replace, dry_run=dry_run, progress=progress)
    return done


def _image_shape(file: Npz, key: str, layout: str | None) -> tuple[tuple[int, ...], str]:
    """Shape of the array of images, and its layout."""
    header = file.header(key)
    return header.shape, image_layout(header.shape, header.dtype, file.where(key), layout)


def _numbers(file: Npz, key: str, count: int) -> npt.NDArray[np.int64]:
    """One whole number for each image."""
    header = file.header(key)
    check_whole_numbers(header.shape, header.dtype, count, file.where(key))
    return as_numbers(file.whole(key), file.where(key))


def _class_names(file: Npz, key: str | None, labels: npt.NDArray[np.int64]) -> dict[int, str]:
    """Label to name: the label itself where no names are given."""
    if key is None:
        return number_names(labels)
    header = file.header(key)
    if len(header.shape) != 1 or header.dtype.kind != "U":
        raise DataError(f"the array has shape {header.shape} and type {header.dtype}: no texts", where=file.where(key))
    texts = file.whole(key)
    encoding = "utf-32-be" if texts.dtype.str.startswith(">") else "utf-32-le"
    names = {}
    for label in np.unique(labels).tolist():
        if not 0 <= label < len(texts):
            raise DataError(f"label {label} has no name among {len(texts)}", where=file.where(key))
        try:
            text = texts[label : label + 1].tobytes().decode(encoding).rstrip("\0")
        except UnicodeDecodeError:
            text = ""
        check_class_name(text, file.where(key))
        names[label] = text
    return names


def _pixels(
    file: Npz, key: str, layout: str, chosen: npt.NDArray[np.bool_], size: tuple[int, int] | None
) -> Iterator[npt.NDArray[np.uint8]]:
    """The chosen images in blocks (n, C, H, W)."""
    first = 0
    for block in file.blocks(key):
        kept = chosen[first : first + len(block)]
        if kept.any():
            images = as_planes(as_bytes(block[kept], file.where(key), first + np.flatnonzero(kept)), layout)
            yield images if size is None else resized(images, size)
        first += len(block)
