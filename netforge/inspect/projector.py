"""Embeddings as TensorBoard's Projector reads them: tables of vectors and of classes, and a sheet of the images.

The Projector looks for projector_config.pbtxt in the folder of a run; the files that it names lie beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from netforge.data.source import Source
from netforge.data.sources.image_set import ImageSet
from netforge.inspect.embedding_page import thumbnails
from netforge.inspect.embeddings import Embeddings
from netforge.inspect.pictures import Picture, png_bytes
from netforge.metric.arrays import Integers

TENSORS, METADATA, SPRITE, CONFIG = "tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt"

LEAST_DIMENSIONS = 3
"""Of fewer the Projector shows no principal components; zeros make up for them."""


def write_projector(folder: str | Path, found: Embeddings) -> None:
    """Write embeddings into the folder of a run, in place of those that are there; images where they are known.

    Raises OSError where a file cannot be written.
    """
    folder = Path(folder)
    (folder / CONFIG).unlink(missing_ok=True)  # none is better than one that names files of another kind
    missing = max(0, LEAST_DIMENSIONS - found.vectors.shape[1])
    vectors = np.pad(found.vectors, ((0, 0), (0, missing)))
    _write_table(folder / TENSORS, ([f"{value:.7g}" for value in vector] for vector in vectors.tolist()))
    _write_table(folder / METADATA, [["class", "image"], *_metadata(found)])
    entries = [("tensor_name", found.name), ("tensor_path", TENSORS), ("metadata_path", METADATA)]
    lines = [_entry(*entry) for entry in entries]
    if found.images is not None:
        picture, width, height = _sprite(found.images, found.numbers)
        (folder / SPRITE).write_bytes(png_bytes(picture))
        inner = [("image_path", SPRITE), ("single_image_dim", width), ("single_image_dim", height)]
        lines += ["sprite {", *(f"  {_entry(*entry)}" for entry in inner), "}"]
    text = "\n".join(["embeddings {", *(f"  {line}" for line in lines), "}"])
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _sprite(images: Source, numbers: Integers) -> tuple[Picture, int, int]:
    """Small copies of images in one picture, and width and height of one.

    There are as many rows as columns, the last ones empty: the Projector finds the row of an image by the number of
    rows, where it should by that of columns.
    """
    side = math.ceil(math.sqrt(len(numbers)))
    picture, place = thumbnails(images, numbers, columns=side)
    missing = side * place["height"] - len(picture)
    return np.pad(picture, ((0, missing), (0, 0), (0, 0))), place["width"], place["height"]


def _metadata(found: Embeddings) -> Iterable[list[str]]:
    """Class and number of each item; an image's number is that in its source."""
    images = found.images
    for label, number in zip(found.labels.tolist(), found.numbers.tolist(), strict=True):
        yield [found.class_name(label), str(images.origin(number)[1] if isinstance(images, ImageSet) else number)]


def _write_table(path: Path, rows: Iterable[list[str]]) -> None:
    lines = ("\t".join(" ".join(cell.split()) for cell in row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _entry(name: str, value: Any) -> str:
    """A field in protobuf's text form, whose strings JSON's are too."""
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"
