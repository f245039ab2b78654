"""Charts as SVG text inside a page: curves, bars, histograms.

They are drawn here once and need no script to be seen; the page's script adds what the pointer reads, and the buttons
that hide curves and change the scale. Colours are those of `palette`; text and lines follow the page's light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from netforge.inspect.axes import Axis, linear_axis, log_axis
from netforge.inspect.page import Html, element, join, json_script, swatch
from netforge.inspect.palette import hue
from netforge.inspect.wording import number_text

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 528, 12, 254  # the frame of the plot; outside is room for the names of ticks
MOST_POINTS = 1500

_STILL = (
    ".netforge-still{display:block;width:100%;height:auto}"
    ".netforge-still text{fill:currentColor;opacity:.7;font:13px system-ui,sans-serif}"
    ".netforge-still .grid{stroke:currentColor;stroke-opacity:.2;fill:none}"
    ".netforge-still .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
)

Numbers = Sequence[float]


@dataclass(frozen=True)
class Series:
    """One curve: its name, and x (rising) and y of its points, in plain floats.

    Points whose y is NaN or infinite break the curve. hue: number of its colour, its place among the curves if None.
    dots: points are marked; None marks them where there are at most 60.
    """

    name: str
    x: Numbers
    y: Numbers
    hue: int | None = None
    dots: bool | None = None


def line_chart(
    series: Sequence[Series], *, x: str = "iteration", label: str = "", log: bool = False, zero: bool = False
) -> Html:
    """Curves over one another, with a legend whose entries hide and show them and a read-out at the pointer.

    x: what the horizontal axis counts. label: what the chart shows, for those who cannot see it. log: the first view
    is logarithmic; a button changes between both where all values that are above zero allow it. zero: the linear view
    begins at zero. Curves of more than 1,500 points are thinned: every stretch keeps its lowest and highest.
    """
    series = [thinned(one) for one in series]
    across, views = _axes(series, zero)
    drawing = [_horizontal(across, x)]
    for view, axis in views.items():
        drawing.append(element("g", _vertical(axis), *_curves(series, across, axis), data_view=view))
    drawing.append(element("line", y1=TOP, y2=BOTTOM, x1=LEFT, x2=LEFT, class_="cursor"))
    shown = "log" if log and "log" in views else "linear"
    data = {
        "x": x,
        "width": WIDTH,
        "left": LEFT,
        "right": RIGHT,
        "low": across.low,
        "high": across.high,
        "series": [{"name": one.name, "x": list(one.x), "y": list(one.y)} for one in series],
    }
    text = label or ", ".join(one.name for one in series)
    return element(
        "div",
        svg_of(drawing, WIDTH, HEIGHT, text),
        element("div", *_legend(series, shown if "log" in views else None), class_="tools"),
        json_script(data),
        class_="chart",
        data_chart=True,
        data_shown=shown,
    )


def still_chart(series: Sequence[Series], *, x: str = "iteration", label: str = "", log: bool = False) -> Html:
    """Curves as `line_chart` draws them, in the colours of the text around, without style sheet or script.

    log: the scale is logarithmic where the values allow it.
    """
    series = [thinned(one) for one in series]
    across, views = _axes(series, zero=False)
    axis = views.get("log", views["linear"]) if log else views["linear"]
    drawing = [element("style", Html(_STILL)), _horizontal(across, x), _vertical(axis), *_curves(series, across, axis)]
    names = (
        element("span", element("span", "● ", style=f"color:{_colour(one, number)}"), one.name)
        for number, one in enumerate(series)
    )
    legend = element("div", *names, style="display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px")
    svg = svg_of(drawing, WIDTH, HEIGHT, label, "netforge-still")
    return element("div", svg, legend, style=f"flex:1 1 320px;max-width:{WIDTH}px")


def _axes(series: Sequence[Series], zero: bool) -> tuple[Axis, dict[str, Axis]]:
    """The horizontal axis, and the vertical ones by the name of their view."""
    across = linear_axis([value for one in series for value in one.x], pad=False)
    values = [value for one in series for value in one.y if math.isfinite(value)]
    views = {"linear": linear_axis([*values, 0.0] if zero else values)}
    if values and min(values) >= 0 and max(values) > 0 and max(values) > 3 * _least(values):
        views["log"] = log_axis(values)
    return across, views


def thinned(series: Series) -> Series:
    """The series with at most MOST_POINTS points: of every stretch the points of its lowest and its highest value."""
    count = len(series.x)
    if count <= MOST_POINTS:
        return series
    width = -(-count // (MOST_POINTS // 2 - 1))
    rows = -(-count // width)
    y = np.full(rows * width, np.nan)
    y[:count] = series.y
    table, inside = y.reshape(rows, width), (np.arange(rows * width) < count).reshape(rows, width)
    finite = np.isfinite(table)
    broken, some, starts = ~finite & inside, finite.any(axis=1), np.arange(rows) * width
    kept = {0, count - 1}
    kept.update((starts + broken.argmax(axis=1))[broken.any(axis=1)].tolist())  # a gap stays a gap
    kept.update((starts + np.where(finite, table, np.inf).argmin(axis=1))[some].tolist())
    kept.update((starts + np.where(finite, table, -np.inf).argmax(axis=1))[some].tolist())
    at = sorted(kept)
    return replace(series, x=[series.x[i] for i in at], y=[series.y[i] for i in at])


def bars(
    rows: Sequence[tuple[str, float]],
    *,
    text: Callable[[float], str] = lambda value: f"{value:,.6g}",
    tips: Sequence[str] | None = None,
    hue_number: int = 0,
) -> Html:
    """Horizontal bars from zero to the largest value, one row for each (name, value at least 0), with the value beside.

    text: how a value is written. tips: what each row tells the pointer.
    """
    largest = max((value for _, value in rows if math.isfinite(value)), default=0.0) or 1.0
    shown = []
    for number, (name, value) in enumerate(rows):
        share = 100 * value / largest if math.isfinite(value) else 0.0
        tip = tips[number] if tips is not None else None
        bar = element("div", class_="bar", style=f"width:{share:.2f}%;background:{hue(hue_number)}")
        shown.append(element("div", name, class_="name", data_tip=tip))
        shown.append(element("div", bar, class_="track", data_tip=tip))
        shown.append(element("div", text(value), class_="value", data_tip=tip))
    return element("div", *shown, class_="bars")


def histogram(edges: Numbers, counts: Numbers, *, x: str = "", label: str = "") -> Html:
    """Counts of values between edges (one more than counts), as bars that touch."""
    across = linear_axis(list(edges), pad=False)
    axis = linear_axis([0.0, *counts])
    drawing = [_horizontal(across, x), _vertical(axis)]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        left, right = across.at(low, LEFT, RIGHT), across.at(high, LEFT, RIGHT)
        top = axis.at(count, BOTTOM, TOP)
        tip = f"{number_text(low)} to {number_text(high)}\n{count:,.6g}"
        size = {"width": f"{max(right - left - 0.6, 0.5):.1f}", "height": f"{max(BOTTOM - top, 0):.1f}"}
        spot = {"x": f"{left:.1f}", "y": f"{top:.1f}"}
        drawing.append(element("rect", **spot, **size, fill=hue(0), data_tip=tip))
    return element("div", svg_of(drawing, WIDTH, HEIGHT, label or x), class_="chart")


def _least(values: Numbers) -> float:
    return min((value for value in values if value > 0), default=0.0)


def svg_of(drawing: Sequence[Html], width: float, height: float, label: str, kind: str | None = None) -> Html:
    """A drawing of this size. label: what it shows, for those who cannot see it. kind: its CSS class."""
    return element("svg", *drawing, viewBox=f"0 0 {width} {height}", role="img", aria_label=label, class_=kind)


def _colour(series: Series, number: int) -> str:
    return hue(number if series.hue is None else series.hue)


def _legend(series: Sequence[Series], scale: str | None) -> Iterator[Html]:
    """Buttons that hide and show curves, and one for the scale; None: there is but one."""
    yield from (_toggle(one, number) for number, one in enumerate(series))
    if scale is not None:
        pressed = "true" if scale == "log" else "false"
        yield element("button", "log scale", type="button", class_="plain", data_scale=True, aria_pressed=pressed)


def _toggle(series: Series, number: int) -> Html:
    colour = swatch(_colour(series, number))
    return element("button", colour, series.name, type="button", data_series=number, aria_pressed="true")


def _horizontal(axis: Axis, name: str) -> Html:
    """Ticks and numbers below the plot, and what they count."""
    parts = [element("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="grid")]
    for tick in axis.ticks:
        at = f"{axis.at(tick, LEFT, RIGHT):.1f}"
        parts.append(element("line", x1=at, x2=at, y1=BOTTOM, y2=BOTTOM + 4, class_="grid"))
        parts.append(element("text", number_text(tick), x=at, y=BOTTOM + 20, text_anchor="middle"))
    parts.append(element("text", name, x=(LEFT + RIGHT) / 2, y=HEIGHT - 5, text_anchor="middle"))
    return join(parts)


def _vertical(axis: Axis) -> Html:
    """Grid lines and numbers left of the plot."""
    parts = []
    for tick in axis.ticks:
        at = f"{axis.at(tick, BOTTOM, TOP):.1f}"
        parts.append(element("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="grid"))
        parts.append(element("text", number_text(tick), x=LEFT - 8, y=float(at) + 4.5, text_anchor="end"))
    return join(parts)


def _curves(series: Sequence[Series], across: Axis, axis: Axis) -> Iterator[Html]:
    for number, one in enumerate(series):
        colour = _colour(one, number)
        spots = [
            (across.at(x, LEFT, RIGHT), axis.at(y, BOTTOM, TOP)) if axis.holds(y) else None
            for x, y in zip(one.x, one.y, strict=True)
        ]
        path = element("path", d=_path(spots), class_="curve", stroke=colour)
        seen = [spot for spot in spots if spot is not None]
        dotted = len(seen) <= 60 if one.dots is None else one.dots
        dots = (element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.8, fill=colour) for x, y in seen if dotted)
        yield element("g", path, *dots, data_part=number)


def _path(spots: Sequence[tuple[float, float] | None]) -> str:
    words, pen = [], "M"
    for spot in spots:
        if spot is None:
            pen = "M"
            continue
        words.append(f"{pen}{spot[0]:.1f} {spot[1]:.1f}")
        pen = "L"
    return "".join(words)
