"""Contact sheets: images of a source on one picture, to look at, in rows with a name and with captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import ClassIndex, permutation, random_words
from netforge.data.sheets.lettering import Lettering
from netforge.data.source import Indices, Pixels, Source
from netforge.data.store.boxes import Boxes
from netforge.device.random import RandomStream
from netforge.errors import DataError, counted

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

TILE, LARGEST_TILE = 56, 112  # small images are magnified to at least TILE pixels, large ones reduced to LARGEST_TILE
CAPTIONED_TILE, BOXED_TILE = 84, 224  # instead of TILE where there are captions, of both where there are boxes
GAP, MARGIN, HEADER, LARGEST_NAME, NARROWEST = 4, 20, 64, 180, 420
FOLDED_ROWS, FOLDED_WIDTH = 6, 1400  # a folded sheet has at least so many rows, and is about so wide at most
CAPTION_GAP, CAPTION_LINE, LARGEST_CAPTION = 14, 15, 190
PAPER, INK, PALE, ALARM = (255, 255, 255), (24, 28, 36), (120, 126, 138), (192, 44, 28)
BOX_COLOURS = ((255, 214, 10), (64, 224, 255), (255, 105, 97), (120, 255, 120), (255, 140, 255), (255, 170, 60))
MOST_PIXELS = 60_000_000


@dataclass(frozen=True)
class Tile:
    """One image of a sheet. number: in the source. caption: lines below it. alarm: the first line is in red."""

    number: int
    caption: tuple[str, ...] = ()
    alarm: bool = False


@dataclass(frozen=True)
class Row:
    """Tiles beside each other, with a name and a remark in front of them; empty where they need none."""

    tiles: Sequence[Tile]
    name: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Style:
    """How images are shown.

    side: length of the longer side of a tile, in pixels; None for one that suits the images. boxes: of the source's
    images, to be drawn in.
    """

    side: int | None = None
    boxes: Boxes | None = None


PLAIN = Style()


@dataclass(frozen=True)
class Layout:
    """Where things stand on the sheet, in pixels.

    rows, columns: of tiles, in each of the blocks that stand side by side. tile: height and width of one. left: where
    the tiles of the first block begin. caption: width and height of what stands below a tile.
    """

    rows: int
    columns: int
    tile: tuple[int, int]
    left: int
    caption: tuple[int, int] = (0, 0)
    blocks: int = 1

    @property
    def pitch(self) -> int:
        """From the top of one row to the top of the next: room for a tile and for two lines of text."""
        gap = CAPTION_GAP if self.caption[1] else GAP
        return max(self.tile[0] + self.caption[1], 40) + gap

    @property
    def step(self) -> int:
        """From the left of one tile to the left of the next."""
        return max(self.tile[1] + GAP, self.caption[0] + CAPTION_GAP if self.caption[0] else 0)

    @property
    def block(self) -> int:
        """Width of a block, with the margin on its left."""
        return self.left + self.columns * self.step

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        width = self.blocks * self.block - GAP + MARGIN
        return max(width, NARROWEST), HEADER + self.rows * self.pitch + MARGIN

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """x and y of the upper left corner of a tile."""
        block, line = divmod(row, self.rows)
        return block * self.block + self.left + column * self.step, HEADER + line * self.pitch

    def folded(self) -> Layout:
        """The same rows in as many blocks as fit side by side."""
        blocks = max(1, min(self.rows // FOLDED_ROWS, FOLDED_WIDTH // self.block))
        return replace(self, rows=-(-self.rows // blocks), blocks=blocks)


def contact_sheet(
    source: Source,
    *,
    per_class: int = 12,
    seed: int = 0,
    with_ids: bool = False,
    heading: str | None = None,
    style: Style = PLAIN,
) -> Image:
    """A picture with one row for each class: its name, how many images it has, and up to `per_class` of them.

    Which images are shown depends on `seed` alone. Small images are magnified by a whole number without smoothing.
    with_ids: write the id of each image below it. Raises DataError where the picture would be too large.
    """
    classes = ClassIndex(source.labels)
    chosen = chosen_images(classes, per_class, seed)
    names = [source.class_name(label) for label in classes.labels]
    rows = []
    for name, size, numbers in zip(names, classes.sizes.tolist(), chosen, strict=True):
        ids = source.ids(numbers).tolist() if with_ids else []
        captions: list[tuple[str, ...]] = [(f"#{i}",) for i in ids] or [()] * len(numbers)
        tiles = [Tile(number, caption) for number, caption in zip(numbers.tolist(), captions, strict=True)]
        rows.append(Row(tiles, name, counted(size, "image")))
    return draw_sheet(source, rows, summary(source, len(names)), heading=heading, style=style)


def draw_sheet(
    source: Source,
    rows: Sequence[Row],
    remark: str,
    *,
    heading: str | None = None,
    style: Style = PLAIN,
    fold: bool = False,
) -> Image:
    """Rows of images of a source below a heading, which is its name by default, and a remark.

    fold: put short rows side by side, the first ones in the first of several blocks. Raises DataError where the picture
    would be too large.
    """
    from PIL import Image, ImageDraw

    large, small = Lettering(20), Lettering(12)
    layout = _lay_out(source, rows, style.side or (BOXED_TILE if style.boxes else None))
    layout = layout.folded() if fold else layout
    width, height = layout.size
    if width * height > MOST_PIXELS:
        raise DataError(f"the sheet would have {width} x {height} pixels", mend="show fewer images")
    sheet = Image.new("RGB", layout.size, PAPER)
    draw = ImageDraw.Draw(sheet)
    large.write(draw, (MARGIN, 14), fitted(heading or source.name, large, width - 2 * MARGIN), INK)
    small.write(draw, (MARGIN, 40), fitted(remark, small, width - 2 * MARGIN), PALE)
    for number, row in enumerate(rows):
        _draw_name(draw, row, layout, number)
        pixels = source.images.take([tile.number for tile in row.tiles])
        for column, (image, shown) in enumerate(zip(pixels, row.tiles, strict=True)):
            picture = Image.fromarray(tile(image, source, layout.tile))
            if style.boxes is not None:
                _draw_boxes(ImageDraw.Draw(picture), style.boxes, source, shown.number)
            x, y = layout.corner(number, column)
            sheet.paste(picture, (x, y))
            _draw_caption(draw, shown, x, y + layout.tile[0] + 4, layout.step - CAPTION_GAP)
    return sheet


def _lay_out(source: Source, rows: Sequence[Row], side: int | None) -> Layout:
    middle, small = Lettering(16), Lettering(12)
    names = [middle.getlength(fitted(row.name, middle, LARGEST_NAME)) for row in rows]
    remarks = [small.getlength(fitted(row.remark, small, LARGEST_NAME)) for row in rows]
    widest = round(max([0, *names, *remarks]))
    captions = [tile.caption for row in rows for tile in row.tiles if tile.caption]
    lines = max(map(len, captions), default=0)
    longest = max((small.getlength(line) for caption in captions for line in caption), default=0)
    return Layout(
        len(rows),
        max((len(row.tiles) for row in rows), default=0),
        tile_size(source.shape, side or (CAPTIONED_TILE if lines > 1 else TILE), side or LARGEST_TILE),
        MARGIN + (widest + 16 if widest else 0),
        (min(round(longest), LARGEST_CAPTION), 4 + CAPTION_LINE * lines if lines else 0),
    )


def _draw_name(draw: ImageDraw, row: Row, layout: Layout, number: int) -> None:
    middle, small = Lettering(16), Lettering(12)
    x, top = layout.corner(number, 0)
    x += MARGIN - layout.left
    y = top + (layout.tile[0] // 2 if layout.caption[1] else layout.pitch // 2)
    middle.write(draw, (x, y), fitted(row.name, middle, LARGEST_NAME), INK, anchor="ls")
    small.write(draw, (x, y + 15), fitted(row.remark, small, LARGEST_NAME), PALE, anchor="ls")


def _draw_caption(draw: ImageDraw, tile: Tile, x: int, y: int, width: int) -> None:
    small = Lettering(12)
    for number, line in enumerate(tile.caption):
        ink = PALE if number else ALARM if tile.alarm else INK
        small.write(draw, (x, y + number * CAPTION_LINE), fitted(line, small, width), ink)


def _draw_boxes(draw: ImageDraw, boxes: Boxes, source: Source, number: int) -> None:
    """The boxes of an image, those of a class in one colour, with its name where there is room; thin if difficult."""
    width, height = draw.im.size
    small = Lettering(11)
    first, end = np.searchsorted(boxes.image, [number, number + 1]).tolist()
    for k in range(first, end):
        label = int(boxes.label[k])
        colour, name = BOX_COLOURS[label % len(BOX_COLOURS)], source.class_name(label)
        left, top, right, bottom = np.rint(boxes.corners[k] * ([width - 1, height - 1] * 2)).astype(int).tolist()
        draw.rectangle((left, top, right, bottom), outline=colour, width=1 if boxes.difficult[k] else 2)
        text = small.box(draw, (left + 3, top + 1), name)
        if text[2] <= right and text[3] <= bottom:
            draw.rectangle((left, top, text[2] + 2, text[3] + 1), fill=colour)
            small.write(draw, (left + 3, top + 1), name, INK)


def summary(source: Source, classes: int) -> str:
    """The line below the heading."""
    channels, height, width = source.shape
    images, named = counted(source.count, "image"), counted(classes, "class", "classes")
    return f"{images}, {channels}x{height}x{width}, {named}"


def fitted(text: str, font: Lettering, width: float) -> str:
    """The text; where it is wider than `width` pixels its end, marked with dots: names differ there, paths too."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text


