"""Nets as diagrams: boxes of layers with their settings, blobs with their shapes, shared weights as such."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from netforge.errors import counted
from netforge.inspect import palette
from netforge.inspect.canvas import (
    Box,
    Curve,
    Drawing,
    Group,
    Paint,
    Point,
    Shape,
    Text,
    fitted,
    flat,
    straight,
    text_width,
)
from netforge.inspect.layered import Layout, Piece, Slot, Wire, lay_out
from netforge.inspect.netgraph import Edge, LayerEntry, NetGraph, Node, net_graph
from netforge.inspect.ties import Ties
from netforge.inspect.wording import count_text, shape_text
from netforge.net import Net

Direction = Literal["down", "right"]

_FAMILY_HUES = {
    "data": palette.HUES[6],
    "convolution": palette.HUES[0],
    "linear": palette.HUES[8],
    "recurrent": palette.HUES[7],
    "pooling": palette.HUES[4],
    "normalization": palette.HUES[2],
    "activation": palette.HUES[3],
    "shape": "#8a93a3",
    "loss": palette.HUES[1],
    "metric": palette.HUES[5],
    "other": palette.HUES[9],
}  # in the order of the legend
_TINT = (0.17, 0.30)  # of a family's colour in the ground of its boxes, on light and on dark paper

MARGIN = 24.0
STRIPE, SIDES, BETWEEN = 4.0, 27.0, 12.0  # the coloured mark, all that is left and right of text, between two texts
TITLE, NAME, SMALL = 18.0, 13.0, 11.0  # sizes of fonts
LINE, ROW = 15.0, 21.0  # heights of a line of small text, and of the row of a layer that works in place
USUAL, WIDEST = 178.0, 250.0  # widths of boxes: most have the usual one, so that they stand in line
LABEL, LABEL_GAP, STUB = 21.0, 6.0, 15.0
BADGE = 16.0


@dataclass(frozen=True)
class _Figure:
    """A box before it is placed: its size, and the label of each blob that leaves it with the port across."""

    node: Node
    width: float
    height: float
    slot: Slot
    ports: tuple[float, ...]
    labels: tuple[str, ...]


def diagram(net: Net, direction: Direction = "down", *, heading: bool = True) -> Drawing:
    """The diagram of a net, which may be built with plan_only.

    Each box is a group whose key is the number of its first layer.

    Layers that change the only output of another layer in place are rows of its box. Boxes whose weights are shared
    have outlines of one colour and a badge with the same letter; dashed lines join them where no box is in the way.
    heading: whether the net's name stands above.
    """
    return _Diagram(net, net_graph(net), direction).drawing(heading)


def paints() -> dict[str, Paint]:
    """The colours of diagrams by name, for light and dark paper."""
    colours: dict[str, Paint] = {
        "paper": (palette.LIGHT_PAPER, palette.DARK_PAPER),
        "ink": ("#1a1e26", "#e7eaf0"),
        "pale": ("#566070", "#a3adbd"),
        "wire": ("#7b8494", "#7f8999"),
        "frame": ("#b4bcc9", "#4a5361"),
        "on-badge": ("#ffffff", "#ffffff"),
    }
    for family, hue in _FAMILY_HUES.items():
        colours[family] = (hue, hue)
        colours[f"{family}-tint"] = (
            palette.blend(palette.LIGHT_PAPER, hue, _TINT[0]),
            palette.blend(palette.DARK_PAPER, hue, _TINT[1]),
        )
    for number, hue in enumerate(palette.HUES):
        colours[f"shared{number}"] = (palette.blend(hue, "#000000", 0.18), hue)
        colours[f"badge{number}"] = (palette.blend(hue, "#000000", 0.3),) * 2
    return colours


class _Diagram:
    """Boxes, their places, and what is drawn."""

    def __init__(self, net: Net, graph: NetGraph, direction: Direction) -> None:
        self.net, self.graph, self.down = net, graph, direction == "down"
        self.leaving: list[list[Edge]] = [[] for _ in graph.nodes]
        for edge in graph.edges:
            self.leaving[edge.source].append(edge)
        self.figures = [self._figure(node, self.leaving[number]) for number, node in enumerate(graph.nodes)]
        wires = [
            Wire(number, port, edge.readers)
            for number, figure in enumerate(self.figures)
            for port, edge in zip(figure.ports, self.leaving[number], strict=True)
        ]
        self.layout: Layout = lay_out([figure.slot for figure in self.figures], wires)
        across, along = self.layout.size
        self.size = (across, along) if self.down else (along, across)

    def drawing(self, heading: bool) -> Drawing:
        """All of it: wires below boxes."""
        head = self._head(heading)
        top = head[1]
        width, height = self.size[0] + 2 * MARGIN, self.size[1] + top + MARGIN
        self.origin = (MARGIN + max(0.0, (head[0] - width) / 2), top)
        boxes = [self._box(number) for number in range(len(self.figures))]
        shapes = (*head[2], *self._wires(), *self._ties(), *boxes)
        return Drawing(max(width, head[0]), height, self._title(), shapes, self._used(shapes))

    # --- sizes -----------------------------------------------------------------------------------------------------

    def _figure(self, node: Node, leaving: Sequence[Edge]) -> _Figure:
        widths = [_row_width(entry, first=index == 0) for index, entry in enumerate(node.layers)]
        width = 2.0 * math.ceil(min(WIDEST, max(USUAL, *widths)) / 2)  # even: a wire in the middle is a sharp line
        height = sum(_row_height(entry, first=index == 0) for index, entry in enumerate(node.layers))
        names = {entry.summary.name for entry in node.layers}
        labels = tuple(
            shape_text(edge.shape)
            if len(leaving) == 1 and edge.name in names
            else f"{fitted(edge.name, SMALL, WIDEST)}  {shape_text(edge.shape)}"
            for edge in leaving
        )
        lengths = [math.ceil(text_width(label, SMALL)) + 2 * LABEL_GAP for label in labels]
        if not self.down:
            across = max(height, (len(labels) + 1) * (LABEL - 3))
            ports = [across * (index + 1) / (len(labels) + 1) for index in range(len(labels))]
            along = width + max([STUB, *(length + LABEL_GAP for length in lengths)])
            slot = Slot(across, along, (across - height) / 2, height, width)
        elif len(labels) == 1:
            ports = [width / 2]
            slot = Slot(max(width, width / 2 + lengths[0]), height + LABEL, 0, width, height)
        else:
            # Ports begin labels; the first one stands far enough inside, and all of them below the box where they fit.
            total = sum(lengths)
            room = max(width, total + 16)
            first = (room - total) // 2 if total + 16 < width else 8.0
            ports = [first + sum(lengths[:index]) for index in range(len(labels))]
            reach = (ports[-1] if ports else 0.0) + 16
            width = max(width, min(reach, WIDEST * 2))
            slot = Slot(max(room, width), height + (LABEL if labels else 0), 0, width, height)
        return _Figure(node, width, height, slot, tuple(ports), labels)

    def _corner(self, number: int) -> Point:
        """x and y of the upper left corner of a box."""
        across, along = self.layout.corners[number]
        across += self.figures[number].slot.left
        return self._at((across, along))

    def _at(self, point: Point) -> Point:
        x, y = point if self.down else (point[1], point[0])
        return self.origin[0] + x, self.origin[1] + y

    # --- shapes ----------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"{self.net.name or 'net'}, phase {self.net.phase}"

    def _head(self, heading: bool) -> tuple[float, float, list[Shape]]:
        """What stands above the net, its name with sums and a legend of families: width, height and shapes."""
        rows = [entry for node in self.graph.nodes for entry in node.layers]
        shapes: list[Shape] = []
        wide, y = 0.0, 20.0
        if heading:
            name = fitted(self.net.name or "net", TITLE, 600, bold=True)
            owned = sum(entry.summary.weight_count for entry in rows)
            sums = f"phase {self.net.phase}, {counted(len(rows), 'layer')}, {count_text(owned, 'weight')}"
            beside = MARGIN + text_width(name, TITLE, bold=True) + 14
            shapes = [Text(MARGIN, 30, name, TITLE, "ink", bold=True), Text(beside, 30, sums, SMALL + 1, "pale")]
            wide, y = beside + text_width(sums, SMALL + 1) + MARGIN, 50.0
        room = max(wide, self.size[0] + 2 * MARGIN) - MARGIN
        families, x = {entry.family for entry in rows}, MARGIN
        for family in (family for family in _FAMILY_HUES if family in families):
            length = 15 + text_width(family, SMALL)
            if x + length > room and x > MARGIN:
                x, y = MARGIN, y + 17
            shapes += [Box(x, y - 9, 10, 10, family, radius=2), Text(x + 15, y, family, SMALL, "pale")]
            x += length + 16
        return wide, y + 16, shapes

    def _box(self, number: int) -> Group:
        figure, (x, y) = self.figures[number], self._corner(number)
        group = figure.node.group
        line = "frame" if group is None else f"shared{group % len(palette.HUES)}"
        shapes: list[Shape] = []
        bottom = y + figure.height
        for index, entry in reversed(list(enumerate(figure.node.layers))):
            height = _row_height(entry, first=index == 0)
            shapes.append(Box(x, y, figure.width, bottom - y, f"{entry.family}-tint"))
            shapes += self._row(entry, Box(x, bottom - height, figure.width, height), index == 0, group is not None)
            bottom -= height
        shapes.append(Box(x, y, figure.width, figure.height, line=line, stroke=1.2 if group is None else 2.2))
        if group is not None:
            letter, right = self.graph.groups[group].badge, x + figure.width - 6
            badge = max(BADGE, text_width(letter, SMALL, bold=True) + 8)
            shapes.append(Box(right - badge, y + 6, badge, BADGE, f"badge{group % len(palette.HUES)}", radius=8))
            shapes.append(Text(right - badge / 2, y + 18, letter, SMALL, "on-badge", bold=True, anchor="middle"))
        return Group(str(figure.node.layers[0].number), self._tip(figure.node), tuple(shapes))

    def _row(self, entry: LayerEntry, box: Box, first: bool, badge: bool) -> Iterator[Shape]:
        inset = 6.0 if first else 4.0
        yield Box(box.x + 6, box.y + inset, STRIPE, box.height - 2 * inset, entry.family, radius=2)
        left, room = box.x + 6 + STRIPE + 7, box.width - SIDES
        if first:
            narrower = room - (BADGE + 6 if badge else 0)
            yield Text(left, box.y + 19, fitted(entry.summary.name, NAME, narrower, bold=True), NAME, "ink", bold=True)
            for index, line in enumerate(_lines(entry)):
                yield Text(
                    left, box.y + 35 + index * LINE, fitted(line, SMALL, room), SMALL, "pale" if index else "ink"
                )
        else:
            kind = fitted(entry.summary.type, SMALL, room)
            name = fitted(entry.summary.name, SMALL, room - text_width(kind, SMALL) - BETWEEN)
            yield Text(left, box.y + 14.5, kind, SMALL, "ink")
            yield Text(left + room, box.y + 14.5, name, SMALL, "pale", anchor="end")

    def _tip(self, node: Node) -> str:
        lines = [f"{entry.summary.name}: {_kind(entry)}" for entry in node.layers]
        if node.group is not None:
            group = self.graph.groups[node.group]
            lines.append(f"weights {group.badge} are shared: {', '.join(group.names)}")
        return "\n".join(lines)

    def _wires(self) -> Iterator[Shape]:
        """The blobs: lines with arrows to their readers, stubs for outputs, and one label each at the beginning."""
        number = 0
        for source, figure in enumerate(self.figures):
            across, along = self.layout.corners[source]
            for port, label, edge in zip(figure.ports, figure.labels, self.leaving[source], strict=True):
                start = (across + port, along + figure.slot.exit)
                drawn: set[Piece] = set()  # what several readers have in common is drawn once: twice would look thicker
                for route in self.layout.routes[number]:
                    fresh = [piece for piece in route if piece not in drawn]
                    drawn.update(fresh)
                    yield Curve(tuple(self._curve(fresh)), "wire", arrow=True)
                if not edge.readers:
                    yield Curve(straight(self._at(start), self._at((start[0], start[1] + STUB))), "wire", arrow=True)
                x, y = self._at(start)
                place = (x + LABEL_GAP, y + 14) if self.down else (x + LABEL_GAP + 2, y - 4)
                yield Text(*place, label, SMALL, "pale")
                number += 1

    def _curve(self, route: Sequence[Piece]) -> Iterator[Point]:
        yield self._at(route[0].start)
        for piece in route:
            (across, along), (to, end) = piece.start, piece.end
            middle = (along + end) / 2
            yield from map(self._at, ((across, middle), (to, middle), (to, end)))

    def _ties(self) -> Iterator[Shape]:
        """Dashed lines between boxes that share weights."""
        ties = Ties(self.layout, [figure.slot for figure in self.figures])
        for index, group in enumerate(self.graph.groups):
            for line in ties.lines(group.nodes, index):
                ink = f"shared{index % len(palette.HUES)}"
                yield Curve(straight(*map(self._at, line)), ink, stroke=1.3, dashed=True)

    def _used(self, shapes: tuple[Shape, ...]) -> dict[str, Paint]:
        """The colours that the drawing needs."""
        wanted = {"paper"}
        for part in flat(shapes):
            wanted |= {getattr(part, name, None) or "paper" for name in ("fill", "line", "ink")}
        return {name: paint for name, paint in paints().items() if name in wanted}


def _kind(entry: LayerEntry) -> str:
    """Type, and how many weights there are."""
    return entry.summary.type + (f", {count_text(entry.weights, 'weight')}" if entry.weights else "")


def _lines(entry: LayerEntry) -> list[str]:
    """What stands below the name of the first layer of a box."""
    room, facts = WIDEST - SIDES, list(entry.facts)
    while len(facts) > 1 and text_width(" · ".join(facts), SMALL) > room:
        facts.pop()
    lines = [entry.summary.type, " · ".join(facts)] if facts else [entry.summary.type]
    if len(lines) == 2 and text_width("  ".join(lines), SMALL) < USUAL - SIDES:
        lines = ["  ".join(lines)]
    return lines + ([count_text(entry.weights, "weight")] if entry.weights else [])


def _row_width(entry: LayerEntry, *, first: bool) -> float:
    """Room for the name, with a badge or the type beside it, and for the lines below."""
    if not first:
        return text_width(entry.summary.type, SMALL) + BETWEEN + text_width(entry.summary.name, SMALL) + SIDES
    name = text_width(entry.summary.name, NAME, bold=True) + BADGE + 6
    return max(name, *(text_width(line, SMALL) for line in _lines(entry))) + SIDES


def _row_height(entry: LayerEntry, *, first: bool) -> float:
    return 29 + LINE * len(_lines(entry)) if first else ROW
