"""Contact sheets: every class has its row, and tiles show the pixels of the source."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from PIL import ImageFont

from netforge.data import ArraySource, ImageDatabase, open_source
from netforge.data.sheets import sheet
from netforge.data.sheets.sheet import (
    BOX_COLOURS,
    GAP,
    HEADER,
    MARGIN,
    Layout,
    Style,
    contact_sheet,
    fitted,
    tile,
    tile_size,
)
from netforge.data.sources.image_set import ImageSet
from netforge.errors import DataError
from tests.data.helpers import array_source, fill_database


def solid(values: list[int], labels: list[int], shape: tuple[int, int, int] = (1, 8, 8), **options) -> ArraySource:
    pixels = np.array(values, np.uint8)[:, None, None, None] * np.ones((1, *shape), np.uint8)
    return ArraySource("solid", pixels, labels, **options)


def test_rows_are_classes_and_tiles_are_images() -> None:
    source = solid([50, 51, 52, 90, 91, 200], [0, 0, 0, 1, 1, 7])
    picture = np.asarray(contact_sheet(source, per_class=2))
    assert picture.shape[0] == HEADER + 3 * (56 + GAP) + MARGIN
    shown = []
    for line in picture[HEADER + 28 :: 56 + GAP, :, 0][:3]:
        values, widths = np.unique(line, return_counts=True)
        shown.append(values[(widths == 56) & (values < 255)].tolist())
    assert len(shown[0]) == 2 and shown[1:] == [[90, 91], [200]]


def test_the_seed_chooses_the_images() -> None:
    source = array_source(200, (1, 8, 8), classes=2)
    first, again, other = (contact_sheet(source, seed=seed).tobytes() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 8, 8), (56, 56)),
        ((3, 28, 28), (56, 56)),
        ((1, 28, 14), (56, 28)),
        ((2, 28, 28), (28, 56)),
        ((3, 224, 448), (56, 112)),
    ],
)
def test_tiles_have_the_promised_size(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    source = array_source(1, shape)
    assert tile_size(shape) == size
    assert tile(source.images[0], source).shape == (*size, 3)


def test_colours_are_shown_in_their_order() -> None:
    pixels = np.array([10, 20, 30], np.uint8).reshape(1, 3, 1, 1)
    for order, expected in (("RGB", [10, 20, 30]), ("BGR", [30, 20, 10])):
        source = ArraySource("x", pixels, [0], color_order=order)
        assert tile(source.images[0], source)[0, 0].tolist() == expected


def test_floats_are_stretched() -> None:
    source = ArraySource("x", np.array([-1.0, 0.0, 1.0], np.float32).reshape(1, 1, 1, 3), [0])
    shown = tile(source.images[0], source)
    assert shown.min() == 0 and shown.max() == 255


def test_ids_are_those_of_queries_and_captions_make_room() -> None:
    pixels = np.zeros((9, 1, 8, 8), np.uint8)
    source = ArraySource("x", pixels, [0, 0, 1], rows=np.array([2, 5, 8]))
    plain, captioned = contact_sheet(source), contact_sheet(source, with_ids=True)
    assert captioned.height > plain.height and captioned.width == plain.width
    assert source.ids(np.array([0, 2])).tolist() == [2, 8]
    both = ImageSet([source, ArraySource("y", pixels, np.zeros(9))])
    assert both[np.array([1, 3, 11])].ids(np.arange(3)).tolist() == [5, 0, 8]


@pytest.mark.parametrize(("shape", "side", "size"), [((1, 8, 8), 100, 104), ((1, 300, 300), 90, 90)])
def test_the_side_of_a_tile_can_be_chosen(shape: tuple[int, int, int], side: int, size: int) -> None:
    source = solid([50], [0], shape)
    shown = np.asarray(contact_sheet(source, style=Style(side)))
    assert (shown[:, :, 0] == 50).sum() == size * size


def test_boxes_are_drawn_where_they_are() -> None:
    fill_database("boxed", solid([50, 60], [0, 1], (1, 20, 40)))
    with sqlite3.connect(ImageDatabase().path) as connection:
        connection.execute("INSERT INTO boxes VALUES (1, 1, 0, 1, 0.25, 0, 0.75, 0.5, 0)")
    connection.close()
    source = open_source(None, "boxed")
    with ImageDatabase() as database:
        boxes = database.boxes("boxed")
    shown = np.asarray(contact_sheet(source, style=Style(boxes=boxes)))
    rows, columns = np.nonzero((shown == BOX_COLOURS[1]).all(2))
    tile_rows, tile_columns = np.nonzero((shown == 60).all(2))
    left, top = tile_columns.min(), tile_rows.min()
    assert (columns.min() - left, columns.max() - left) == (60, 179)  # of 240 pixels
    assert (rows.min() - top, rows.max() - top) == (0, 60)  # of 120


def test_short_rows_are_put_side_by_side() -> None:
    layout = Layout(13, 2, (84, 84), 100).folded()
    assert (layout.rows, layout.blocks) == (7, 2)
    assert layout.corner(7, 0) == (layout.block + 100, HEADER) and layout.corner(6, 1) == (188, HEADER + 6 * 88)
    assert Layout(13, 20, (84, 84), 100).folded().blocks == 1


def test_long_names_keep_their_end() -> None:
    font = ImageFont.load_default(16)
    assert fitted("short", font, 200) == "short"
    text = fitted("a very long path that ends in/train_lmdb", font, 120)
    assert text.startswith("...") and text.endswith("train_lmdb") and font.getlength(text) <= 120


def test_a_sheet_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MOST_PIXELS", 1000)
    with pytest.raises(DataError, match=r"the sheet would have .* pixels\. Show fewer"):
        raise_shown(solid([1], [0]))


def raise_shown(source: ArraySource) -> None:
    """Raise the error again under its full text, which is what `match` sees."""
    try:
        contact_sheet(source)
    except DataError as error:
        raise DataError(str(error)) from error
