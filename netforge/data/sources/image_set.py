"""Choosing images: some of those of one or several sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from netforge.data.labels.ranges import LabelRanges
from netforge.data.sampling import permutation, random_words
from netforge.data.source import Indices, Pixels, Source
from netforge.device.random import RandomStream
from netforge.errors import DataError


class ImageSet(Source):
    """The images of one or several sources of one shape, or those of them with the given numbers.

    rows: numbers counted through all sources; None means all. Labels and names of classes are those of the sources; the
    first that names a class decides. `origin` tells where an image stands. Raises DataError where there is no source,
    or where shapes or orders of channels differ.
    """

    def __init__(self, sources: Sequence[Source], rows: Indices | None = None) -> None:
        if not sources:
            raise DataError("no source is named", mend='name one that "netforge data list" shows')
        first = sources[0]
        for source in sources:
            if (source.shape, source.color_order) != (first.shape, first.color_order):
                raise DataError(
                    f'images of "{source.name}" are {source.shape} {source.color_order}, those of "{first.name}" '
                    f"{first.shape} {first.color_order}",
                    mend="take sources of one shape and one order of colours together",
                )
        self._sources = tuple(sources)
        self._starts = np.cumsum([0, *(source.count for source in sources)])
        self._rows = np.arange(self._starts[-1]) if rows is None else np.asarray(rows, np.int64)
        self.name = " + ".join(source.name for source in sources)
        self.shape, self.color_order = first.shape, first.color_order
        self.count = len(self._rows)
        self.class_names = {k: name for source in reversed(self._sources) for k, name in source.class_names.items()}

    def __getitem__(self, chosen: Indices | npt.NDArray[np.bool_]) -> ImageSet:
        """Those of its images with the given numbers, or whose flags are set."""
        return ImageSet(self._sources, self._rows[chosen])

    def origin(self, number: int) -> tuple[str, int]:
        """Name of the source of an image, and its number there."""
        source, row = self._place(number)
        return source.name, row

    def _place(self, number: int) -> tuple[Source, int]:
        row = int(self._rows[number])
        which = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._sources[which], row - int(self._starts[which])

    def ids(self, indices: Indices) -> Indices:
        """Those that the images have in their sources."""
        origins = [self._place(int(number)) for number in indices]
        return np.array([int(source.ids(np.array([row]))[0]) for source, row in origins], np.int64)

    def block_numbers(self, most: int | None = None) -> Iterator[Indices]:
        """As of any source, but those of one source at a time: others may hold pixels of another type."""
        step = most or self.images_per_block
        which = np.searchsorted(self._starts, self._rows, side="right")
        for part in np.split(np.arange(self.count), np.flatnonzero(np.diff(which)) + 1):
            for start in range(0, len(part), step):
                yield part[start : start + step]

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Gather images and labels from their sources."""
        rows = self._rows[indices]
        which = np.searchsorted(self._starts, rows, side="right") - 1
        if (which == which[:1]).all():  # the usual case
            source = int(which[0]) if len(which) else 0
            return self._sources[source].read(rows - self._starts[source])
        parts = [(np.flatnonzero(which == k), k) for k in np.unique(which).tolist()]
        read = [self._sources[k].read(rows[places] - self._starts[k]) for places, k in parts]
        back = np.argsort(np.concatenate([places for places, _ in parts]))
        pixels, labels = (np.concatenate(kind) for kind in zip(*read, strict=True))
        return pixels[back], labels[back]

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        labels: Indices = np.concatenate([source.labels for source in self._sources])[self._rows]
        return labels

    @property
    def groups(self) -> Indices | None:
        """The group of every image; None where a source has none."""
        groups = [source.groups for source in self._sources]
        known = [group for group in groups if group is not None]
        return np.concatenate(known)[self._rows] if len(known) == len(groups) else None

    @property
    def boosts(self) -> Indices | None:
        """The boost of every image; None where all are 0."""
        boosts = [source.boosts for source in self._sources]
        if all(part is None for part in boosts):
            return None
        filled = [
            np.zeros(source.count, np.int64) if part is None else part
            for source, part in zip(self._sources, boosts, strict=True)
        ]
        return np.concatenate(filled)[self._rows]


def choose_images(
    sources: Sequence[Source],
    *,
    labels: str | None = None,
    count: int | None = None,
    seed: int = 0,
    exclude: Sequence[Source] = (),
) -> ImageSet:
    """The images of one or several sources that have one of `labels` ("0-7,9") and are not in `exclude`.

    An image is in another source where one there has the same pixels. count: that many of them, drawn at random without
    replacement; in stored order either way. Raises DataError where no image, or none with such a label, is left, and
    where `count` is larger than what is left.
    """
    chosen = ImageSet(sources)
    if labels is not None:
        chosen = chosen[LabelRanges(labels).mask(chosen.labels)]
    if exclude:
        unwanted = set(digests(ImageSet(exclude)))
        chosen = chosen[np.array([digest not in unwanted for digest in digests(chosen)], np.bool_)]
        if not chosen.count:
            raise DataError("all images are excluded", where=chosen.name, mend="name another source")
    if count is None:
        return chosen
    if count > chosen.count:
        raise DataError(f"{count} images are asked for, {chosen.count} are there", where=chosen.name)
    drawn = permutation(random_words(RandomStream(seed, "images"), 0, chosen.count))[:count]
    return chosen[np.sort(drawn)]


def digests(source: Source) -> list[bytes]:
    """A digest of the pixels of every image, in order."""
    found = []
    for numbers in source.block_numbers():
        pixels, _ = source.read(numbers)
        found += [blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    return found
