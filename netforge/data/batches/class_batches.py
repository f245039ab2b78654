"""Batches of P classes with K images each, for losses that compare the items of a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import ClassIndex, Shuffled, random_words
from netforge.data.source import Indices
from netforge.device.random import RandomStream
from netforge.errors import DataError, counted


class ClassBatchSampler:
    """Batches of `classes` classes times `images` different images of each, class by class (Hermans et al. 2017).

    An epoch of classes is a permutation of all of them, cut into batches; up to `classes` - 1 that are left over sit it
    out. Likewise each class runs through permutations of its own images, `images` of them at a time, and up to
    `images` - 1 sit an epoch out. In its epoch of classes number e a class shows its run number e, whether or not it
    was left over before: so a batch follows from its number without a look at those before it.

    name_of: what a message calls a label. Raises DataError where the source has fewer classes, or a class has fewer
    images.
    """

    images_per_item = 1

    def __init__(
        self,
        classes: int,
        images: int,
        index: ClassIndex,
        class_stream: RandomStream,
        image_stream: RandomStream,
        *,
        name_of: Callable[[int], str] = str,
    ) -> None:
        self._check(classes, images, index, name_of)
        self._classes = classes
        self._images = images
        self._class_order = Shuffled(len(index.labels), class_stream)
        self._image_stream = image_stream
        runs, self._length_of = np.unique(index.sizes // images, return_inverse=True)
        self._lengths = [EpochLength(int(n), index, self._length_of == k) for k, n in enumerate(runs)]

    @staticmethod
    def _check(classes: int, images: int, index: ClassIndex, name_of: Callable[[int], str]) -> None:
        if len(index.labels) < classes:
            raise DataError(
                f"batch_classes asks for {counted(classes, 'class', 'classes')}, but the source has "
                f"{len(index.labels)}",
                mend="lower batch_classes, or use another source",
            )
        small = np.flatnonzero(index.sizes < images)
        if len(small):
            least = int(small[np.argmin(index.sizes[small])])
            raise DataError(
                f"batch_images asks for {counted(images, 'image')} of each class, but there are fewer in "
                f"{counted(len(small), 'class', 'classes')}: {int(index.sizes[least])} in class "
                f"{name_of(int(index.labels[least]))}",
                mend=f"lower batch_images to {int(index.sizes.min())}, or add images to the source",
            )

    def draw(self, batch: int, size: int) -> Indices:
        """The images of one batch, shape (size, 1); size is the number of classes times the images of each."""
        count = self._class_order.count
        epoch, place = divmod(batch, count // self._classes)
        classes = self._class_order.take(epoch * count + place * self._classes, self._classes)
        lengths = self._length_of[classes]
        images = np.empty((self._classes, self._images), np.int64)
        for k in np.unique(lengths):
            images[lengths == k] = self._run(int(k), epoch, classes[lengths == k])
        return images.reshape(size, 1)

    def _run(self, length: int, number: int, classes: Indices) -> Indices:
        """Run `number` of classes whose epochs have the same length, (classes, images)."""
        of_length = self._lengths[length]
        epoch, place = divmod(number, of_length.runs)
        order = of_length.order(epoch, self._image_stream, epoch * len(self._lengths) + length)
        first = of_length.start_of[classes] + place * self._images
        images: Indices = order[first[:, None] + np.arange(self._images)]
        return images


class EpochLength:
    """Classes that run through their images in the same number of batches, and the order they do that in.

    runs: that number. chosen: whether each class of the index is one of them. start_of: where the images of each of
    these classes begin in an order.
    """

    def __init__(self, runs: int, index: ClassIndex, chosen: npt.NDArray[np.bool_]) -> None:
        self.runs = runs
        self._images = index.order[chosen[index.class_of[index.order]]]
        self._classes = index.class_of[self._images]
        self.start_of = np.searchsorted(self._classes, np.arange(len(index.labels)))
        self._known: tuple[int, Indices] | None = None

    def order(self, epoch: int, stream: RandomStream, draw: int) -> Indices:
        """The images of one epoch, class by class, each class shuffled by draw number `draw` of the stream."""
        known = self._known  # replaced as a whole: several threads may draw
        if known is None or known[0] != epoch:
            words = random_words(stream, draw, len(self._images))
            self._known = known = epoch, self._images[np.lexsort((words, self._classes))]
        return known[1]
