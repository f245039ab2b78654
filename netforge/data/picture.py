"""Picture files made into arrays, with limits: what cannot be read says why, and never takes the memory first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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


@dataclass(frozen=True)
class PictureForm:
    """What a picture is made into.

    channels: 1 for grey values, 3 for red, green, blue. size: (height, width); None leaves each as it is. fit: where
    the shape differs, "stretch" it, "crop" what is too much on two sides, or "pad" two sides with black.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    fit: Fit = "stretch"


def read_picture(path: Path, form: PictureForm) -> npt.NDArray[np.uint8]:
    """The picture in a file, (C, H, W): upright as its EXIF data say, the first one of several, on white where clear.

    Raises DataError, naming the file, where it is damaged, of another format, of more than 67 million pixels (4 million
    where it keeps its size), or of more than 8 bits a channel. Pillow warns of odd metadata and of large pictures.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as picture:
            _check_pixels(path, picture, form)
            if picture.mode.startswith(("I", "F")):
                raise _unreadable(path, "it has more than 8 bits a channel", "save it with 8")
            upright = ImageOps.exif_transpose(picture)
            return _array(_fitted(_on_white(upright), form), form.channels)
    except UnidentifiedImageError:
        raise _unreadable(path, f"it is none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise _unreadable(path, f"it has more than {MOST_PIXELS:,} pixels", "make it smaller") from None
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, TypeError, KeyError, IndexError) as error:
        # Pillow's decoders raise all of these for damaged files
        raise _unreadable(path, str(error) or type(error).__name__) from error


def _unreadable(path: Path, reason: str, mend: str = "replace it, or leave it out with --skip-unreadable") -> DataError:
    return DataError(f"the picture cannot be read: {reason.rstrip('.')}", where=str(path), mend=mend)


def _check_pixels(path: Path, picture: Image, form: PictureForm) -> None:
    pixels = picture.width * picture.height
    if pixels > MOST_PIXELS:
        raise _unreadable(path, f"it has {picture.width} x {picture.height} pixels", "make it smaller")
    if form.size is None and pixels > MOST_KEPT_PIXELS:
        found = f"at {picture.width} x {picture.height} pixels it is too large for a net"
        raise _unreadable(path, found, "bring all to one size: --size HEIGHTxWIDTH")


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
