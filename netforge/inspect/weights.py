"""The weights of a net as pictures: filters as tiles, matrices as heat maps around zero, and their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import NetError, SnapshotError, counted, did_you_mean
from netforge.inspect.charts import value_histogram
from netforge.inspect.page import Html, card, facts, page, picture
from netforge.inspect.pictures import (
    Picture,
    colour,
    diverging,
    finite_range,
    grey,
    magnified,
    png_bytes,
    reduced,
    tiled,
    vector_bars,
)
from netforge.layers.base import Layer
from netforge.layers.data_param import open_for
from netforge.net import Net
from netforge.net.running import image_layer
from netforge.net.wiring import find_class
from netforge.schema import LayerDefinition, NetDefinition, merge_state
from netforge.snapshot import LoadStatus

MOST_FILTERS, MOST_INPUTS, MOST_SIDE = 96, 32, 512
TILE, MAP = 24, 320  # pixels: filters and heat maps are magnified to at least so many


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
            ("mean, deviation", f"{finite.mean(dtype=np.float64):.4g}, {finite.std(dtype=np.float64):.4g}"),
            ("range", f"{finite.min():.4g} to {finite.max():.4g}"),
            ("zeros", f"{100 * float((finite == 0).mean()):.2f} %"),
        ]
        lost = self.values.size - finite.size
        return [*found, ("NaN or infinite", f"{lost:,}")] if lost else found


def weight_pictures(
    definition: NetDefinition, path: str | Path, layer: str | None = None
) -> tuple[list[WeightPicture], list[str]]:
    """Every weight blob that a file holds for a net, or for one layer of it, and the layers that it holds nothing for.

    The net is that of phase RUN, or, where that cannot be (no layer brings images, one needs pairs of them), that of
    TRAIN; of weights that layers share the first one is shown. Values may be NaN or infinite.

    Filters (O, I, H, W) of a layer that reads the image are shown in its colours, others plane by plane: a row for each
    filter. Each filter is stretched from its own smallest to its largest value. What has no height and width is a heat
    map from blue below zero to red above. Raises NetError where there is no such layer, or none with weights.
    """
    images = image_layer(definition)
    with _plan(definition, images is not None) as net:
        loaded = {row.layer for row in net.copy_from(path).of(LoadStatus.LOADED)}
        order = None if images is None else _color_order(definition, images[0])
        shown, seen = [], set()
        for one in _holders(net, layer):
            at_image = one.definition.message.bottom[:1] == net.inputs[:1]
            for index, blob in enumerate(one.weights):
                if one.name in loaded and id(blob.data_storage) not in seen:
                    seen.add(id(blob.data_storage))
                    values = np.array(net.device.to_host(blob.data))
                    made, caption = weight_picture(values, order if at_image else None)
                    shown.append(WeightPicture(one.name, one.type, index, values, made, caption))
        absent = [one.name for one in _holders(net, layer) if one.name not in loaded]
    if not shown:
        raise SnapshotError(
            f'it has no weights for layer "{absent[0]}"',
            where=str(path),
            mend="give the weights that this net was trained to",
        )
    return shown, absent


def _plan(definition: NetDefinition, has_images: bool) -> Net:
    own = definition.select(merge_state(definition, "RUN")).layers
    if has_images or any(find_class(layer).type == "Input" for layer in own):
        try:
            return Net(definition, "RUN", plan_only=True, seed=0)
        except NetError:  # a layer for pairs of images, say; one that fits nowhere is refused in TRAIN as well
            pass
    return Net(definition, "TRAIN", plan_only=True, seed=0)


def _color_order(definition: NetDefinition, layer: LayerDefinition) -> str:
    return open_for(layer, definition.folder, header_only=True, fail=layer.fail).color_order


def _holders(net: Net, layer: str | None) -> list[Layer]:
    """The layers with weights, or the one that is named."""
    holders = [one for one in net.layers if one.weights]
    found = [one for one in holders if layer in (None, one.name)]
    if not found:
        known = [one.name for one in holders]
        what = "no layer has weights" if layer is None else f'no layer with weights is called "{layer}"'
        mend = did_you_mean(str(layer), known) or (f'one that has is "{known[0]}"' if known else None)
        raise NetError(what, where=net.definition.place, mend=mend)
    return found


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
    rows = []
    for one in seen:
        low, high = finite_range(one)
        rows.append(tiled([magnified(grey(plane, low, high), TILE) for plane in one], columns=len(one)))
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
        parts.append(value_histogram(finite, label=f"Histogram of {one.name}"))
    return card(f"{one.layer} ({one.type}), weight {one.index}", *parts, note=one.caption)
