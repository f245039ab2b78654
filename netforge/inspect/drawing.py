"""`draw`: the diagram of a net as SVG, as a picture, or as a page whose boxes can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from netforge.errors import NetError, SettingsError
from netforge.inspect.canvas_png import to_image
from netforge.inspect.canvas_svg import to_svg
from netforge.inspect.diagram import Direction, diagram
from netforge.inspect.diagram_page import diagram_page
from netforge.net import Net

if TYPE_CHECKING:
    from PIL.Image import Image

    from netforge.schema import NetDefinition

TAKEN: dict[str, tuple[str, ...]] = {"svg": (), "html": ("weights",), "png": ("scale", "dark")}
"""The forms of a drawing, and the options that only one of them takes."""


@overload
def draw(
    net: Net | str | Path | NetDefinition | Any,
    format: Literal["svg", "html"] = "svg",
    *,
    phase: str = ...,
    level: int | None = ...,
    stages: Sequence[str] = ...,
    direction: Direction = ...,
    weights: str | Path | None = ...,
) -> str: ...


@overload
def draw(
    net: Net | str | Path | NetDefinition | Any,
    format: Literal["png"],
    *,
    phase: str = ...,
    level: int | None = ...,
    stages: Sequence[str] = ...,
    direction: Direction = ...,
    scale: float = ...,
    dark: bool = ...,
) -> Image: ...


def draw(
    net: Net | str | Path | NetDefinition | Any,
    format: Literal["svg", "html", "png"] = "svg",
    *,
    phase: str = "TRAIN",
    level: int | None = None,
    stages: Sequence[str] = (),
    direction: Direction = "down",
    weights: str | Path | None = None,
    scale: float | None = None,
    dark: bool = False,
) -> str | Image:
    """Draw a net: its layers with their settings, the shapes of its blobs, and the weights that layers share.

    net: a `Net`, or what one is made of (a prototxt's path, a NetParameter message, a NetDefinition), of which only
    shapes are taken: no data is read and no arrays are made. phase, level, stages: which layers take part; of a `Net`
    its own count. format: "svg" and "html" give the text of a file, "png" a Pillow image in RGB. direction: of the
    wires, "down" or "right". weights: "html" only, a file of weights to be shown as pictures and histograms, as those
    of a `Net` are that has values in them. scale: "png" only, pixels a unit, 2 if None. dark: "png" only, on dark
    paper; the other forms follow the viewer.

    Raises a NetforgeError where the net cannot be built, SettingsError for a format that there is not, or an option
    that it does not take, and DataError where the picture would be too large.
    """
    _check_options(format, weights=weights is not None, scale=scale is not None, dark=dark)
    if not isinstance(net, Net):
        with Net(net, phase, level, stages, weights=weights, plan_only=True) as built:
            return _drawn(built, format, direction, scale, dark)
    if weights is not None:
        raise NetError("a file of weights is for nets that are built here", mend="load it: net.copy_from(path)")
    return _drawn(net, format, direction, scale, dark)


def _check_options(format: str, **given: bool) -> None:
    if format not in TAKEN:
        raise SettingsError(f'format is "{format}"', mend=f"use {', '.join(TAKEN)}")
    for name in (name for name, is_given in given.items() if is_given and name not in TAKEN[format]):
        takes = next(other for other, names in TAKEN.items() if name in names)
        raise SettingsError(f'{name} is given with the format "{format}"', mend=f'leave it out, or use "{takes}"')


def _drawn(net: Net, format: str, direction: Direction, scale: float | None, dark: bool) -> str | Image:
    if format == "html":
        return diagram_page(net, direction)
    drawing = diagram(net, direction)
    return to_image(drawing, scale=scale or 2.0, dark=dark) if format == "png" else to_svg(drawing)
