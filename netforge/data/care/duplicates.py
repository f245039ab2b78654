"""Images that are there more than once: the same pixel for pixel, or near the same when they are looked at small.

Small means reduced to at most 16 x 16 pixels by averaging; how far two images are apart is the root mean square of the
difference there, in levels of 0 to 255. So small noise, another quality of JPEG or another size before the import make
little difference, while a shift or a turn make a large one.

Every pair within a threshold is found. Images are sorted by their place along the direction in which they differ most:
two that are further apart there than the threshold need not be compared, and most of the others differ by too much
along a few further directions already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.source import Indices, Pixels, Source
from netforge.data.sources.image_set import digests

SMALL = 16  # pixels: the longest side of the images that are compared
DIRECTIONS = 12  # along which images are compared first
SAMPLE = 4096  # images that the directions are found from
COMPARED = 512  # images that are compared with their neighbours at a time
MOST_AT_ONCE = 1 << 22  # pairs that are looked at at a time
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Duplicates:
    """Images that belong together.

    images: their numbers in the source that was searched, in ascending order. labels: theirs. apart: the largest of the
    distances that tie them together; 0 where all have the same pixels.
    """

    images: tuple[int, ...]
    labels: tuple[int, ...]
    apart: float

    @property
    def same(self) -> bool:
        """Whether all have the same pixels."""
        return self.apart == 0

    @property
    def conflicting(self) -> bool:
        """Whether they have different labels."""
        return len(set(self.labels)) > 1


def find_duplicates(
    source: Source, *, near: float = 0.0, split: int | None = None, progress: Callable[[int], None] | None = None
) -> list[Duplicates]:
    """Groups of images that are the same or, with `near` above 0, at most so far apart; an image is in one group only.

    split: where given, images below this number are of one set and the others of another, and only groups that have
    images of both are meant. Groups with different labels come first, then the closest. progress: called with the
    number of images each time some are done. Memory is bounded by about 1 KiB an image.
    """
    groups = Groups(source.count)
    digest_of: dict[bytes, int] = {}
    first = np.arange(source.count)
    for number, digest in enumerate(digests(source)):
        first[number] = digest_of.setdefault(digest, number)
    for number in np.flatnonzero(first != np.arange(source.count)).tolist():
        groups.join(number, int(first[number]), 0.0)
    if near > 0:
        _join_near(groups, source, np.unique(first), near, progress)
    labels = source.labels
    found = []
    for members, apart in groups.several():
        if split is None or (members[0] < split <= members[-1]):
            found.append(Duplicates(tuple(members), tuple(labels[members].tolist()), apart))
    return sorted(found, key=lambda group: (not group.conflicting, group.apart, group.images))


class Groups:
    """Numbers that belong together, directly or through others."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._apart: dict[int, float] = {}

    def join(self, one: int, other: int, apart: float) -> None:
        """Say that two numbers belong together, and how far they are apart."""
        a, b = sorted((self._root(one), self._root(other)))
        self._parent[b] = a
        self._apart[a] = max(apart, self._apart.get(a, 0.0), self._apart.get(b, 0.0))

    def several(self) -> list[tuple[list[int], float]]:
        """Groups of at least two numbers, each in ascending order, with the largest distance that ties it together."""
        members: dict[int, list[int]] = {}
        for number in range(len(self._parent)):
            root = self._root(number)
            if root in self._apart:
                members.setdefault(root, []).append(number)
        return [(numbers, self._apart[root]) for root, numbers in members.items()]

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number


def thumbnails(source: Source, images: Indices) -> npt.NDArray[np.uint8]:
    """Images reduced to at most 16 x 16 pixels, (n, C * h * w); floats are stretched from their own range of values."""
    channels, height, width = source.shape
    rows, columns = (np.unique(np.arange(0, side, -(-side // SMALL))) for side in (height, width))
    area = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    small = np.empty((len(images), channels, len(rows), len(columns)), np.uint8)
    low, high = _range(source)
    step = source.images_per_block
    for start in range(0, len(images), step):
        pixels = source.read(images[start : start + step])[0].astype(np.float32)
        means = np.add.reduceat(np.add.reduceat(pixels, rows, axis=2), columns, axis=3) / area
        small[start : start + step] = np.rint((means - low) * (255 / (high - low)))
    return small.reshape(len(images), -1)


def _range(source: Source) -> tuple[float, float]:
    """The values that stand for black and white."""
    sample: Pixels = source.read(np.arange(min(source.count, 16)))[0]
    if sample.dtype == np.uint8:
        return 0.0, 255.0
    ends = [(block.min(), block.max()) for block in (source.read(numbers)[0] for numbers in source.block_numbers())]
    low, high = float(min(a for a, _ in ends)), float(max(b for _, b in ends))
    return low, high if high > low else low + 1


def _join_near(
    groups: Groups, source: Source, images: Indices, near: float, progress: Callable[[int], None] | None
) -> None:
    """Join all pairs of `images` that are at most `near` apart."""
    small = thumbnails(source, images)
    limit = np.float32(near**2 * small.shape[1])  # of the sum of squares
    places = _places(small)
    order = np.argsort(places[:, 0], kind="stable")
    small, places, images = small[order], places[order], images[order]
    reach = np.sqrt(limit) * np.float32(1 + 1e-5)
    ends = np.searchsorted(places[:, 0], places[:, 0] + reach, side="right")
    for start in range(0, len(images), COMPARED):
        stop = min(start + COMPARED, len(images))
        last = int(ends[stop - 1])
        step = max(1, MOST_AT_ONCE // (stop - start))
        for low in range(start, last, step):
            rows, columns = _candidates(places[start:stop], places[low : min(low + step, last)], limit)
            rows, columns = rows + start, columns + low
            later = columns > rows
            _join_pairs(groups, small, images, rows[later], columns[later], limit)
        if progress is not None:
            progress(stop - start)


def _places(small: npt.NDArray[np.uint8]) -> Floats:
    """Where images (n, D) stand along the directions in which they differ most, (n, K), the first one first."""
    sample = small[:: max(1, len(small) // SAMPLE)].astype(np.float32)
    middle = sample.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(sample, rowvar=False).reshape(small.shape[1], -1).astype(np.float64))
    chosen = directions[:, ::-1][:, :DIRECTIONS].astype(np.float32)
    places = np.empty((len(small), chosen.shape[1]), np.float32)
    for start in range(0, len(small), SAMPLE):
        places[start : start + SAMPLE] = (small[start : start + SAMPLE].astype(np.float32) - middle) @ chosen
    return places


def _candidates(a: Floats, b: Floats, limit: np.float32) -> tuple[Indices, Indices]:
    """Pairs of a row of `a` and one of `b` that are not too far apart along the directions."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None]
    apart = squares - 2 * (a @ b.T)
    rows, columns = np.nonzero(apart <= limit + np.float32(1e-5) * squares + 1)  # rounding lets no pair slip through
    return rows, columns


def _join_pairs(
    groups: Groups, small: npt.NDArray[np.uint8], images: Indices, rows: Indices, columns: Indices, limit: np.float32
) -> None:
    """Compare candidates in full, and join those within the limit."""
    step = max(1, MOST_AT_ONCE // small.shape[1])
    for start in range(0, len(rows), step):
        a, b = rows[start : start + step], columns[start : start + step]
        difference = small[a].astype(np.int32) - small[b]
        squares = np.einsum("nd,nd->n", difference, difference)
        for k in np.flatnonzero(squares <= limit).tolist():
            apart = float(np.sqrt(squares[k] / small.shape[1]))
            groups.join(int(images[a[k]]), int(images[b[k]]), apart or np.finfo(float).tiny)
