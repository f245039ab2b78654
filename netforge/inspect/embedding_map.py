"""Embeddings on a map of two dimensions, with measures of how classes stand apart, and the map as a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netforge.data.sheets.lettering import Lettering
from netforge.data.sheets.sheet import INK, MARGIN, PALE, PAPER, fitted, tile, tile_size
from netforge.inspect.embeddings import Embeddings, project
from netforge.inspect.palette import hue, rgb, shape
from netforge.inspect.sample import read_blocks
from netforge.metric import Clusters, clusters
from netforge.metric.arrays import Floats

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, HEIGHT, HEADER, LEGEND = 960, 860, 84, 230  # pixels: the map, what stands above it and beside it
SMOOTH = 2  # drawn so many times larger and then reduced
RADIUS, CENTROID_RADIUS = 4.5, 10.0
THUMBNAIL = 26
MOST_IN_LEGEND, LINE = 36, 22
CORNERS: dict[str, list[tuple[float, float]]] = {  # of signs, in units of the radius
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1.25), (1.15, 0.9), (-1.15, 0.9)],
    "diamond": [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
    "star": [
        (size * math.sin(turn * math.pi / 5), -size * math.cos(turn * math.pi / 5))
        for turn, size in enumerate([1.5, 0.68] * 5)
    ],
}


@dataclass(frozen=True)
class EmbeddingMap:
    """Embeddings and where they lie on the map.

    points: (n, 2). centroids: label to its point (2,), of the classes that occur. method: how the map was made, in
    words. measures: by the embeddings; map_measures: by the points of the map; None where there is one class only.
    """

    embeddings: Embeddings
    points: Floats
    centroids: dict[int, Floats]
    method: str
    measures: Clusters | None
    map_measures: Clusters | None

    def rows(self) -> list[tuple[str, str]]:
        """What was measured, name and value."""
        if self.measures is None or self.map_measures is None:
            return [("classes", "one only: nothing can stand apart")]
        found, shown = self.measures, self.map_measures
        ratio = f" ({found.between / found.within:.2f} times as far)" if found.within > 0 else ""
        within = "-" if np.isnan(found.within) else f"{found.within:.4g}"
        return [
            ("silhouette", f"{found.silhouette:.3f}"),
            ("silhouette on the map", f"{shown.silhouette:.3f}"),
            ("nearest neighbour right", f"{100 * found.neighbour_accuracy:.2f} %"),
            ("mean distance in a class", within),
            ("mean distance between classes", f"{found.between:.4g}{ratio}"),
        ]


def make_map(
    embeddings: Embeddings,
    method: str = "tsne",
    *,
    perplexity: float = 30.0,
    iterations: int = 1000,
    seed: int = 0,
) -> EmbeddingMap:
    """Lay embeddings out on a map and measure their classes; centroids take part in the layout, not in the measures.

    method and the settings of t-SNE as for `project`, which says what is raised.
    """
    present = [label for label in embeddings.classes if label in embeddings.centroids]
    together = np.concatenate([embeddings.vectors, *(embeddings.centroids[label][None] for label in present)])
    layout = project(together, method, perplexity=perplexity, iterations=iterations, seed=seed)
    points = layout[: len(embeddings.vectors)]
    several = len(embeddings.classes) > 1
    words = {
        "tsne": f"t-SNE, perplexity {perplexity:g}, {iterations} iterations, seed {seed}",
        "pca": "the two principal components",
        "none": "the two dimensions of the embedding",
    }
    return EmbeddingMap(
        embeddings,
        points,
        dict(zip(present, layout[len(points) :], strict=True)),
        words[method],
        clusters(embeddings.vectors, embeddings.labels) if several else None,
        clusters(points, embeddings.labels) if several else None,
    )


def draw_map(shown: EmbeddingMap, *, thumbnails: bool = False) -> Image:
    """The map as a picture with a legend; `thumbnails` shows the images themselves, in a frame of the class's colour.

    Classes have a colour, and from the eleventh on another shape; rings with a dot are centroids.
    """
    from PIL import Image, ImageDraw

    plot = Image.new("RGB", (WIDTH * SMOOTH, HEIGHT * SMOOTH), PAPER)
    draw = ImageDraw.Draw(plot)
    place = _placement(shown)
    places = place(shown.points) * SMOOTH
    order = {label: number for number, label in enumerate(shown.embeddings.classes)}
    thumbnails = thumbnails and shown.embeddings.images is not None
    if not thumbnails:
        for (x, y), label in zip(places.tolist(), shown.embeddings.labels.tolist(), strict=True):
            mark(draw, x, y, RADIUS * SMOOTH, order[label])
    for label, point in shown.centroids.items() if not thumbnails else ():
        x, y = (place(point[None])[0] * SMOOTH).tolist()
        _draw_centroid(draw, x, y, order[label])
    sheet = Image.new("RGB", (WIDTH + LEGEND, HEADER + HEIGHT), PAPER)
    sheet.paste(plot.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), (0, HEADER))
    if thumbnails:
        _paste_thumbnails(sheet, shown, place(shown.points), order)
    _draw_texts(sheet, shown, order, with_centroids=bool(shown.centroids) and not thumbnails)
    return sheet


def _placement(shown: EmbeddingMap) -> Any:
    """A function from points of the map to pixels, of one scale for both axes."""
    everything = np.concatenate([shown.points, *(point[None] for point in shown.centroids.values())])
    low, high = everything.min(axis=0), everything.max(axis=0)
    room = np.array([WIDTH, HEIGHT]) - 2 * (MARGIN + THUMBNAIL / 2)
    scale = float((room / np.maximum(high - low, 1e-12)).min())

    def place(points: Floats) -> Floats:
        centred = (points - (low + high) / 2) * scale * np.array([1, -1])
        moved: Floats = centred + np.array([WIDTH, HEIGHT]) / 2
        return moved

    return place


def mark(draw: Any, x: float, y: float, radius: float, number: int) -> None:
    """Draw the sign of class `number` at x, y: its colour, and its shape among those that share the colour."""
    fill, r = rgb(hue(number)), radius
    kind = shape(number)
    if kind == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif kind == "cross":
        for turn in (1, -1):
            draw.line((x - r, y - turn * r, x + r, y + turn * r), fill=fill, width=max(1, round(r * 0.7)))
    else:
        draw.polygon([(x + r * 0.9 * dx, y + r * 0.9 * dy) for dx, dy in CORNERS[kind]], fill=fill)


def _draw_centroid(draw: Any, x: float, y: float, number: int) -> None:
    for radius, colour in ((CENTROID_RADIUS + 1.5, PAPER), (CENTROID_RADIUS, INK), (CENTROID_RADIUS - 2, PAPER)):
        r = radius * SMOOTH
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    mark(draw, x, y, (CENTROID_RADIUS - 5) * SMOOTH, number)


def _paste_thumbnails(sheet: Image, shown: EmbeddingMap, places: Floats, order: dict[int, int]) -> None:
    """The images in their places."""
    from PIL import Image, ImageOps

    source = shown.embeddings.images
    assert source is not None
    size = tile_size(source.shape, THUMBNAIL, THUMBNAIL)
    pixels = (image for images, _ in read_blocks(source, shown.embeddings.numbers) for image in images)
    for image, (x, y), label in zip(pixels, places.tolist(), shown.embeddings.labels.tolist(), strict=True):
        small = Image.fromarray(tile(image, source, size)).resize(_within(size, THUMBNAIL), Image.Resampling.LANCZOS)
        framed = ImageOps.expand(small, 2, fill=rgb(hue(order[label])))
        sheet.paste(framed, (round(x - framed.width / 2), HEADER + round(y - framed.height / 2)))


def _within(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Width and height of a tile of (height, width) that is reduced to `most`."""
    height, width = size
    factor = min(1.0, most / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _draw_texts(sheet: Image, shown: EmbeddingMap, order: dict[int, int], *, with_centroids: bool) -> None:
    """The heading, the measures and the legend."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(sheet)
    large, small = Lettering(20), Lettering(13)
    found, width = shown.embeddings, sheet.width - 2 * MARGIN
    large.write(draw, (MARGIN, 14), fitted(found.name, large, width), INK)
    small.write(draw, (MARGIN, 42), f"{len(found.vectors):,} items, {shown.method}", PALE)
    line = ",  ".join(f"{name}: {value}" for name, value in shown.rows())
    small.write(draw, (MARGIN, 60), fitted(line, small, width), PALE)
    x, y = WIDTH + 14, HEADER + 20
    for label, number in list(order.items())[:MOST_IN_LEGEND]:
        mark(draw, x, y, RADIUS + 1, number)
        count = int((found.labels == label).sum())
        text = fitted(f"{found.class_name(label)}", small, LEGEND - 100)
        small.write(draw, (x + 14, y), text, INK, anchor="lm")
        small.write(draw, (WIDTH + LEGEND - MARGIN, y), f"{count:,}", PALE, anchor="rm")
        y += LINE
    if len(order) > MOST_IN_LEGEND:
        small.write(draw, (x + 14, y), f"and {len(order) - MOST_IN_LEGEND:,} more", PALE, anchor="lm")
        y += LINE
    if with_centroids:
        draw.ellipse((x - 7, y + 3, x + 7, y + 17), outline=INK, width=2)
        small.write(draw, (x + 14, y + 10), "centroid (Decode)", PALE, anchor="lm")
