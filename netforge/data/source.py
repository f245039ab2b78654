"""What a data source is: numbered images of one shape with their labels, wherever they are stored."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

LARGEST_LABEL = 1 << 24  # labels travel through nets as float32, which holds whole numbers up to this one
BLOCK_VALUES = 1 << 20

Pixels = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


class Source(ABC):
    """Images 0 .. count-1 of shape (C, H, W), each with an integer label.

    name: for messages. shape: (channels, height, width). count: number of images. class_names: label to name, where
    names are known. color_order: order of three channels, "RGB" or "BGR". shuffled: whether a Data layer draws at
    random unless the net says otherwise (image databases) or in stored order (Caffe's databases). database: file of the
    image database that holds the source; None where it lies elsewhere. holds_bytes: whether all values are known to be
    bytes, 0 to 255.
    """

    name: str
    shape: tuple[int, int, int]
    count: int
    class_names: dict[int, str]
    color_order: str = "RGB"
    shuffled: bool = True
    database: Path | None = None
    holds_bytes: bool = False

    @abstractmethod
    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """The images (n, C, H, W), uint8 or float32, and labels (n,) with the given numbers.

        May be called from any thread. Raises DataError, naming the record, where one is damaged.
        """

    @property
    @abstractmethod
    def labels(self) -> Indices:
        """The label of every image, shape (count,); reading them all may take a pass over the source."""

    @property
    def labels_are_cheap(self) -> bool:
        """Whether `labels` can be asked for without second thoughts: no long pass over the images is needed."""
        return True

    @property
    def identity(self) -> Hashable:
        """Equal for sources with equal images in equal order; the source itself where no more is known."""
        return self

    @property
    def mean(self) -> npt.NDArray[np.float32] | None:
        """The mean image (C, H, W) of the training images that belong to this source; None where none is stored."""
        return None

    @property
    def groups(self) -> Indices | None:
        """What images share beside their class, such as who drew them, (count,) integers; None where not known."""
        return None

    @property
    def boosts(self) -> Indices | None:
        """How much people want the images to be drawn, (count,) integers from 0 on; None where all are 0 or unknown."""
        return None

    def stored(self, indices: Indices) -> tuple[Source, Indices]:
        """The source as it is stored, without new labels and turns, and which of its images these are made of."""
        return self, indices

    def ids(self, indices: Indices) -> Indices:
        """The numbers by which queries and edits know images: positions in the database, which disabled ones keep."""
        return indices

    @property
    def images_per_block(self) -> int:
        """How many images have about a million values: whoever looks at all images reads so many at a time."""
        return max(1, BLOCK_VALUES // math.prod(self.shape))

    def block_numbers(self, most: int | None = None) -> Iterator[Indices]:
        """The numbers of all images in order, `most` at a time, or `images_per_block`."""
        step = most or self.images_per_block
        for start in range(0, self.count, step):
            yield np.arange(start, min(start + step, self.count))

    @property
    def images(self) -> Images:
        """The pixels as something that is indexed like an array."""
        return Images(self)

    def class_name(self, label: int) -> str:
        """The name of a class; the label itself where it has no name."""
        return self.class_names.get(int(label), str(int(label)))


class Images:
    """The pixels of a source, indexed by image number, slice or array of numbers; read when indexed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.shape = (source.count, *source.shape)

    def __len__(self) -> int:
        return self._source.count

    def __getitem__(self, which: int | slice | npt.ArrayLike) -> Pixels:
        numbers = np.arange(len(self))[np.asarray(which) if not isinstance(which, slice) else which]
        pixels, _ = self._source.read(np.atleast_1d(numbers))
        return pixels if np.ndim(numbers) else pixels[0]

    def take(self, indices: npt.ArrayLike, out: Pixels | None = None) -> Pixels:
        """The images with the given numbers, (n, C, H, W), written into `out` where it is given."""
        pixels = self[np.asarray(indices, np.int64)]
        if out is None:
            return pixels
        out[...] = pixels
        return out


class ArraySource(Source):
    """Images in an array, in memory or memory-mapped.

    pixels: (n, C, H, W), uint8 or float32. rows: which of the n images belong to the source, in which order; None means
    all. labels, groups, boosts: (count,) integers. mean: (C, H, W). identity: equal for sources with equal images in
    equal order; None where no more is known than the object.
    """

    def __init__(
        self,
        name: str,
        pixels: Pixels,
        labels: npt.ArrayLike,
        *,
        rows: Indices | None = None,
        groups: npt.ArrayLike | None = None,
        boosts: npt.ArrayLike | None = None,
        class_names: dict[int, str] | None = None,
        mean: npt.NDArray[np.float32] | None = None,
        color_order: str = "RGB",
        identity: Hashable | None = None,
    ) -> None:
        if pixels.ndim != 4:
            raise DataError(f"images have shape {pixels.shape}, expected (count, channels, height, width)", where=name)
        self.name = name
        self._pixels = np.asarray(pixels)
        self._rows = rows
        self._labels = np.asarray(labels, np.int64)
        self._groups = None if groups is None else np.asarray(groups, np.int64)
        self._boosts = None if boosts is None else np.asarray(boosts, np.int64)
        self._mean = mean
        self._identity = identity
        self.shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
        self.count = len(pixels) if rows is None else len(rows)
        self.class_names = class_names or {}
        self.color_order = color_order
        self.holds_bytes = self._pixels.dtype == np.uint8
        if self._labels.shape != (self.count,):
            raise DataError(f"{self.count} images have labels of shape {self._labels.shape}", where=name)
        for kind, column in (("groups", self._groups), ("boosts", self._boosts)):
            if column is not None and column.shape != (self.count,):
                raise DataError(f"{self.count} images have {kind} of shape {column.shape}", where=name)

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Gather the images."""
        rows = indices if self._rows is None else self._rows[indices]
        return self._pixels[rows], self._labels[indices]

    def ids(self, indices: Indices) -> Indices:
        """The rows of the pixels: so the image database lays them out."""
        return indices if self._rows is None else self._rows[indices]

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        return self._labels

    @property
    def groups(self) -> Indices | None:
        """The group of every image."""
        return self._groups

    @property
    def boosts(self) -> Indices | None:
        """The boost of every image."""
        return self._boosts

    @property
    def identity(self) -> Hashable:
        """What was given, or the source itself."""
        return self if self._identity is None else self._identity

    @property
    def mean(self) -> npt.NDArray[np.float32] | None:
        """The mean image that goes with the images."""
        return self._mean


class RelabelledSource(Source):
    """Another source under other labels.

    mapping: old label to new label; labels it does not name stay. A new label without a name takes over that of an old
    one.
    """

    def __init__(self, source: Source, mapping: dict[int, int]) -> None:
        self._source = source
        self._mapping = mapping
        self.name = source.name
        self.shape = source.shape
        self.count = source.count
        names = source.class_names
        self.class_names = {new: names[old] for old, new in mapping.items() if old in names} | names
        self.color_order = source.color_order
        self.shuffled = source.shuffled

    def _mapped(self, labels: Indices) -> Indices:
        known, where = np.unique(labels, return_inverse=True)
        return np.array([self._mapping.get(int(k), int(k)) for k in known], np.int64)[where]

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Gather the images."""
        pixels, labels = self._source.read(indices)
        return pixels, self._mapped(labels)

    def stored(self, indices: Indices) -> tuple[Source, Indices]:
        """As the other source has it."""
        return self._source.stored(indices)

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        return self._mapped(self._source.labels)

    @property
    def groups(self) -> Indices | None:
        """The group of every image."""
        return self._source.groups

    @property
    def boosts(self) -> Indices | None:
        """The boost of every image."""
        return self._source.boosts

    @property
    def identity(self) -> Hashable:
        """That of the other source: the images are the same."""
        return self._source.identity

    @property
    def labels_are_cheap(self) -> bool:
        """As the other source has it."""
        return self._source.labels_are_cheap

    @property
    def mean(self) -> npt.NDArray[np.float32] | None:
        """The mean image that goes with the images."""
        return self._source.mean
