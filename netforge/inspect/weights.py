"""The weights of a net as pictures: filters as tiles, matrices as heat maps around zero, and their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import NetError, counted, did_you_mean
from netforge.inspect.charts import histogram
from netforge.inspect.page import Html, card, facts, page, picture
from netforge.inspect.pictures import (
    Picture,
    colour,
    diverging,
    grey,
    magnified,
    png_bytes,
    reduced,
    tiled,
    vector_bars,
)
from netforge.recognition.embedder import Embedder

MOST_FILTERS, MOST_INPUTS, MOST_SIDE = 96, 32, 512
TILE, MAP = 24, 320  # pixels: filters and heat maps are magnified to at least so many
BINS = 50


@dataclass(frozen=True)
class WeightPicture:
    """One weight blob of a layer. caption: what the picture shows, and what of it was left out."""

    layer: str
    type: str
    index: int
    values: npt.NDArray[Any]
    picture: Picture
    caption: str

    @property
    def name(self) -> str:
        """Layer and number, as file names and headings say it."""
        return f"{self.layer}[{self.index}]"

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said of the values in numbers."""
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            return [("values", "none is finite" if self.values.size else "none")]
        found = [
            ("shape", " x ".join(map(str, self.values.shape)) or "scalar"),
            ("mean, deviation", f"{finite.mean():.4g}, {finite.std():.4g}"),
            ("range", f"{finite.min():.4g} to {finite.max():.4g}"),
            ("zeros", f"{100 * float((finite == 0).mean()):.2f} %"),
        ]
        lost = self.values.size - finite.size
        return [*found, ("NaN or infinite", f"{lost:,}")] if lost else found


def weight_pictures(embedder: Embedder, layer: str | None = None) -> list[WeightPicture]:
    """Every weight blob of a net, or of one layer, as a picture.

    Filters (O, I, H, W) of a layer that reads the image are shown in its colours, others plane by plane: a row for each
    filter. Each filter is stretched from its own smallest to its largest value. What has no height and width is a heat
    map from blue below zero to red above. Raises NetError where there is no such layer, or none with weights.
    """
    net = embedder.net
    holders = [one for one in net.layers if one.weights]
    if layer is not None:
        holders = [one for one in holders if one.name == layer]
    if not holders:
        known = [one.name for one in net.layers if one.weights]
        found = "no layer has weights" if layer is None else f'no layer with weights is called "{layer}"'
        mend = did_you_mean(str(layer), known) or (f'one that has is "{known[0]}"' if known else None)
        raise NetError(found, where=net.definition.place, mend=mend)
    shown = []
    for one in holders:
        at_image = one.definition.message.bottom[:1] == net.inputs[:1]
        order = embedder.form.color_order if at_image else None
        for index, blob in enumerate(one.weights):
            values = np.array(net.device.to_host(blob.data))
            made, caption = weight_picture(values, order)
            shown.append(WeightPicture(one.name, one.type, index, values, made, caption))
    return shown


def weight_picture(values: npt.NDArray[Any], order: str | None = None) -> tuple[Picture, str]:
    """One weight blob (any shape) as a picture, and what it shows. order: of colours, of three channels of images."""
    shape = values.shape
    if len(shape) == 4 and shape[2] * shape[3] > 1:
        return _filters(values, order)
    flat = values.reshape(shape[0], -1) if len(shape) > 1 else values.reshape(1, -1)
    if min(flat.shape) == 1:
        return vector_bars(flat.ravel()), f"{counted(flat.size, 'value')} as bars from zero"
    small = reduced(flat, MOST_SIDE)
    text = f"{flat.shape[0]} rows, {flat.shape[1]} columns; blue below zero, red above"
    if small.shape != flat.shape:
        text += "; of neighbouring values the largest is shown"
    return magnified(diverging(small), MAP), text


def _filters(values: npt.NDArray[Any], order: str | None) -> tuple[Picture, str]:
    filters, inputs, height, width = values.shape
    kept = values[:MOST_FILTERS]
    part = f" (the first {len(kept)} of {filters})" if len(kept) < filters else ""
    if inputs == 1 or (inputs == 3 and order is not None):
        tiles = [colour(one, order or "RGB") if inputs == 3 else grey(one[0]) for one in kept]
        text = f"{counted(filters, 'filter')} of {height} x {width}{' in colours' if inputs == 3 else ''}{part}"
        return tiled([magnified(tile, 2 * TILE) for tile in tiles], gap=2), text
    seen = kept[:, :MOST_INPUTS]
    low, high = (np.nanmin(seen, axis=(1, 2, 3)), np.nanmax(seen, axis=(1, 2, 3)))
    rows = [
        tiled([magnified(grey(plane, float(a), float(b)), TILE) for plane in one], columns=len(one))
        for one, a, b in zip(seen, low, high, strict=True)
    ]
    few = f" (the first {seen.shape[1]} of {inputs})" if seen.shape[1] < inputs else ""
    return np.concatenate(rows), f"a row for each of {counted(filters, 'filter')}{part}, {inputs} planes{few}"


def weights_page(shown: Sequence[WeightPicture], name: str, source: str) -> str:
    """A page with a card for each weight blob: picture, numbers, histogram."""
    total = sum(one.values.size for one in shown)
    return page(
        f"Weights of {name}",
        *(_card(one) for one in shown),
        subtitle=f"{source}: {counted(total, 'weight')} in {counted(len(shown), 'blob')}",
        styles="figure{margin-bottom:10px}",
    )


def _card(one: WeightPicture) -> Html:
    finite = one.values[np.isfinite(one.values)]
    parts: list[Html] = [picture(png_bytes(one.picture), f"{one.name}: {one.caption}"), facts(one.rows())]
    if finite.size > 1:
        counts, edges = np.histogram(finite.astype(np.float64), BINS)
        parts.append(histogram(edges.tolist(), counts.tolist(), x="value", label=f"Histogram of {one.name}"))
    return card(f"{one.layer} ({one.type}), weight {one.index}", *parts, note=one.caption)
