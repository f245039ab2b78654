"""Picture files made into arrays, with limits: what cannot be read says why, and never takes the memory first."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.data.formats.fitting import Fit, Placement, place
from netforge.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpg", ".jpeg", ".jfif", ".png", ".pgm", ".pbm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"}
)
MOST_PIXELS = 1 << 26
MOST_KEPT_PIXELS = 1 << 22  # of a picture that is not brought to another size
UNREADABLE = "the picture cannot be read: "
REPLACE = "replace it by a PNG or JPEG file of 8 bits a channel"
_ORIENTATION = 0x0112  # the EXIF tag
_LYING = 5  # from this orientation on, the sides change places
_DAMAGED = (
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class PictureForm:
    """What a picture is made into.

    channels: 1 for grey values, 3 for red, green, blue. size: (height, width); None leaves each as it is. fit: where
    the shape differs, "stretch" it, "crop" what is too much on two sides, or "pad" two sides with black. most: pixels
    that one may have which keeps its size.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    most: int = MOST_KEPT_PIXELS


@dataclass(frozen=True)
class Picture:
    """A decoded picture: pixels (C, H, W), and the (height, width) it had before it was brought to another size."""

    pixels: npt.NDArray[np.uint8]
    size: tuple[int, int]


def read_picture(path: Path, form: PictureForm, *, mend: str = REPLACE) -> npt.NDArray[np.uint8]:
    """The picture in a file, (C, H, W): upright as its EXIF data say, the first one of several, on white where clear.

    Raises DataError, naming the file, where it is missing, damaged, of another format, of more than 67 million pixels
    (`form.most` where it keeps its size), or of more than 8 bits a channel; `mend` says what to do about a bad file.
    """
    with opened(path, str(path), mend) as picture:
        return _made(picture, form, str(path)).pixels


def decode_picture(data: bytes, where: str, form: PictureForm, *, mend: str = REPLACE) -> Picture:
    """The picture in the bytes of a file, as `read_picture` makes it; `where` names the file in messages."""
    with opened(io.BytesIO(data), where, mend) as picture:
        return _made(picture, form, where)


def make_picture(picture: Image, form: PictureForm, where: str) -> npt.NDArray[np.uint8]:
    """A picture that Pillow has opened, made into (C, H, W) as `read_picture` does; it is left as it is.

    Raises DataError, with `where`, as `read_picture` does.
    """
    with checked(where, REPLACE):
        check_picture(picture, where)
        return _made(picture.copy(), form, where).pixels  # a copy: having a JPEG decoded smaller would change it


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of the picture in a file as it stands upright; raises DataError as `read_picture` does."""
    with opened(path, str(path), REPLACE) as picture:
        return _upright_size(picture, _orientation(picture))


@contextmanager
def opened(file: Path | IO[bytes], where: str, mend: str) -> Iterator[Image]:
    """A picture in a file of one of `FORMATS`, its sizes checked and its pixels not yet decoded.

    What Pillow complains about, here and in the block that uses the picture, becomes a DataError with `where` and
    `mend`; so do more than `MOST_PIXELS` pixels and more than 8 bits a channel.
    """
    from PIL import Image

    if isinstance(file, Path) and os.path.exists(file) and not file.is_file():
        raise _unreadable(where, "it is no file", "name a file")  # a folder; a pipe, which might wait for ever
    with checked(where, mend), Image.open(file, formats=FORMATS) as picture:
        check_picture(picture, where)
        yield picture


def check_picture(picture: Image, where: str) -> None:
    """Raise DataError for a picture of more than `MOST_PIXELS` pixels or more than 8 bits a channel."""
    if picture.width * picture.height > MOST_PIXELS:
        raise _unreadable(where, f"it has {picture.width} x {picture.height} pixels", "make it smaller")
    if picture.mode.startswith(("I", "F")):
        raise _unreadable(where, "it has more than 8 bits a channel", "save it with 8")


@contextmanager
def checked(where: str, mend: str) -> Iterator[None]:
    """What Pillow complains about in the block becomes a DataError with `where` and `mend`."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except UnidentifiedImageError:
        raise _unreadable(where, f"it is none of {', '.join(FORMATS)}", mend) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _unreadable(where, f"it has more than {MOST_PIXELS:,} pixels", "make it smaller") from None
    except FileNotFoundError:
        raise _unreadable(where, "there is no such file", "correct its path") from None
    except _DAMAGED as error:  # Pillow's decoders raise all of these for damaged files
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _unreadable(where, reason, mend) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings, of metadata that nobody needs and of sizes that are checked anyway.

    For the thread that starts the work, not for each one that reads: Python's filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unreadable(where: str, reason: str, mend: str) -> DataError:
    return DataError(UNREADABLE + reason.rstrip("."), where=where, mend=mend)


def _made(picture: Image, form: PictureForm, where: str) -> Picture:
    """The picture in the form that is asked for."""
    if form.size is None and picture.width * picture.height > form.most:
        raise _unreadable(
            where,
            f"at {picture.width} x {picture.height} pixels it is too large for a net",
            "bring all to one size: --size HEIGHTxWIDTH",
        )
    orientation = _orientation(picture)
    size = _upright_size(picture, orientation)
    if form.size is None:
        return Picture(_array(_on_white(_upright(picture, orientation)), form.channels), size)
    placement = place(size, form.size, form.fit)
    scale = _shrunk(picture, placement)
    whole = _on_white(_upright(picture, orientation))
    return Picture(_array(_fitted(whole, placement, scale), form.channels), size)


def _orientation(picture: Image) -> int:
    """How the picture was turned and flipped, 1 to 8 as EXIF counts."""
    found = picture.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright_size(picture: Image, orientation: int) -> tuple[int, int]:
    """Height and width of the picture once it stands upright."""
    return (picture.width, picture.height) if orientation >= _LYING else (picture.height, picture.width)


def _upright(picture: Image, orientation: int) -> Image:
    if orientation == 1:
        return picture
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return picture.transpose(turns[orientation])


def _shrunk(picture: Image, placement: Placement) -> int:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its sides where it stays twice as large as needed; by which number.

    Decoding is most of the work for photographs; what remains is shrunk smoothly.
    """
    (left, top, right, bottom), placed = placement.taken, placement.placed
    share = max((placed[2] - placed[0]) / (right - left), (placed[3] - placed[1]) / (bottom - top))
    full_width = picture.width
    wanted = (math.ceil(2 * share * full_width), math.ceil(2 * share * picture.height))
    picture.draft(None, wanted)  # None keeps the mode
    return round(full_width / picture.width)


def _on_white(picture: Image) -> Image:
    """Grey or RGB, what is clear on white paper."""
    from PIL import Image

    if "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture if picture.mode in ("L", "RGB") else picture.convert("L" if picture.mode == "1" else "RGB")


def _fitted(picture: Image, placement: Placement, scale: int) -> Image:
    """The picture, whose sides were divided by `scale`, where it is to go; shrunk smoothly, every pixel counts."""
    from PIL import Image

    left, top, right, bottom = placement.placed
    first, above, last, below = (edge / scale for edge in placement.taken)
    part = picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR, (first, above, last, below))
    height, width = placement.made
    if part.size == (width, height):
        return part
    whole = Image.new(part.mode, (width, height), "black")
    whole.paste(part, (left, top))
    return whole


def _array(picture: Image, channels: int) -> npt.NDArray[np.uint8]:
    mode = "L" if channels == 1 else "RGB"
    array: npt.NDArray[Any] = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
