"""Drawings: SVG text that any reader takes, pictures with the same things at the same places."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from netforge.errors import DataError
from netforge.inspect.canvas import Box, Curve, Drawing, Group, Text, fitted, straight, text_width, with_head
from netforge.inspect.canvas_png import to_image
from netforge.inspect.canvas_svg import to_svg

PAINTS = {"paper": ("#ffffff", "#000000"), "ink": ("#102030", "#e0e0e0"), "red": ("#ff0000", "#ff0000")}
SVG = "{http://www.w3.org/2000/svg}"
RUDE = "<b>&\"'</svg>\x00\x1b]]>\ud800é漢"


def drawing(*shapes: Box | Text | Curve | Group, width: float = 60, height: float = 40) -> Drawing:
    return Drawing(width, height, "title", shapes, PAINTS)


def is_red(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    pixels = np.asarray(image)
    return (pixels[..., 0] > 200) & (pixels[..., 1] < 60)


@pytest.mark.parametrize("embedded", [False, True])
def test_svg_is_well_formed_whatever_the_text(embedded: bool) -> None:
    text = Text(5, 20, RUDE, 12, "ink", bold=True)
    svg = to_svg(Drawing(60, 40, RUDE, (Group(RUDE, RUDE, (text,)), text), PAINTS), embedded=embedded)
    root = ElementTree.fromstring(svg)
    shown = RUDE.replace("\x00", " ").replace("\x1b", " ").replace("\ud800", " ")
    assert [found.text for found in root.iter(f"{SVG}text")] == [shown] * 2
    group = root.find(f"{SVG}g")
    assert group is not None and group.get("data-key") == shown
    assert [found.text for found in root.iter(f"{SVG}title")] == [shown] * 2
    assert svg.count("<b>") == 0


def test_colours_have_a_form_for_dark_paper_and_one_without_css() -> None:
    svg = to_svg(drawing(Box(1, 2, 3, 4, fill="red", line="ink")))
    assert 'fill="#ff0000" stroke="#102030"' in svg
    assert "@media (prefers-color-scheme:dark){svg.drawing{--d-ink:#e0e0e0;" in svg
    inside = to_svg(drawing(Box(1, 2, 3, 4, fill="red")), embedded=True)
    assert "--d-ink:light-dark(#102030,#e0e0e0)" in inside and "prefers-color-scheme" not in inside


def test_text_is_as_wide_in_a_picture_as_svg_is_told() -> None:
    text = Text(80, 25, "Convolution 5x5", 12, "red", anchor="middle")
    width = float(next(ElementTree.fromstring(to_svg(drawing(text))).iter(f"{SVG}text")).get("textLength", "0"))
    assert width == pytest.approx(text_width(text.text, 12), abs=0.01)
    columns = np.nonzero((np.asarray(to_image(drawing(text, width=160), scale=4))[..., 1] < 150).any(0))[0]
    drawn = (columns.max() - columns.min()) / 4
    assert drawn == pytest.approx(width, abs=2.5)
    assert text_width("wide", 12, bold=True) > text_width("wide", 12)
    assert text_width("漢漢", 12) > 1.8 * text_width("éé", 12)


def test_text_that_is_too_long_keeps_both_ends() -> None:
    short = fitted("a_very_long_name_of_a_layer_42", 12, 90)
    assert text_width(short, 12) <= 90
    assert short.startswith("a_v") and short.endswith("42") and "…" in short
    assert fitted("short", 12, 90) == "short"
    assert fitted("anything", 12, 1) == "…"


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_boxes_stand_where_they_should(scale: float) -> None:
    image = to_image(drawing(Box(10, 5, 30, 20, fill="red", radius=0)), scale=scale)
    assert image.size == (round(60 * scale), round(40 * scale))
    rows, columns = np.nonzero(is_red(image))
    ends = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert [end / scale for end in ends] == [5, 25, 10, 40]


def test_a_picture_is_the_same_across_the_borders_of_its_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = (
        Box(5, 5, 40, 90, fill="paper", line="red"),
        Text(10, 52, "in the middle", 12, "ink"),
        Group("g", "", (Curve(straight((50, 5), (50, 95)), "red", arrow=True, dashed=True),)),
    )
    whole = np.asarray(to_image(drawing(*shapes, height=100), scale=1))
    monkeypatch.setattr("netforge.inspect.canvas_png.BAND", 16)
    assert np.array_equal(np.asarray(to_image(drawing(*shapes, height=100), scale=1)), whole)


def test_dashes_leave_gaps_and_dark_paper_is_dark() -> None:
    image = to_image(drawing(Curve(straight((5, 20), (55, 20)), "red", stroke=2, dashed=True)), scale=2, dark=True)
    row = is_red(image)[40, 10:110]
    assert 0.4 < row.mean() < 0.7
    assert np.asarray(image)[0, 0].tolist() == [0, 0, 0]


def test_arrow_heads_end_at_the_last_point() -> None:
    curve = Curve(((0, 0), (0, 10), (10, 10), (10, 30)), "ink", arrow=True)
    points, head = with_head(curve)
    assert head[0] == (10, 30)
    assert points[-1][1] < 30 and all(y < 30 for _, y in head[1:])
    assert with_head(Curve(((1, 1),) * 4, "ink", arrow=True))[1] == ()


def test_a_picture_that_nobody_can_open_is_refused() -> None:
    with pytest.raises(DataError, match=r"200,000 x 20,000 pixels.*scale below"):
        to_image(drawing(width=100_000, height=10_000), scale=2)