def chosen_images(classes: ClassIndex, per_class: int, seed: int) -> list[Indices]:
    """For each class the numbers of images drawn without replacement, in stored order."""
    stream = RandomStream(seed, "contact sheet")
    chosen = []
    for k, (start, size) in enumerate(zip(classes.starts, classes.sizes, strict=True)):
        drawn = permutation(random_words(stream, k, int(size)))[:per_class]
        chosen.append(classes.order[start + np.sort(drawn)])
    return chosen


def draw_image(pixels: npt.NDArray[Any], source: Source) -> Image:
    """One image (C, H, W) of a source, or its mean, in the values of its pixels; small ones are magnified."""
    from PIL import Image

    if pixels.dtype != np.uint8 and pixels.min() >= 0 and 1 < pixels.max() <= 255:
        pixels = np.rint(pixels).astype(np.uint8)
    return Image.fromarray(tile(pixels, source))


def tile_size(shape: tuple[int, int, int], least: int = TILE, most: int = LARGEST_TILE) -> tuple[int, int]:
    """Height and width of the tile for an image of shape (C, H, W); 2 channels, or more than 3, stand side by side.

    least, most: the longer side is magnified by a whole number to at least `least`, or reduced to `most`.
    """
    channels, height, width = shape
    width *= 1 if channels in (1, 3) else channels
    longest = max(height, width)
    if longest <= most:
        factor = -(-least // longest)
        return height * factor, width * factor
    return max(1, height * most // longest), max(1, width * most // longest)


def tile(pixels: Pixels, source: Source, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """An image (C, H, W) as a tile of `tile_size`, (h, w, 3) in RGB; images of floats are stretched to 0..255."""
    from PIL import Image

    height, width = size or tile_size(source.shape)
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
