"""Drawings as SVG text.

Text is told the width that was measured for it (textLength), so that it fits its box in whatever font a viewer has.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from netforge.inspect.canvas import DASH, Box, Drawing, Group, Paint, Shape, Text, flat, text_width, with_head

FONTS = "Aileron, Helvetica, Arial, 'Liberation Sans', sans-serif"


def to_svg(drawing: Drawing, *, embedded: bool = False) -> str:
    """The drawing as an SVG document; text, all names in it escaped.

    Colours follow the viewer's light or dark scheme; viewers without CSS show the light ones. embedded: for inside an
    HTML page, whose `color-scheme` then counts.
    """
    width, height = _number(drawing.width), _number(drawing.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="{escape(FONTS)}">'
        f"<title>{_safe(drawing.title)}</title><style>{_style(drawing, embedded)}</style>"
    )
    ground = Box(0, 0, drawing.width, drawing.height, fill="paper", radius=0)
    shapes = (ground, *drawing.shapes) if not embedded else drawing.shapes
    return head + "\n" + "\n".join(_svg_shape(shape, drawing.paints) for shape in shapes) + "\n</svg>\n"


def _style(drawing: Drawing, embedded: bool) -> str:
    """CSS, strong enough against that of a page around it."""
    paints = sorted(drawing.paints.items())
    if embedded:
        values = "".join(f"--d-{name}:light-dark({light},{dark});" for name, (light, dark) in paints)
        scheme = f"svg.drawing{{{values}}}"
    else:
        light, dark = ("".join(f"--d-{name}:{paint[side]};" for name, paint in paints) for side in (0, 1))
        scheme = f"svg.drawing{{{light}}}@media (prefers-color-scheme:dark){{svg.drawing{{{dark}}}}}"
    colours = "".join(
        f"svg.drawing .f-{name}{{fill:var(--d-{name})}}svg.drawing .s-{name}{{stroke:var(--d-{name})}}"
        for name, _ in paints
    )
    sizes = sorted({shape.size for shape in flat(drawing.shapes) if isinstance(shape, Text)})
    fonts = "".join(f"svg.drawing .t{_number(10 * size)}{{font:{_number(size)}px {FONTS}}}" for size in sizes)
    return f"{scheme}{colours}{fonts}svg.drawing .bold{{font-weight:700}}svg.drawing text{{white-space:pre}}"


def _svg_shape(shape: Shape, paints: Mapping[str, Paint]) -> str:
    if isinstance(shape, Group):
        inner = "".join(_svg_shape(part, paints) for part in shape.shapes)
        return f'<g data-key="{_safe(shape.key)}"><title>{_safe(shape.title)}</title>{inner}</g>'
    if isinstance(shape, Box):
        place = f'x="{_number(shape.x)}" y="{_number(shape.y)}" width="{_number(shape.width)}"'
        return (
            f'<rect {place} height="{_number(shape.height)}" rx="{_number(shape.radius)}" '
            f"{_colours(shape.fill, shape.line, paints)}{_stroke(shape.stroke if shape.line else 0)}/>"
        )
    if isinstance(shape, Text):
        width = _number(text_width(shape.text, shape.size, bold=shape.bold))
        weight = ' font-weight="700"' if shape.bold else ""
        classes = f"t{_number(10 * shape.size)}" + " bold" * shape.bold
        return (
            f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}"{weight} '
            f'text-anchor="{shape.anchor}" textLength="{width}" lengthAdjust="spacingAndGlyphs" '
            f"{_colours(shape.ink, None, paints, classes)}>{_safe(shape.text)}</text>"
        )
    points, head = with_head(shape)
    start, *rest = (f"{_number(x)} {_number(y)}" for x, y in points)
    path = f"M{start}" + "".join(f"C{a} {b} {c}" for a, b, c in zip(rest[::3], rest[1::3], rest[2::3], strict=True))
    line = f'<path d="{path}" {_colours(None, shape.ink, paints)}{_stroke(shape.stroke, shape.dashed)}/>'
    if not head:
        return line
    corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in head)
    return f'{line}<polygon points="{corners}" {_colours(shape.ink, None, paints)}/>'


def _colours(fill: str | None, line: str | None, paints: Mapping[str, Paint], more: str = "") -> str:
    """Attributes for viewers without CSS, and classes for all others."""
    classes = [more] * bool(more) + [f"f-{fill}"] * bool(fill) + [f"s-{line}"] * bool(line)
    text = f'class="{" ".join(classes)}" fill="{paints[fill][0] if fill else "none"}"'
    return text + (f' stroke="{paints[line][0]}"' if line else "")


def _stroke(width: float, dashed: bool = False) -> str:
    dashes = f' stroke-dasharray="{_number(DASH[0])} {_number(DASH[1])}"' if dashed else ""
    return (f' stroke-width="{_number(width)}"' if width else "") + dashes


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _safe(text: str) -> str:
    """Text for XML: escaped, and without the control characters that XML cannot hold."""
    return escape(
        "".join(c if c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff" else " " for c in text)
    )
