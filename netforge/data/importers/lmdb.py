"""Bringing an LMDB of Caffe's Datum records into the image database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from netforge.data.formats.datum import decode_datum
from netforge.data.formats.fitting import resized
from netforge.data.formats.lmdb_pages import records
from netforge.data.formats.mean import read_mean
from netforge.data.formats.picture import without_warnings
from netforge.data.source import LARGEST_LABEL
from netforge.data.sources.lmdb import is_lmdb
from netforge.data.store.database import ImageDatabase
from netforge.data.store.drafts import Draft, Progress, Stored, number_names, store
from netforge.data.store.writer import check_name
from netforge.data.transforms.colour import Recolour
from netforge.errors import DataError, ShapeError

TASK_RECORDS = 16
THREADS = 4
BLOCK_BYTES = 1 << 22

ColorOrder = Literal["BGR", "RGB"]
Image = npt.NDArray[Any]


@dataclass(frozen=True)
class LmdbForm:
    """What the images of records are made into.

    color_order: order of three channels in records of raw values: Caffe's tools write "BGR", others "RGB"; it is kept.
    channels: 1 or 3 for grey or colour; None leaves what a record has. size: (height, width) to which images of bytes
    are brought; None leaves each as it is.
    """

    color_order: ColorOrder = "BGR"
    channels: int | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class LmdbImport:
    """What became of an LMDB: the source, and the records that were left out because they cannot be read."""

    source: Stored
    unreadable: list[DataError]


def import_lmdb(
    database: ImageDatabase,
    path: str | Path,
    *,
    name: str,
    form: LmdbForm = LmdbForm(),
    mean: str | Path | None = None,
    mean_of: str | None = None,
    skip_unreadable: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> LmdbImport:
    """Make a source of an LMDB of Datum records: bytes, floats or encoded images, with their labels.

    Images come in the order of their keys, and each key is kept as the origin of its image. Every page of the LMDB is
    checked while it is read. Floats stay floats.

    path: folder of the LMDB, or its data file. name: of the source. form: what images are made into; all must come out
    with one shape and type. mean: a file with the mean image that goes with them (.binaryproto, as Caffe's
    compute_image_mean writes it). skip_unreadable: leave out records that are damaged, rather than raise. mean_of,
    replace, dry_run, progress: see `store`.

    Raises DataError where there is no LMDB, where it or a record is damaged, where images differ in shape, or where a
    name is taken.
    """
    path = Path(path)
    check_name(name)
    if not is_lmdb(path):
        raise DataError("there is no LMDB here", where=str(path), mend="name the folder that holds data.mdb")
    if mean is not None and mean_of is not None:
        raise DataError("a mean file and a source for the mean are named", where=str(mean), mend="name one of them")
    given_mean = None if mean is None else read_mean(Path(mean))
    reading = _Reading(path, form, skip_unreadable)
    draft = Draft(
        name,
        reading.blocks(),
        reading.labels,
        reading.class_names,
        origins=reading.origins,
        color_order=form.color_order,
    )
    with without_warnings():
        (done,) = store(
            database,
            [draft],
            mean=given_mean,
            mean_of=mean_of,
            replace=replace,
            dry_run=dry_run,
            progress=progress,
        )
    return LmdbImport(done, reading.unreadable)


@dataclass
class _Reading:
    """One pass over the records. labels, class_names, origins and unreadable fill while the blocks are read."""

    path: Path
    form: LmdbForm
    skip_unreadable: bool
    labels: list[int] = field(default_factory=list)
    class_names: dict[int, str] = field(default_factory=dict)
    origins: list[str | None] = field(default_factory=list)
    unreadable: list[DataError] = field(default_factory=list)

    def blocks(self) -> Iterator[Image]:
        """The images (n, C, H, W), some MiB at a time."""
        block: list[Image] = []
        first: Image | None = None
        for where, origin, decoded in self._decoded():
            if isinstance(decoded, DataError):
                if not self.skip_unreadable:
                    raise decoded
                self.unreadable.append(decoded)
                continue
            image, label = decoded
            first = image if first is None else first
            _check_alike(where, image, first)
            block.append(image)
            self.labels.append(label)
            self.origins.append(origin)
            if len(block) * image.nbytes >= BLOCK_BYTES:
                yield np.stack(block)
                block = []
        if first is None:
            raise DataError("no record is left", where=str(self.path), mend="name another LMDB")
        self.class_names.update(number_names(np.array(self.labels)))
        if block:
            yield np.stack(block)

    def _decoded(self) -> Iterator[tuple[str, str, tuple[Image, int] | DataError]]:
        """Place and origin of each record, and its image and label, or why it cannot be read."""

        def work(part: list[tuple[str, str, bytes]]) -> list[tuple[str, str, tuple[Image, int] | DataError]]:
            return [(where, origin, self._image(value, where)) for where, origin, value in part]

        with ThreadPoolExecutor(THREADS) as pool:
            waiting = self._records()
            while parts := [part for _ in range(THREADS) if (part := list(islice(waiting, TASK_RECORDS)))]:
                for done in pool.map(work, parts):
                    yield from done

    def _records(self) -> Iterator[tuple[str, str, bytes]]:
        """Place, origin and value of each record."""
        for key, value in records(self.path):
            text = key.decode(errors="backslashreplace")
            origin = text if text.isprintable() else ascii(text)[1:-1]
            yield f"{self.path}, record '{origin}'", origin, value

    def _image(self, value: bytes, where: str) -> tuple[Image, int] | DataError:
        try:
            image, label = decode_datum(value, where, self.form.color_order)
            if abs(label) > LARGEST_LABEL:
                mend = f"give labels between {-LARGEST_LABEL:,} and {LARGEST_LABEL:,}"
                raise DataError(f"the label is {label}", where=where, mend=mend)
            return self._formed(image[None], where)[0], label
        except DataError as error:
            return error

    def _formed(self, images: Image, where: str) -> Image:
        """One image (1, C, H, W) in the form that is asked for."""
        form = self.form
        if not np.isfinite(images).all():
            raise DataError("a value is not finite", where=where, mend="make the record again")
        if form.channels is not None:
            try:
                images = Recolour(images.shape[1], form.channels, form.color_order)(images)
            except ShapeError as error:
                raise DataError(error.found, where=where, mend="leave --channels out") from None
        if form.size is None:
            return images
        if images.dtype != np.uint8:
            raise DataError("an image of floats keeps its size", where=where, mend="leave --size out")
        return resized(images, form.size)


def _check_alike(where: str, image: Image, first: Image) -> None:
    if image.shape != first.shape:
        raise DataError(
            f"the image has shape {image.shape}, those before it {first.shape}",
            where=where,
            mend="bring all to one size and number of channels: --size HEIGHTxWIDTH, --channels 3",
        )
    if image.dtype != first.dtype:
        raise DataError(
            f"the image has values of type {image.dtype}, those before it {first.dtype}",
            where=where,
            mend="make an LMDB of one type of values",
        )
