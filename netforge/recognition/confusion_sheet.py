"""What was taken for what, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netforge.data.sheets.lettering import Lettering
from netforge.data.sheets.sheet import INK, MARGIN, PALE, PAPER, fitted
from netforge.errors import DataError, counted
from netforge.metric.arrays import Floats
from netforge.recognition.outcome import Outcome

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST_CELL, SMALLEST_CELL, WIDEST_GRID = 44, 2, 1400  # pixels
SMALLEST_WITH_COUNT, SMALLEST_WITH_NAME = 26, 12
LONGEST_NAME, HEADER, BAR = 150, 72, 76
RIGHT, WRONG, LINE = (24, 92, 164), (204, 72, 28), (228, 231, 236)
MOST_PIXELS = 60_000_000


def draw_confusion(outcome: Outcome, title: str) -> Image:
    """A table with a row for each class and a column for each answer.

    A cell is the darker the larger its share of the row; answers that are right are blue, others orange. Beside each
    row stands the class's accuracy. Counts and names are written where there is room. Raises DataError where there are
    too many classes for a picture.
    """
    from PIL import Image, ImageDraw

    sheet = _Sheet(outcome)
    width, height = sheet.size(title)
    if width * height > MOST_PIXELS:
        raise DataError(f"the picture would have {width} x {height} pixels", mend="test fewer classes")
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    large, small = Lettering(20), Lettering(13)
    large.write(draw, (MARGIN, 14), fitted(title, large, width - 2 * MARGIN), INK)
    total, right = len(outcome.right), int(outcome.right.sum())
    head = f"{right / total:.2%} of {counted(total, 'image')} right, {total - right:,} wrong"
    small.write(draw, (MARGIN, 42), fitted(head, small, width - 2 * MARGIN), PALE)
    sheet.draw_cells(image)
    sheet.draw_counts(draw)
    sheet.draw_names(image, draw)
    sheet.draw_accuracies(draw)
    return image


class _Sheet:
    """Where things stand, and how each of them is drawn."""

    def __init__(self, outcome: Outcome) -> None:
        self.table = table = outcome.confusion
        self.hit, self.accuracies = outcome.right_cells, outcome.class_accuracies
        rows, columns = table.counts.shape
        self.cell = max(SMALLEST_CELL, min(LARGEST_CELL, WIDEST_GRID // max(rows, columns)))
        self.font = Lettering(max(10, min(15, self.cell - 2)))
        self.named = self.cell >= SMALLEST_WITH_NAME
        self.row_names, self.column_names = (
            [fitted(outcome.class_name(label), self.font, LONGEST_NAME) for label in labels.tolist() if self.named]
            for labels in (table.labels, table.predicted)
        )
        widest = max((self.font.getlength(name) for name in self.column_names), default=0)
        self.left = MARGIN + 24 + round(max((self.font.getlength(name) for name in self.row_names), default=0)) + 10
        self.top = HEADER + 24 + (22 if widest <= self.cell - 4 else round(widest) + 10)
        self.shares: Floats = table.counts / table.totals[:, None]

    def size(self, title: str) -> tuple[int, int]:
        """Width and height of the picture."""
        rows, columns = self.table.counts.shape
        width = self.left + columns * self.cell + 12 + BAR + MARGIN
        return max(
            width, min(round(Lettering(20).getlength(title)) + 2 * MARGIN, 900)
        ), self.top + rows * self.cell + MARGIN

    def draw_cells(self, image: Image) -> None:
        """The colours: white for none, and a share of 1 % can be seen already."""
        from PIL import Image as Images

        strength = np.sqrt(self.shares)[..., None]
        colour = np.where(self.hit[..., None], np.array(RIGHT), np.array(WRONG))
        pixels = np.rint(255 - (255 - colour) * strength).astype(np.uint8)
        pixels = pixels.repeat(self.cell, axis=0).repeat(self.cell, axis=1)
        if self.cell >= 6:
            pixels[:: self.cell] = pixels[:, :: self.cell] = pixels[-1] = pixels[:, -1] = LINE
        image.paste(Images.fromarray(pixels), (self.left, self.top))

    def draw_counts(self, draw) -> None:  # type: ignore[no-untyped-def]
        """The number in each cell that is not zero."""
        if self.cell < SMALLEST_WITH_COUNT:
            return
        for i, j in np.argwhere(self.table.counts):
            text = str(self.table.counts[i, j])
            size = next((s for s in (14, 12, 10, 9) if Lettering(s).getlength(text) <= self.cell - 4), None)
            if size is not None:
                x, y = self.left + (j + 0.5) * self.cell, self.top + (i + 0.5) * self.cell
                ink = PAPER if self.shares[i, j] > 0.3 else INK
                Lettering(size).write(draw, (x, y), text, ink, anchor="mm")

    def draw_names(self, image: Image, draw) -> None:  # type: ignore[no-untyped-def]
        """Names of classes on the left and on top, and what rows and columns are."""
        from PIL import Image as Images
        from PIL import ImageDraw

        rows, columns = self.table.counts.shape
        for i, name in enumerate(self.row_names):
            self.font.write(draw, (self.left - 8, self.top + (i + 0.5) * self.cell), name, INK, anchor="rm")
        for j, name in enumerate(self.column_names):
            x = self.left + (j + 0.5) * self.cell
            if self.font.getlength(name) <= self.cell - 4:
                self.font.write(draw, (x, self.top - 8), name, INK, anchor="mb")
                continue
            strip = Images.new("RGB", (LONGEST_NAME + 4, self.cell), PAPER)
            self.font.write(ImageDraw.Draw(strip), (0, self.cell / 2), name, INK, anchor="lm")
            turned = strip.crop((0, 0, round(self.font.getlength(name)) + 2, self.cell)).rotate(90, expand=True)
            image.paste(turned, (round(x - self.cell / 2), self.top - 6 - turned.height))
        small = Lettering(12)
        small.write(draw, (self.left + columns * self.cell / 2, HEADER + 10), "taken for", PALE, anchor="mm")
        label = Images.new("RGB", (40, 18), PAPER)
        small.write(ImageDraw.Draw(label), (20, 9), "class", PALE, anchor="mm")
        image.paste(label.rotate(90, expand=True), (MARGIN - 4, round(self.top + rows * self.cell / 2 - 20)))

    def draw_accuracies(self, draw) -> None:  # type: ignore[no-untyped-def]
        """The share of right answers beside each row."""
        x = self.left + self.table.counts.shape[1] * self.cell + 12
        if not self.named:
            return
        Lettering(12).write(draw, (x, HEADER + 10), "right", PALE, anchor="lm")
        for i, share in enumerate(self.accuracies):
            y = self.top + (i + 0.5) * self.cell
            self.font.write(draw, (x, y), f"{share:.1%}", INK, anchor="lm")
