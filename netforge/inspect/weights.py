"""The weights of a net as pictures: filters as tiles, matrices as heat maps around zero, and their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import NetError, SnapshotError, counted, did_you_mean
from netforge.inspect.blob_pictures import weight_picture
from netforge.inspect.page import Html, card, facts, page, picture
from netforge.inspect.pictures import Picture, png_bytes
from netforge.inspect.values import finite_values, value_histogram, value_rows
from netforge.inspect.wording import shape_text
from netforge.layers.base import Layer
from netforge.layers.data_param import open_for
from netforge.net import Net
from netforge.net.running import image_layer
from netforge.net.wiring import find_class
from netforge.schema import NetDefinition, merge_state
from netforge.snapshot import LoadStatus


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
        return [("shape", shape_text(self.values.shape)), *value_rows(self.values)]


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
        order = image_order(definition)
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


def image_order(definition: NetDefinition) -> str | None:
    """The order of colours in the images that a net reads, "RGB" or "BGR"; None where no layer brings images.

    definition: the net, unfiltered. Raises DataError where the source cannot be opened.
    """
    found = image_layer(definition)
    if found is None:
        return None
    layer, _ = found
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
    finite = finite_values(one.values)
    parts: list[Html] = [picture(png_bytes(one.picture), f"{one.name}: {one.caption}"), facts(one.rows())]
    if finite.size > 1:
        parts.append(value_histogram(finite, label=f"Histogram of {one.name}"))
    return card(f"{one.layer} ({one.type}), weight {one.index}", *parts, note=one.caption)
