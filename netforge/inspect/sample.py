"""Images to look at: a sample of the labelled ones that a net is tested with, and some of a source block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netforge.data.source import Indices, Pixels, Source
from netforge.data.sources.image_set import ImageSet, choose_images
from netforge.errors import DataError, NetError
from netforge.layers.data_param import open_for
from netforge.net.running import image_layer
from netforge.schema import NetDefinition

MOST_IMAGES = 1000


def sample_images(definition: NetDefinition, most: int = MOST_IMAGES) -> ImageSet:
    """At most `most` labelled images of the source of TEST, else of TRAIN, drawn at random but always the same.

    definition: the net, unfiltered. Raises NetError where it reads no images, DataError where none has a label.
    """
    found = image_layer(definition)
    if found is None:
        raise NetError("the net has no layer that reads images", where=definition.place)
    layer, _ = found
    source = open_for(layer, definition.folder, header_only=False, fail=layer.fail)
    chosen = ImageSet([source])
    chosen = chosen[chosen.labels >= 0]
    if not chosen.count:
        raise DataError("none of its images has a label", where=source.name)
    return choose_images([chosen], count=min(most, chosen.count))


def read_blocks(source: Source, numbers: Indices) -> Iterator[tuple[Pixels, Indices]]:
    """The images (m, C, H, W) and labels (m,) with these numbers (n,), in blocks that memory always has room for."""
    for part in np.array_split(numbers, -(-len(numbers) // source.images_per_block) or 1):
        yield source.read(part)
