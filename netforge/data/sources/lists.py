"""Pictures that a text file lists, decoded whenever they are drawn, as Caffe's ImageData layer reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netforge.data.formats.decoding import THREADS
from netforge.data.formats.picture import MOST_KEPT_PIXELS, MOST_PIXELS, PictureForm, picture_size, read_picture
from netforge.data.importers.lists import read_list
from netforge.data.source import Indices, Pixels, Source
from netforge.data.transforms.colour import to_bytes
from netforge.data.transforms.resizing import Resizing, Size
from netforge.device.random import RandomStream
from netforge.errors import DataError

RESIZE = "write new_height and new_width in image_data_param, which bring all to one size"


class ListSource(Source):
    """The pictures of a list, in its order, as Caffe gives them: grey, or blue, green, red.

    path: the list, lines of a path and a label. root: the folder in which paths start; where it is not absolute it is
    looked for from the current folder on, from `folder`, and from the list's folder. channels: 1 or 3. size: (height,
    width) that all are stretched to, with OpenCV's bilinear interpolation; None where they are of one size.

    Raises DataError where the list is not of that form, or its first picture cannot be read; others are looked at when
    they are drawn.
    """

    color_order = "BGR"
    shuffled = False

    def __init__(
        self, path: Path, *, root: str, folder: Path | None, channels: int, size: tuple[int, int] | None
    ) -> None:
        self.name = str(path)
        self.class_names = {}
        self._paths, self._labels = read_list(path)
        self._root = _find_root(root, (Path(), folder, path.parent), self._paths[0])
        self._form = PictureForm(channels, most=MOST_PIXELS)
        self._size = size
        height, width = picture_size(self._root / self._paths[0])
        if size is None and height * width > MOST_KEPT_PIXELS:
            found = f"at {width} x {height} pixels the picture is too large for a net"
            raise DataError(found, where=str(self._root / self._paths[0]), mend=RESIZE)
        self.count = len(self._paths)
        self.shape = (channels, *(size or (height, width)))

    def read(self, indices: Indices) -> tuple[Pixels, Indices]:
        """Decode the pictures, in several threads."""
        out = np.empty((len(indices), *self.shape), np.uint8)
        with ThreadPoolExecutor(max(1, min(THREADS, len(indices)))) as pool:
            for made, pixels in zip(out, pool.map(self._decoded, indices.tolist()), strict=True):
                made[...] = pixels
        return out, self._labels[indices]

    def _decoded(self, index: int) -> npt.NDArray[np.uint8]:
        path = self._root / self._paths[index]
        pixels = read_picture(path, self._form)[::-1]
        if self._size is not None:
            _, height, width = pixels.shape
            stretch = Resizing(height, width, Size(*self._size), ["LINEAR"], RandomStream(0, ""))
            return to_bytes(stretch(pixels[None], 0)).reshape(self.shape)
        if pixels.shape != self.shape:
            found, first = (f"{height} x {width}" for _, height, width in (pixels.shape, self.shape))
            raise DataError(
                f"the picture has {found} pixels, the first of the list {first}", where=str(path), mend=RESIZE
            )
        return pixels

    @property
    def labels(self) -> Indices:
        """The label of every image."""
        return self._labels


def _find_root(root: str, places: Sequence[Path | None], first: str) -> Path:
    """The folder in which paths start: of all that `root` may mean, the first in which the first picture is."""
    wanted = Path(root).expanduser()
    tried = [place / wanted for place in places if place is not None]
    return next((folder for folder in tried if os.path.exists(folder / first)), tried[0])
