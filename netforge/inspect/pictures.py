"""Arrays as pictures: grey and colour planes, heat maps around zero, tiles in a grid, and PNG bytes.

A picture is an array (height, width, 3) of uint8 in RGB.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.data.sheets.lettering import Lettering
from netforge.data.sheets.sheet import INK, MARGIN, PAPER, fitted
from netforge.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

MOST_PIXELS = 40_000_000
GAP_COLOUR = (84, 106, 150)  # told apart from every grey
NO_NUMBER = (255, 0, 255)  # NaN and infinity: a colour that none of the scales has
NEGATIVE, ZERO, POSITIVE = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # ColorBrewer's RdBu, its ends and middle


def grey(plane: Array, low: float | None = None, high: float | None = None) -> Picture:
    """A plane (H, W) from black at `low` to white at `high`, by default its smallest and its largest value.

    A plane of one value is middle grey where no range is given; NaN and infinity stand out in magenta.
    """
    scaled, finite = _scaled(plane, low, high)
    return _marked(np.repeat(_as_bytes(scaled)[..., None], 3, axis=2), finite)


def colour(planes: Array, order: str = "RGB") -> Picture:
    """Three planes (3, H, W) as one picture, stretched together from the smallest to the largest value.

    order: which colours the planes are, "RGB" or "BGR".
    """
    scaled, finite = _scaled(planes if order == "RGB" else planes[::-1], None, None)
    return _marked(_as_bytes(scaled).transpose(1, 2, 0), np.asarray(finite.all(axis=0)))


def diverging(matrix: Array, limit: float | None = None) -> Picture:
    """A matrix (H, W) from blue at -limit over near white at 0 to red at limit, by default its largest magnitude."""
    finite = np.isfinite(matrix)
    values = np.where(finite, matrix, 0).astype(np.float64)
    extent = float(np.abs(values).max(initial=0)) if limit is None else limit
    share = np.clip(values / (extent or 1), -1, 1)[..., None]
    ends = np.where(share < 0, np.array(NEGATIVE), np.array(POSITIVE))
    return _marked(_as_bytes((np.array(ZERO) + np.abs(share) * (ends - np.array(ZERO))) / 255), finite)


def finite_range(values: Array) -> tuple[float, float]:
    """The smallest and the largest of finite values (any shape, NaN and infinity left out); 0 and 0 without any."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def _scaled(values: Array, low: float | None, high: float | None) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Values within 0 .. 1, and which of them are finite."""
    finite = np.isfinite(values)
    smallest, largest = finite_range(values)
    least, most = smallest if low is None else low, largest if high is None else high
    if most <= least:
        return np.full(values.shape, 0.5), finite
    wide = np.where(finite, values, least).astype(np.float64)
    return np.clip((wide - least) / (most - least), 0, 1), finite


def _as_bytes(scaled: Array) -> Picture:
    rounded: Picture = np.rint(scaled * 255).astype(np.uint8)
    return rounded


def _marked(picture: Picture, finite: npt.NDArray[np.bool_]) -> Picture:
    if finite.all():
        return np.ascontiguousarray(picture)
    marked: Picture = np.where(finite[..., None], picture, np.array(NO_NUMBER, np.uint8))
    return marked


def tiled(pictures: Sequence[Picture], *, columns: int | None = None, gap: int = 1) -> Picture:
    """Pictures of one size in rows from left to right, `gap` pixels apart and around; by default about as wide as high.

    Raises DataError where there is none, or where the result would be too large.
    """
    if not pictures:
        raise DataError("there is no picture to show")
    height, width = pictures[0].shape[:2]
    across = columns or near_square(len(pictures), height, width)
    down = -(-len(pictures) // across)
    size = (down * (height + gap) + gap, across * (width + gap) + gap)
    check_pixels(*size)
    sheet: Picture = np.empty((*size, 3), np.uint8)
    sheet[...] = GAP_COLOUR
    for number, picture in enumerate(pictures):
        row, column = divmod(number, across)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def near_square(count: int, height: int, width: int) -> int:
    """How many columns make `count` tiles of this size about as wide as they are high together."""
    return max(1, min(count, round(math.sqrt(count * height / width))))


def check_pixels(height: int, width: int) -> None:
    """Raise DataError for a picture that nobody can look at."""
    if height * width > MOST_PIXELS:
        raise DataError(f"the picture would have {width} x {height} pixels", mend="show fewer, or one layer")


def magnified(picture: Picture, least: int) -> Picture:
    """The picture with whole pixels repeated so that its longer side is at least `least`, never reduced."""
    factor = max(1, -(-least // max(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def png_bytes(picture: Picture) -> bytes:
    """The picture as a PNG file; of one channel where all of it is grey."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    if (picture[..., 0] == picture[..., 1]).all() and (picture[..., 1] == picture[..., 2]).all():
        image = image.convert("L")
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def reduced(matrix: Array, most: int) -> Array:
    """A matrix (H, W) with at most `most` rows and columns: of each block the value of the largest magnitude stays."""
    for axis in (0, 1):
        size = matrix.shape[axis]
        step = -(-size // most)
        if step > 1:
            starts = np.arange(0, size, step)
            high = np.maximum.reduceat(matrix, starts, axis=axis)
            low = np.minimum.reduceat(matrix, starts, axis=axis)
            matrix = np.where(np.abs(low) > np.abs(high), low, high)
    return matrix


def vector_bars(values: Array, height: int = 96) -> Picture:
    """A vector (D,) as upright bars from zero, red above and blue below, each scaled by the largest magnitude.

    Vectors of more than 1,024 values are reduced like matrices.
    """
    row = reduced(np.asarray(values, np.float64)[None], 1024)[0]
    finite = np.isfinite(row)
    known = np.where(finite, row, 0)
    extent = float(np.abs(known).max(initial=0)) or 1.0
    width = max(1, min(24, 720 // max(1, len(row))))
    gap = 1 if width > 3 else 0
    sheet: Picture = np.full((height, len(row) * width + gap, 3), ZERO, np.uint8)
    low = min(0.0, float(known.min(initial=0)) / extent)
    high = max(0.0, float(known.max(initial=0)) / extent)
    zero = round((height - 1) * high / ((high - low) or 1))
    for number, share in enumerate((known / extent).tolist()):
        end = round((height - 1) * (high - share) / ((high - low) or 1))
        top, bottom = min(zero, end), max(zero, end) + 1
        left = gap + number * width
        if finite[number]:
            sheet[top:bottom, left : left + width - gap] = POSITIVE if share >= 0 else NEGATIVE
        else:
            sheet[:, left : left + width - gap] = NO_NUMBER
    sheet[zero] = GAP_COLOUR
    return sheet


def captioned(parts: Sequence[tuple[str, Picture]], heading: str) -> Image:
    """Pictures under one another, each with a line of text above it. Raises DataError where it would be too large."""
    from PIL import Image, ImageDraw

    large, small = Lettering(20), Lettering(13)
    widths = [picture.shape[1] for _, picture in parts]
    texts = [round(small.getlength(text)) for text, _ in parts]
    width = 2 * MARGIN + max([320, round(large.getlength(heading)), *widths, *texts])
    height = 52 + sum(picture.shape[0] + 40 for _, picture in parts)
    check_pixels(height, width)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large.write(draw, (MARGIN, 14), fitted(heading, large, width - 2 * MARGIN), INK)
    y = 52
    for text, picture in parts:
        small.write(draw, (MARGIN, y), text, INK)
        sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (MARGIN, y + 20))
        y += picture.shape[0] + 40
    return sheet
