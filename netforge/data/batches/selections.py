"""Selections other than "every image equally often": labels balanced, images boosted, images with their followers."""

from __future__ import annotations

import numpy as np

from netforge.data.sampling import ClassIndex, Selection, Shuffled, permutation, random_words
from netforge.data.source import Indices
from netforge.device.random import RandomStream

# Of each so many draws a fixed number goes to boosted images.
BOOST_BLOCK = 1024


class Among:
    """A selection of some images only: `rows` (n,), drawn as `places` draws 0 .. n-1."""

    def __init__(self, rows: Indices, places: Selection) -> None:
        self.count = len(rows)
        self._rows = rows
        self._places = places

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1."""
        images: Indices = self._rows[self._places.take(start, length)]
        return images


class LabelBalanced:
    """Every label equally often, and within each label every image equally often.

    labels: draws the labels, by their place in `index`. stream: permutes the images of a label again and again, which
    so are all drawn before one of them comes again; None takes them in stored order.
    """

    def __init__(self, index: ClassIndex, labels: Selection, stream: RandomStream | None) -> None:
        self.count = len(index.order)
        self._index = index
        self._labels = labels
        self._stream = stream
        self._orders: dict[int, tuple[int, Indices]] = {}  # of a label: an epoch, and its images in that epoch

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1; a label is drawn for the n-th time in epoch n of the labels."""
        index = self._index
        classes = self._labels.take(start, length)
        epochs, ranks = np.divmod((start + np.arange(length)) // len(index.labels), index.sizes[classes])
        if self._stream is None:
            return self._stored_order(classes, ranks)
        drawn = zip(classes.tolist(), epochs.tolist(), ranks.tolist(), strict=True)
        return np.array([self._shuffled(self._stream, label, epoch)[rank] for label, epoch, rank in drawn], np.int64)

    def _stored_order(self, classes: Indices, ranks: Indices) -> Indices:
        images: Indices = self._index.order[self._index.starts[classes] + ranks]
        return images

    def _shuffled(self, stream: RandomStream, label: int, epoch: int) -> Indices:
        """The images of a label in the order of one of its epochs."""
        known = self._orders.get(label)  # replaced as a whole: several threads may draw
        if known is None or known[0] != epoch:
            size = int(self._index.sizes[label])
            words = random_words(stream, epoch * len(self._index.labels) + label, size)
            ranks = permutation(words)
            self._orders[label] = known = epoch, self._stored_order(np.full(size, label), ranks)
        return known[1]


class Boosted:
    """A share of the draws goes to boosted images, the others to all.

    Of the first 1024 k draws, floor(1024 k probability) are of boosted images, at random places among each 1024. So
    either selection runs without a gap: whatever it promises of its epochs, holds.

    others, boosted: the two selections. probability: the share of the boosted, 0 to 1. stream: draws the places.
    """

    def __init__(self, others: Selection, boosted: Selection, probability: float, stream: RandomStream) -> None:
        self.count = others.count
        self._others = others
        self._boosted = boosted
        self._probability = probability
        self._places = Shuffled(BOOST_BLOCK, stream)

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1."""
        first, end = start // BOOST_BLOCK, -(-(start + length) // BOOST_BLOCK)
        before = (np.arange(first, end + 1) * BOOST_BLOCK * self._probability).astype(np.int64)
        places = self._places.take(first * BOOST_BLOCK, (end - first) * BOOST_BLOCK)
        is_boosted = (places.reshape(-1, BOOST_BLOCK) < np.diff(before)[:, None]).reshape(-1)
        offset = start - first * BOOST_BLOCK
        earlier = int(before[0]) + int(np.count_nonzero(is_boosted[:offset]))
        chosen = is_boosted[offset : offset + length]
        count = int(np.count_nonzero(chosen))
        images = np.empty(length, np.int64)
        if count:
            images[chosen] = self._boosted.take(earlier, count)
        if count < length:
            images[~chosen] = self._others.take(start - earlier, length - count)
        return images


class Followed:
    """Each image that is drawn, and after it the one that follows it in the source; the first one follows the last."""

    def __init__(self, leaders: Selection, count: int) -> None:
        self.count = count
        self._leaders = leaders

    def take(self, start: int, length: int) -> Indices:
        """The draws start .. start+length-1; draw 2k is draw k of the leaders."""
        first = start // 2
        leaders = self._leaders.take(first, (start + length + 1) // 2 - first)
        both = np.stack([leaders, (leaders + 1) % self.count], axis=1).reshape(-1)
        return both[start - 2 * first : start - 2 * first + length]
