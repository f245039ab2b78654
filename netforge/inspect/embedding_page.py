"""The map of embeddings as part of a page: zoom and pan, classes to hide, and the image under the pointer."""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.data.sheets.sheet import tile, tile_size
from netforge.data.source import Source
from netforge.inspect.embedding_map import EmbeddingMap
from netforge.inspect.page import Html, asset, card, data_uri, element, facts, json_script, page, swatch
from netforge.inspect.palette import hue, shape
from netforge.inspect.pictures import Picture, near_square, png_bytes, tiled
from netforge.inspect.sample import read_blocks
from netforge.metric.arrays import Integers

LARGEST_THUMBNAIL, SMALLEST_THUMBNAIL = 64, 16
SPRITE_PIXELS = 1_200_000
"""About how large the picture of all thumbnails is: a page of them stays near a megabyte."""

STYLES = asset("embedding_page.css")
"""What a page with `map_view` in it needs as `styles`."""
SCRIPT = asset("embedding_page.js")
"""What a page with `map_view` in it needs among its `scripts`."""


def embedding_page(shown: EmbeddingMap) -> str:
    """A whole page of one map, with the measures beside it."""
    found = shown.embeddings
    note = "Wheel, drag or pinch to zoom and move; a double click shows all. Shift and a click shows one class alone."
    about = [
        ("items", f"{len(found.vectors):,}"),
        ("dimensions", f"{found.vectors.shape[1]:,}"),
        ("map", shown.method),
        *found.rows(),
    ]
    return page(
        "Embeddings",
        card("Map", map_view(shown), note=note, wide=True),
        card("How classes stand apart", facts(shown.rows()), note="By Euclidean distances."),
        card("What is shown", facts(about)),
        subtitle=found.name,
        styles=STYLES,
        scripts=[SCRIPT],
    )


def map_view(shown: EmbeddingMap) -> Html:
    """The map, its legend of buttons and the thumbnails; needs STYLES and SCRIPT in its page."""
    found = shown.embeddings
    kinds = {label: number for number, label in enumerate(found.classes)}
    data: dict[str, Any] = {
        "x": _short(shown.points[:, 0]),
        "y": _short(shown.points[:, 1]),
        "kinds": [kinds[label] for label in found.labels.tolist()],
        "numbers": found.numbers.tolist(),
        "word": "stored item" if found.images is None else "image",
        "classes": [{"name": found.class_name(k), "hue": hue(n), "shape": shape(n)} for k, n in kinds.items()],
        "centroids": [
            {"kind": kinds[label], "x": float(point[0]), "y": float(point[1])}
            for label, point in shown.centroids.items()
        ],
    }
    parts: list[Html] = []
    buttons = [element("button", "Whole map", type="button", class_="plain", data_fit=True)]
    if found.images is not None:
        sheet, data["sprite"] = thumbnails(found.images, found.numbers)
        parts.append(element("img", src=data_uri(png_bytes(sheet)), alt="", class_="sprite"))
        words = {"type": "button", "class_": "plain", "data_pictures": True, "aria_pressed": "false"}
        buttons.append(element("button", "Images as points", **words))
    counts = {label: int((found.labels == label).sum()) for label in kinds}
    buttons += [_class_button(found.class_name(label), n, counts[label]) for label, n in kinds.items()]
    text = f"Map of {len(found.vectors)} embeddings of {len(kinds)} classes"
    canvas = element("canvas", tabindex=0, role="img", aria_label=text)
    return element(
        "div",
        canvas,
        element("div", class_="about"),
        element("div", *buttons, class_="tools"),
        *parts,
        json_script(data),
        class_="map",
        data_map=True,
    )


def _class_button(name: str, number: int, count: int) -> Html:
    sign = (
        swatch(hue(number))
        if shape(number) == "circle"
        else element("span", SIGNS[shape(number)], style=f"color:{hue(number)}")
    )
    text = element("span", f"{count:,}", class_="count")
    return element("button", sign, name, text, type="button", data_kind=number, aria_pressed="true")


SIGNS = {"square": "■", "triangle": "▲", "diamond": "◆", "cross": "✚", "star": "★"}


def _short(values: Any) -> list[float]:
    """Coordinates with as many digits as a screen can show."""
    digits = 5 - int(np.ceil(np.log10(max(float(np.ptp(values)), 1e-30))))
    return [round(value, digits) for value in values.tolist()]


def thumbnails(source: Source, numbers: Integers, *, columns: int | None = None) -> tuple[Picture, dict[str, int]]:
    """Small copies of images `numbers` (n,) in one picture, and where each lies: columns, and width and height of one.

    Number k stands in row k // columns. They are the smaller the more there are. columns: by default so many that the
    picture is about as wide as high.
    """
    side = int(np.sqrt(SPRITE_PIXELS / max(1, len(numbers))))
    side = max(SMALLEST_THUMBNAIL, min(LARGEST_THUMBNAIL, side))
    size = tile_size(source.shape, 1, side)
    small = [tile(image, source, size) for images, _ in read_blocks(source, numbers) for image in images]
    height, width = small[0].shape[:2]
    across = columns or near_square(len(small), height, width)
    return tiled(small, columns=across, gap=0), {"columns": across, "width": width, "height": height}
