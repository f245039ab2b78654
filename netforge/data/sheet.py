"""Contact sheets: some images of every class of a source on one picture, to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import ClassIndex, permutation, random_words
from netforge.data.source import Source
from netforge.device.random import RandomStream
from netforge.errors import DataError, counted

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image

TILE, LARGEST_TILE = 56, 112  # small images are magnified to at least TILE pixels, large ones reduced to LARGEST_TILE
GAP, MARGIN, HEADER, LARGEST_NAME, NARROWEST = 4, 20, 64, 180, 420
PAPER, INK, PALE = (255, 255, 255), (24, 28, 36), (120, 126, 138)
MOST_PIXELS = 60_000_000


@dataclass(frozen=True)
class Layout:
    """Where things stand on the sheet, in pixels.

    rows, columns: of tiles. tile: height and width of one. left: where the tiles begin.
    """

    rows: int
    columns: int
    tile: tuple[int, int]
    left: int

    @property
    def pitch(self) -> int:
        """From the top of one row to the top of the next: room for a tile and for two lines of text."""
        return max(self.tile[0], 40) + GAP

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        width = self.left + self.columns * (self.tile[1] + GAP) - GAP + MARGIN
        return max(width, NARROWEST), HEADER + self.rows * self.pitch + MARGIN

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """x and y of the upper left corner of a tile."""
        return self.left + column * (self.tile[1] + GAP), HEADER + row * self.pitch


def contact_sheet(source: Source, *, per_class: int = 12, seed: int = 0) -> Image:
    """A picture with one row for each class: its name, how many images it has, and up to `per_class` of them.

    Which images are shown depends on `seed` alone. Small images are magnified by a whole number without smoothing.
    Raises DataError where the picture would be too large.
    """
    from PIL import Image, ImageDraw, ImageFont

    heading, middle, small = (ImageFont.load_default(size) for size in (20, 16, 12))
    classes = ClassIndex(source.labels)
    names = [fitted(source.class_name(label), middle, LARGEST_NAME) for label in classes.labels]
    counts = [counted(int(size), "image") for size in classes.sizes]
    widest = max(*(middle.getlength(name) for name in names), *(small.getlength(count) for count in counts))
    columns = min(per_class, int(classes.sizes.max()))
    layout = Layout(len(names), columns, tile_size(source.shape), MARGIN + round(widest) + 16)
    width, height = layout.size
    if width * height > MOST_PIXELS:
        raise DataError(f"the sheet would have {width} x {height} pixels", mend="show fewer images per class")
    sheet = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 14), fitted(source.name, heading, width - 2 * MARGIN), INK, font=heading)
    draw.text((MARGIN, 40), summary(source, len(names)), PALE, font=small)
    for row, images in enumerate(chosen_images(source, classes, per_class, seed)):
        y = layout.corner(row, 0)[1] + layout.pitch // 2
        draw.text((MARGIN, y), names[row], INK, font=middle, anchor="ls")
        draw.text((MARGIN, y + 15), counts[row], PALE, font=small, anchor="ls")
        for column, pixels in enumerate(images):
            sheet.paste(Image.fromarray(tile(pixels, source)), layout.corner(row, column))
    return sheet


def summary(source: Source, classes: int) -> str:
    """The line below the heading."""
    channels, height, width = source.shape
    images, named = counted(source.count, "image"), counted(classes, "class", "classes")
    return f"{images}, {channels}x{height}x{width}, {named}"


def fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text; where it is wider than `width` pixels its end, marked with dots: names differ there, paths too."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text


def chosen_images(source: Source, classes: ClassIndex, per_class: int, seed: int) -> list[npt.NDArray[Any]]:
    """For each class an array (n, C, H, W) of images drawn without replacement."""
    stream = RandomStream(seed, "contact sheet")
    rows = []
    for k, (start, size) in enumerate(zip(classes.starts, classes.sizes, strict=True)):
        drawn = permutation(random_words(stream, k, int(size)))[:per_class]
        rows.append(source.images.take(classes.order[start + np.sort(drawn)]))
    return rows


def draw_image(pixels: npt.NDArray[Any], source: Source) -> Image:
    """One image (C, H, W) of a source, or its mean, in the values of its pixels; small ones are magnified."""
    from PIL import Image

    if pixels.dtype != np.uint8 and pixels.min() >= 0 and 1 < pixels.max() <= 255:
        pixels = np.rint(pixels).astype(np.uint8)
    return Image.fromarray(tile(pixels, source))


def tile_size(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the tile for an image of shape (C, H, W); 2 channels, or more than 3, stand side by side."""
    channels, height, width = shape
    width *= 1 if channels in (1, 3) else channels
    longest = max(height, width)
    if longest <= LARGEST_TILE:
        factor = -(-TILE // longest)
        return height * factor, width * factor
    return max(1, height * LARGEST_TILE // longest), max(1, width * LARGEST_TILE // longest)


def tile(pixels: npt.NDArray[Any], source: Source) -> npt.NDArray[np.uint8]:
    """An image (C, H, W) as a tile of `tile_size`, (h, w, 3) in RGB; images of floats are stretched to 0..255."""
    from PIL import Image

    height, width = tile_size(source.shape)
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / (high - low or 1))).astype(np.uint8)
    if len(pixels) == 3:
        planes = pixels if source.color_order == "RGB" else pixels[::-1]
    else:
        row = np.concatenate(list(pixels), axis=1)
        planes = np.broadcast_to(row, (3, *row.shape))
    rgb = np.ascontiguousarray(planes.transpose(1, 2, 0))
    if height >= rgb.shape[0]:
        factor = height // rgb.shape[0]
        return rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))
