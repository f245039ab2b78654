"""What a net makes of one image: the tops of every layer as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, counted
from netforge.inspect.page import card, facts, page, picture
from netforge.inspect.pictures import (
    Picture,
    colour,
    finite_range,
    grey,
    magnified,
    png_bytes,
    reduced,
    tiled,
    vector_bars,
)
from netforge.recognition.embedder import Embedder

MOST_MAPS, MOST_SIDE = 256, 256
LEAST_TILE, LEAST_IMAGE = 44, 160  # pixels


@dataclass(frozen=True)
class Activation:
    """A top of a layer for one image, (C, H, W) or (D,); a blob that is rewritten in place comes once for each layer.

    picture: maps as tiles, all on one grey scale from the smallest to the largest value; vectors as bars.
    """

    layer: str
    type: str
    blob: str
    values: npt.NDArray[Any]
    picture: Picture

    @property
    def caption(self) -> str:
        """Layer, blob and shape."""
        return f'{self.layer} ({self.type}): "{self.blob}" {" x ".join(map(str, self.values.shape)) or "scalar"}'

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said of the values in numbers."""
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            return [("values", "none is finite")]
        found = [
            ("range", f"{finite.min():.4g} to {finite.max():.4g}"),
            ("mean", f"{finite.mean(dtype=np.float64):.4g}"),
            ("zeros", f"{100 * float((finite == 0).mean()):.1f} %"),
        ]
        if self.values.ndim == 3 and len(self.values) > 1:
            maps = self.values.reshape(len(self.values), -1)
            dead = int((maps.max(axis=1) == maps.min(axis=1)).sum())
            found.append(("maps of one value", f"{dead} of {len(self.values)}"))
        return found


def activations(embedder: Embedder, pixels: npt.NDArray[Any]) -> list[Activation]:
    """Run one image (C, H, W), in stored pixels, through a net in phase RUN, and keep the tops of every layer.

    Raises DataError where there are none.
    """
    net = embedder.net
    embedder.run(pixels[None], [])
    shown = []
    for number, layer in enumerate(net.layers):
        net.forward_layer(number)
        for name in layer.definition.message.top:
            values = np.array(net.device.to_host(net.blobs[name].data))
            values = values[0] if values.ndim and len(values) == 1 else values
            order = embedder.form.color_order if name in net.inputs else None
            shown.append(Activation(layer.name, layer.type, name, values, blob_picture(values, order)))
    if not shown:
        raise DataError("the net has no tops to show", where=str(net.definition.place))
    return shown


def blob_picture(values: npt.NDArray[Any], order: str | None = None) -> Picture:
    """A blob (C, H, W) or (D,) of one image as a picture. order: of colours, where three channels are an image's."""
    if values.ndim != 3 or values.shape[1] * values.shape[2] == 1:
        return vector_bars(values.reshape(-1))
    if order is not None and len(values) == 3:
        return magnified(colour(values, order), LEAST_IMAGE)
    low, high = finite_range(values)
    least = LEAST_IMAGE if len(values) == 1 else LEAST_TILE
    maps = [magnified(grey(reduced(plane, MOST_SIDE), low, high), least) for plane in values[:MOST_MAPS]]
    return tiled(maps, gap=2)


def activations_page(shown: Sequence[Activation], name: str, image: str) -> str:
    """A page with a card for each blob."""
    return page(
        f"Activations of {name}",
        *(
            card(
                f"{one.layer} ({one.type})",
                picture(png_bytes(one.picture), one.caption),
                facts(one.rows()),
                note=one.caption.partition(": ")[2],
            )
            for one in shown
        ),
        subtitle=f"{image}: {counted(len(shown), 'blob')}",
        styles="figure{margin-bottom:10px}",
    )
