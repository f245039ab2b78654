"""Which images the embeddings are of that a Debug layer stored.

The layer keeps no images, and need not: which images a batch holds follows from the seed, the name of the layer that
draws it, and the number of the batch. The state of a run holds the seed and the number of the next batch, so what was
drawn last can be drawn again. That the labels agree, item by item, shows that these are the images.
"""

from __future__ import annotations

import numpy as np

from netforge.data.source import Indices, Source
from netforge.errors import DataError
from netforge.inspect.sample import read_blocks
from netforge.layers.batch_layer import BatchLayer
from netforge.net import Net
from netforge.snapshot.state import NetState


def images_of_stored(net: Net, remembered: NetState, labels: Indices) -> tuple[Source, Indices]:
    """The source of the images behind the newest stored items, and their numbers in it, (n,), the newest last.

    net: the net that stored them, built with the seed of the state. remembered: what its layers held then. labels: of
    the items, (n,). Of pairs that image is meant whose label was stored. Raises DataError where no layer of the net
    has drawn images of these labels.
    """
    layers = [layer for layer in net.layers if isinstance(layer, BatchLayer)]
    for layer in layers:
        drawn = _drawn_last(layer, int(remembered.get(layer.name, {}).get("position", 0)), len(labels))
        for numbers in drawn.T:
            all_known = len(numbers) == len(labels) and numbers.min() >= 0
            if all_known and np.array_equal(_labels_of(layer.source, numbers), labels):
                return layer.source, numbers
    names = ", ".join(f'"{layer.name}"' for layer in layers) or "none"
    raise DataError(
        f"the labels of the stored items are not those of the images drawn last; layers that draw: {names}",
        where=net.definition.place,
        mend="the net, its source or the order of a batch has changed; --source names classes without images",
    )


def _drawn_last(layer: BatchLayer, following: int, count: int) -> Indices:
    """The last `count` draws before batch `following`, (count, images_per_item); fewer where there were fewer."""
    assert layer.reader is not None
    size = layer.reader.size
    first = max(0, following - -(-count // size))
    batches = [layer.reader.draw(number) for number in range(first, following)]
    return np.concatenate(batches)[-count:] if batches else np.empty((0, 1), np.int64)


def _labels_of(source: Source, numbers: Indices) -> Indices:
    """The labels of some images; a look at all of them only where that is quick."""
    if source.labels_are_cheap:
        return source.labels[numbers]
    return np.concatenate([labels for _, labels in read_blocks(source, numbers)])
