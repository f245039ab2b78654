"""Which images a batch holds: a pure function of seed, stream name and batch number.

Nothing here remembers what was drawn before. So a run that is resumed draws what it would have drawn, batches may be
made ahead in another thread, and two readers of the same stream agree. All randomness is made from raw Philox words by
integer arithmetic alone: the draws do not change with the version of NumPy.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from netforge.data.source import Indices
from netforge.device.random import RandomStream, raw_words
from netforge.errors import DataError

Words = npt.NDArray[np.uint64]


def random_words(stream: RandomStream, position: int, count: int) -> Words:
    """`count` uniform 64-bit words, those of draw number `position` of a stream."""
    return raw_words(stream.seed, stream.key, position, count)


def below(words: Words, limit: npt.ArrayLike) -> Indices:
    """One integer in [0, limit) from each word; `limit` is a number, or one per word, from 1 to 2**32.

    Multiply-shift (Lemire 2019) without rejection: no value is likelier than another by more than limit / 2**32.
    """
    high = words >> np.uint64(32)
    return ((high * np.asarray(limit, np.uint64)) >> np.uint64(32)).astype(np.int64)


def permutation(words: Words) -> Indices:
    """The permutation that sorts the words."""
    return np.argsort(words, kind="stable")


class Selection(Protocol):
    """An endless sequence of image numbers."""

    count: int

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1."""


class Sequential:
    """The images in stored order, again and again, from image `first` on."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count = count
        self._first = first

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1."""
        return (np.arange(length, dtype=np.int64) + (self._first + start)) % self.count


class Shuffled:
    """Random without replacement: every run of `count` draws that starts at a multiple of `count` is a permutation.

    Epoch e is permuted by draw e of the stream; batches run on across the end of an epoch.
    """

    def __init__(self, count: int, stream: RandomStream) -> None:
        self.count = count
        self._stream = stream
        self._epochs: dict[int, Indices] = {}

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1."""
        first, last = start // self.count, (start + length - 1) // self.count
        parts = [self._epoch(e) for e in range(first, last + 1)]
        offset = start - first * self.count
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return joined[offset : offset + length]

    def _epoch(self, epoch: int) -> Indices:
        known = self._epochs  # replaced as a whole and never changed: several threads may draw
        drawn = known.get(epoch)
        if drawn is None:
            drawn = permutation(random_words(self._stream, epoch, self.count))
            self._epochs = {e: order for e, order in known.items() if e == epoch - 1} | {epoch: drawn}
        return drawn


def each_once(count: int, stream: RandomStream | None) -> Selection:
    """The numbers below `count`, each once an epoch: at random, drawn from the stream, or without one in order."""
    return Sequential(count) if stream is None else Shuffled(count, stream)


class ClassIndex:
    """The images of each class, so that partners of the same and of other classes are drawn without a search.

    `order` lists the images class by class; the images of class k (classes in ascending order of their labels) stand at
    `starts[k] .. starts[k] + sizes[k] - 1`. `class_of` and `rank` give each image's class and its place within it.
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        self.labels, self.class_of, self.sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        self.order = np.argsort(self.class_of, kind="stable")
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.rank = np.empty(len(self.order), np.int64)
        self.rank[self.order] = np.arange(len(self.order)) - self.starts[self.class_of[self.order]]

    def same(self, images: Indices, words: Words) -> Indices:
        """For each image another one of its class, all equally likely; itself where its class has no other."""
        classes = self.class_of[images]
        drawn = below(words, np.maximum(self.sizes[classes] - 1, 1))
        rank = drawn + (drawn >= self.rank[images])
        chosen: Indices = self.order[self.starts[classes] + np.minimum(rank, self.sizes[classes] - 1)]
        return chosen

    def different(self, images: Indices, words: Words) -> Indices:
        """For each image one of another class, all images of other classes equally likely; two classes must exist."""
        classes = self.class_of[images]
        drawn = below(words, len(self.order) - self.sizes[classes])
        return self.order[drawn + np.where(drawn >= self.starts[classes], self.sizes[classes], 0)]


class SingleSampler:
    """Batches of single images."""

    images_per_item = 1

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def draw(self, batch: int, size: int) -> Indices:
        """The images of one batch, shape (size, 1)."""
        return self._selection.take(batch * size, size)[:, None]


class NextPairSampler:
    """Pairs of which the second image is simply the next draw of the selection."""

    images_per_item = 2

    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def draw(self, batch: int, size: int) -> Indices:
        """The images of one batch, shape (size, 2)."""
        return self._selection.take(2 * batch * size, 2 * size).reshape(size, 2)


class BalancedPairSampler:
    """Pairs that alternate over the whole run: item 0 of one class, item 1 of two classes, item 2 of one class ...

    The first images come from the selection, the second ones are drawn by `ClassIndex`. Raises DataError where all
    images are of one class, unless `noise` stands in for the images of other classes (then -1 is drawn for those).
    """

    images_per_item = 2

    def __init__(self, selection: Selection, classes: ClassIndex, stream: RandomStream, *, noise: bool = False) -> None:
        if len(classes.labels) < 2 and not noise:
            raise DataError(
                "balance_matches needs images of at least two classes, but all images have label "
                f"{int(classes.labels[0])}",
                mend="use another source, or write balance_matches: false",
            )
        self._selection = selection
        self._classes = classes
        self._stream = stream
        self._noise = noise

    def draw(self, batch: int, size: int) -> Indices:
        """The images of one batch, shape (size, 2)."""
        first = self._selection.take(batch * size, size)
        words = random_words(self._stream, batch, size)
        odd = (batch * size + np.arange(size)) % 2 == 1
        second = np.empty(size, np.int64)
        second[~odd] = self._classes.same(first[~odd], words[~odd])
        second[odd] = -1 if self._noise else self._classes.different(first[odd], words[odd])
        return np.stack([first, second], axis=1)
