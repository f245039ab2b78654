"""Picture files made into arrays, with limits: what cannot be read says why, and never takes the memory first."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["stretch", "crop", "pad"]
FITS: tuple[Fit, ...] = ("stretch", "crop", "pad")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpg", ".jpeg", ".jfif", ".png", ".pgm", ".pbm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"}
)
MOST_PIXELS = 1 << 26
MOST_KEPT_PIXELS = 1 << 22  # of a picture that is not brought to another size
UNREADABLE = "the picture cannot be read: "
REPLACE = "replace it by a PNG or JPEG file of 8 bits a channel"
_ORIENTATION = 0x0112  # the EXIF tag; from 5 on, the sides change places
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, OverflowError, TypeError, KeyError, IndexError)


@dataclass(frozen=True)
class PictureForm:
    """What a picture is made into.

    channels: 1 for grey values, 3 for red, green, blue. size: (height, width); None leaves each as it is. fit: where
    the shape differs, "stretch" it, "crop" what is too much on two sides, or "pad" two sides with black.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"


def read_picture(path: Path, form: PictureForm, *, mend: str = REPLACE) -> npt.NDArray[np.uint8]:
    """The picture in a file, (C, H, W): upright as its EXIF data say, the first one of several, on white where clear.

    Raises DataError, naming the file, where it is missing, damaged, of another format, of more than 67 million pixels
    (4 million where it keeps its size), or of more than 8 bits a channel; `mend` says what to do about a bad file.
    Pillow warns of odd metadata: see `without_warnings`.
    """
    from PIL import ImageOps

    with opened(path, str(path), mend) as picture:
        if form.size is None and picture.width * picture.height > MOST_KEPT_PIXELS:
            raise _unreadable(
                str(path),
                f"at {picture.width} x {picture.height} pixels it is too large for a net",
                "bring all to one size: --size HEIGHTxWIDTH",
            )
        return _array(_fitted(_on_white(ImageOps.exif_transpose(picture)), form), form.channels)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of the picture in a file as it stands upright; raises DataError as `read_picture` does."""
    with opened(path, str(path), REPLACE) as picture:
        lying = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        return (picture.width, picture.height) if lying else (picture.height, picture.width)


@contextmanager
def opened(file: Path | IO[bytes], where: str, mend: str) -> Iterator[Image]:
    """A picture in a file of one of `FORMATS`, its sizes checked and its pixels not yet decoded.

    What Pillow complains about, here and in the block that uses the picture, becomes a DataError with `where` and
    `mend`; so do more than `MOST_PIXELS` pixels and more than 8 bits a channel.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(file, Path) and file.exists() and not file.is_file():
        raise _unreadable(where, "it is no file", "name a file")  # a folder; a pipe, which might wait for ever
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _unreadable(where, f"it has {picture.width} x {picture.height} pixels", "make it smaller")
            if picture.mode.startswith(("I", "F")):
                raise _unreadable(where, "it has more than 8 bits a channel", "save it with 8")
            yield picture
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


def _on_white(picture: Image) -> Image:
    """Grey or RGB, what is clear on white paper."""
    from PIL import Image

    if "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture if picture.mode in ("L", "RGB") else picture.convert("L" if picture.mode == "1" else "RGB")


def _fitted(picture: Image, form: PictureForm) -> Image:
    """The picture at the size that is asked for; shrunk smoothly, every pixel counts."""
    from PIL import Image, ImageOps

    if form.size is None:
        return picture
    size = (form.size[1], form.size[0])
    method = Image.Resampling.BILINEAR
    if form.fit == "crop":
        return ImageOps.fit(picture, size, method)
    if form.fit == "pad":
        return ImageOps.pad(picture, size, method, color="black")
    return picture.resize(size, method)


def _array(picture: Image, channels: int) -> npt.NDArray[np.uint8]:
    array: npt.NDArray[Any] = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
