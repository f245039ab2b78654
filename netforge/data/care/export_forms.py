"""Writing images in the forms that other programs read: Caffe's LMDB, pictures in folders, and IDX files."""

from __future__ import annotations

import csv
import gzip
import math
import re
import struct
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from netforge.data.formats.idx import IMAGES_MAGIC, LABELS_MAGIC
from netforge.data.importers.lists import INDEX_HEAD, INDEX_TAIL
from netforge.data.sources.image_set import ImageSet
from netforge.data.store.drafts import Progress
from netforge.errors import DataError

COMMIT_BYTES = 1 << 26
MOST_RECORDS = 10**8  # keys of eight digits
LABEL_LIMIT = 1 << 31  # of a Datum
PAGE_BYTES = 4096
THREADS = 4
INDEX_FILE = "index.csv"
LONGEST_FOLDER = 80
OTHER = "export to lmdb, which holds any images"
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What the image database knows of an image beside its pixels and label.

    id: its position in the source. origin: the file or record that it came from.
    """

    id: int
    original_label: int
    auto: int
    origin: str | None = None


def write_lmdb(images: ImageSet, folder: Path, progress: Progress) -> None:
    """Write an LMDB of Datum records as Caffe's tools do: keys of eight digits, colour in the order B, G, R.

    Bytes go into `data`, floats into `float_data`. Raises DataError where a label does not fit into a Datum.
    """
    import lmdb

    from netforge.schema import messages

    labels = images.labels
    if labels.min() < -LABEL_LIMIT or labels.max() >= LABEL_LIMIT or images.count > MOST_RECORDS:
        raise DataError(
            f"an LMDB of Caffe holds {MOST_RECORDS:,} images with labels of 32 bits, these are {images.count:,} with "
            f"labels from {labels.min():,} to {labels.max():,}",
            where=images.name,
            mend="give the images other labels, or choose some with --where",
        )
    channels, height, width = images.shape
    is_reversed = channels == 3 and images.color_order == "RGB"
    # In the worst case each record fills its last page with a byte; a 64th more for the branches.
    record_pages = (4 * math.prod(images.shape) + 64) // PAGE_BYTES + 2
    map_bytes = PAGE_BYTES * (1024 + images.count * record_pages * 65 // 64)
    try:
        with lmdb.open(str(folder), map_size=map_bytes, lock=False, sync=False) as environment:
            transaction = environment.begin(write=True)
            number = pending = 0
            for pixels, block_labels in map(images.read, images.block_numbers()):
                for image, label in zip(pixels[:, ::-1] if is_reversed else pixels, block_labels.tolist(), strict=True):
                    datum = messages.Datum(channels=channels, height=height, width=width, label=label)
                    if image.dtype == np.uint8:
                        datum.data = image.tobytes()
                    else:
                        datum.float_data.extend(image.ravel().tolist())
                    transaction.put(b"%08d" % number, datum.SerializeToString(), append=True)
                    number += 1
                pending += pixels.nbytes
                if pending > COMMIT_BYTES:
                    transaction.commit()
                    transaction, pending = environment.begin(write=True), 0
                progress(len(pixels))
            transaction.commit()
            environment.sync(True)
    except lmdb.Error as error:
        mend = "make room on the disk, and check the rights of the folder"
        raise DataError(f"the LMDB cannot be written: {error}", where=str(folder), mend=mend) from error


def write_idx(images: ImageSet, folder: Path, part: str, progress: Progress, *, zipped: bool = False) -> None:
    """Write the two files of IDX, of images and of labels, whose names begin with `part`: "train" or "t10k".

    zipped: gzip them. Raises DataError where images are not grey bytes, or labels not 0 to 255.
    """
    labels = images.labels
    wrong = np.flatnonzero((labels < 0) | (labels > 255))
    if images.shape[0] != 1 or len(wrong):
        found = f"images of {images.shape[0]} channels" if not len(wrong) else f"label {labels[wrong[0]]}"
        raise DataError(f"IDX files hold grey images with labels 0 to 255, not {found}", where=images.name, mend=OTHER)
    with ExitStack() as closing:

        def opened(kind: str, axes: int, magic: int, *sizes: int) -> IO[bytes]:
            path = folder / f"{part}-{kind}-idx{axes}-ubyte{'.gz' if zipped else ''}"
            file: IO[bytes] = closing.enter_context(path.open("wb"))
            if zipped:
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
                file = closing.enter_context(cast(IO[bytes], packed))
            file.write(struct.pack(f">{1 + len(sizes)}I", magic, *sizes))
            return file

        image_file = opened("images", 3, IMAGES_MAGIC, images.count, *images.shape[1:])
        label_file = opened("labels", 1, LABELS_MAGIC, images.count)
        for pixels, block_labels in map(images.read, images.block_numbers()):
            image_file.write(_bytes_only(pixels, images.name).tobytes())
            label_file.write(block_labels.astype(np.uint8).tobytes())
            progress(len(pixels))


def _bytes_only(pixels: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        raise DataError(f"the pixels are {pixels.dtype}, and this form holds bytes", where=name, mend=OTHER)
    return pixels


def write_pictures(images: ImageSet, facts: Iterator[Facts], folder: Path, progress: Progress) -> None:
    """Write a PNG file of each image into a folder named after its class, and an index of them all.

    A file is named after the image's position in its source, so its name does not depend on what else is written. The
    index, a CSV file, has id, label, original label, auto mark, group where there are groups, origin and class.
    facts: of each image. Raises DataError where images are neither grey nor colour, of bytes.
    """
    from PIL import Image

    if images.shape[0] not in (1, 3):
        found = f"pictures have 1 or 3 channels, these images {images.shape[0]}"
        raise DataError(found, where=images.name, mend=OTHER)
    names = folder_names({label: images.class_name(label) for label in np.unique(images.labels).tolist()})
    for name in names.values():
        (folder / name).mkdir()
    groups = images.groups

    def save(picture: npt.NDArray[np.uint8], path: Path) -> None:
        colour = picture if images.color_order == "RGB" else picture[::-1]
        array = picture[0] if len(picture) == 1 else np.ascontiguousarray(colour.transpose(1, 2, 0))
        Image.fromarray(array).save(path, "PNG")

    with (folder / INDEX_FILE).open("w", newline="", encoding="utf-8") as file, ThreadPoolExecutor(THREADS) as pool:
        index = csv.writer(file, lineterminator="\n")
        index.writerow([*INDEX_HEAD, *(["group"] if groups is not None else []), *INDEX_TAIL])
        number = 0
        for pixels, labels in map(images.read, images.block_numbers()):
            paths: list[str] = []
            for label, fact in zip(labels.tolist(), facts, strict=False):
                paths.append(f"{names[label]}/{fact.id:08d}.png")
                group = [int(groups[number])] if groups is not None else []
                row = [fact.id, label, fact.original_label, fact.auto, *group, fact.origin, images.class_name(label)]
                index.writerow([paths[-1], *row])
                number += 1
            list(pool.map(save, _bytes_only(pixels, images.name), [folder / path for path in paths]))
            progress(len(pixels))


def folder_names(class_names: dict[int, str]) -> dict[int, str]:
    """A name for the folder of each class that every file system takes, and that no two share."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for label, text in class_names.items():
        name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" ")[:LONGEST_FOLDER].rstrip(" .")
        if not name or name.startswith(".") or _RESERVED.fullmatch(name):
            name = f"_{name}"
        if name.casefold() in taken:
            name = f"{name}-{label}"
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        names[label] = name
    return names
