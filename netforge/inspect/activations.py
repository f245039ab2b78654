"""What a net makes of one image: the tops of every layer as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, counted
from netforge.inspect.blob_pictures import top_picture
from netforge.inspect.page import card, facts, page, picture
from netforge.inspect.pictures import Picture, png_bytes
from netforge.inspect.values import value_rows
from netforge.inspect.wording import shape_text
from netforge.recognition.embedder import Embedder


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
        return f'{self.layer} ({self.type}): "{self.blob}" {shape_text(self.values.shape)}'

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said of the values in numbers."""
        found = value_rows(self.values)
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
            shown.append(Activation(layer.name, layer.type, name, values, top_picture(values, order)))
    if not shown:
        raise DataError("the net has no tops to show", where=str(net.definition.place))
    return shown


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
