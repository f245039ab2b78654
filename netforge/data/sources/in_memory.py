"""Sources that Python hands over: a net reads them by their names, as if they lay in the image database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netforge.data.formats.arrays import as_numbers, as_planes, check_whole_numbers, image_layout
from netforge.data.source import ArraySource, Pixels, Source
from netforge.errors import DataError

InMemory: TypeAlias = "Source | tuple[npt.ArrayLike, npt.ArrayLike]"
"""A source, or images (n, H, W), (n, H, W, C) or (n, C, H, W) and labels (n,)."""

_SOURCES: ContextVar[Mapping[str, Source]] = ContextVar("sources in memory")


@contextmanager
def sources_in_memory(sources: Mapping[str, InMemory] | None) -> Iterator[None]:
    """Let `open_source` find these sources by name, before those of the image database, while the block runs.

    Only the thread (or task) that runs the block sees them; what was opened stays open behind it. Blocks may be nested:
    the innermost one that knows a name answers. None changes nothing. Raises DataError where arrays are no images.
    """
    made = {name: as_source(name, given) for name, given in (sources or {}).items()}
    token = _SOURCES.set({**_SOURCES.get({}), **made})
    try:
        yield
    finally:
        _SOURCES.reset(token)


def find_in_memory(name: str) -> Source | None:
    """The source that was handed over under this name; None where there is none."""
    return _SOURCES.get({}).get(name)


def as_source(name: str, given: InMemory) -> Source:
    """Images and labels as a source of this name; a source is taken as it is.

    Pixels are kept as they are where they are uint8, and become float32 otherwise: values are not scaled. Labels are
    whole numbers. Raises DataError where the arrays are no images, or do not fit each other.
    """
    if isinstance(given, Source):
        return given
    where = f'source "{name}"'
    if not isinstance(given, tuple) or len(given) != 2:
        raise DataError(f"it is a {type(given).__name__}, expected a Source or (images, labels)", where=where)
    images, labels = np.asarray(given[0]), np.asarray(given[1])
    pixels = as_pixels(as_planes(images, image_layout(images.shape, images.dtype, where)))
    check_whole_numbers(labels.shape, labels.dtype, len(pixels), where)
    return ArraySource(name, pixels, as_numbers(labels, where))


def as_pixels(values: npt.NDArray[np.generic]) -> Pixels:
    """Numbers of any type (any shape) in one of the two that sources hold: uint8 as they are, others as float32."""
    return values if values.dtype == np.uint8 else values.astype(np.float32, copy=False)
