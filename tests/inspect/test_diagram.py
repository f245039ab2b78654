"""Diagrams: every layer once, no box over another, wires that end at their boxes, shared weights as such."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netforge.errors import NetError, SettingsError
from netforge.inspect import draw
from netforge.inspect.canvas import Box, Curve, Drawing, Group, Text
from netforge.inspect.diagram import Direction, diagram
from netforge.inspect.layered import Layout, Slot, Wire, lay_out
from netforge.inspect.netgraph import net_graph
from netforge.net import Net
from netforge.schema import parse_net

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 1 dim: 8 dim: 8 } } }\n'
TOWERS = (
    INPUT.replace('"data"', '"a"')
    + INPUT.replace('"data"', '"b"')
    + "".join(
        f'layer {{ name: "conv{t}" type: "Convolution" bottom: "{t}" top: "conv{t}"\n'
        f'  param {{ name: "w" }} param {{ name: "bias" }} convolution_param {{ num_output: 4 kernel_size: 3 }} }}\n'
        f'layer {{ name: "relu{t}" type: "ReLU" bottom: "conv{t}" top: "conv{t}" }}\n'
        for t in "ab"
    )
    + 'layer { name: "own" type: "InnerProduct" bottom: "conva" top: "own" inner_product_param { num_output: 3 } }\n'
    + 'layer { name: "sum" type: "Eltwise" bottom: "conva" bottom: "convb" top: "sum" }\n'
)


def build(text: str, phase: str = "TRAIN") -> Net:
    return Net(parse_net(text), phase, plan_only=True)


def random_graph(seed: int) -> tuple[list[Slot], list[Wire]]:
    """Boxes of many sizes, some with labels that stick out; wires to near and far boxes, several readers, outputs."""
    draws = random.Random(seed)
    count = draws.randint(1, 45)
    slots = []
    for _ in range(count):
        left, width = draws.choice([0, 0, 20]), draws.randint(60, 250)
        exit_ = draws.randint(30, 120)
        slots.append(Slot(left + width + draws.choice([0, 40]), exit_ + draws.choice([0, 21]), left, width, exit_))
    readers: dict[tuple[int, int], set[int]] = {}
    for number in range(1, count):
        for _ in range(draws.randint(0, 3)):
            source = draws.randrange(number) if draws.random() < 0.2 else max(0, number - draws.randint(1, 4))
            readers.setdefault((source, draws.randrange(3)), set()).add(number)
    wires = [Wire(source, 10 + 20 * port, tuple(sorted(to))) for (source, port), to in sorted(readers.items())]
    return slots, [*wires, Wire(count - 1, 10, ())]


def rooms(slots: list[Slot], layout: Layout) -> Iterator[tuple[float, float, float, float]]:
    for slot, (across, along) in zip(slots, layout.corners, strict=True):
        yield across, along, across + slot.across, along + slot.along


@pytest.mark.parametrize("seed", range(40))
def test_boxes_do_not_overlap_and_wires_end_at_them(seed: int) -> None:
    slots, wires = random_graph(seed)
    layout = lay_out(slots, wires)
    places = list(rooms(slots, layout))
    for number, (left, top, right, bottom) in enumerate(places):
        assert left >= 0 and top >= 0 and right <= layout.size[0] and bottom <= layout.size[1]
        for other in places[:number]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for wire, routes in zip(wires, layout.routes, strict=True):
        across, along = layout.corners[wire.source]
        for reader, route in zip(wire.readers, routes, strict=True):
            assert route[0].start == (across + wire.port, along + slots[wire.source].exit)
            slot, (left, top) = slots[reader], layout.corners[reader]
            x, y = route[-1].end
            assert y == top and left + slot.left < x < left + slot.left + slot.width
            assert all(one.end == next_.start for one, next_ in pairwise(route))


@pytest.mark.parametrize("seed", range(40))
def test_wires_go_around_boxes(seed: int) -> None:
    """Straight pieces keep clear of all boxes, and curves run in the gaps between ranks."""
    slots, wires = random_graph(seed)
    layout = lay_out(slots, wires)
    places = list(rooms(slots, layout))
    for wire, routes in zip(wires, layout.routes, strict=True):
        for piece in (piece for route in routes for piece in route):
            low, high = sorted((piece.start[0], piece.end[0]))
            for number, (left, top, right, bottom) in enumerate(places):
                apart = piece.end[1] <= top or piece.start[1] >= bottom or high < left or low > right
                assert apart or number == wire.source


def test_wires_do_not_cross_where_they_need_not() -> None:
    slots = [Slot(100, 40, 0, 100, 40)] * 6
    wires = [Wire(0, 50, (5,)), Wire(1, 50, (4,)), Wire(2, 50, (3,))]
    layout = lay_out(slots, wires)
    xs = [layout.corners[node][0] for node in range(6)]
    assert sorted(range(3), key=xs.__getitem__) == [5 - node for node in sorted((3, 4, 5), key=xs.__getitem__)]


def test_a_long_wire_and_a_chain_are_straight() -> None:
    slots = [Slot(100, 40, 0, 100, 40)] * 6
    wires = [Wire(number, 50, (number + 1,)) for number in range(5)] + [Wire(0, 90, (5,))]
    layout = lay_out(slots, wires)
    middle = {piece.start[0] for piece in layout.routes[-1][0][2:-1]}
    assert len(middle) == 1
    assert len({layout.corners[node][0] for node in range(1, 5)}) == 1


def test_sources_stand_beside_what_reads_them() -> None:
    slots = [Slot(100, 40, 0, 100, 40)] * 5
    layout = lay_out(slots, [Wire(0, 50, (2,)), Wire(2, 50, (3,)), Wire(3, 50, (4,)), Wire(1, 50, (4,))])
    assert layout.ranks == [0, 2, 1, 2, 3]


def test_in_place_layers_are_rows_of_the_box_that_they_change() -> None:
    graph = net_graph(build(TOWERS))
    assert [[entry.summary.name for entry in node.layers] for node in graph.nodes] == [
        *(["a"], ["b"], ["conva", "relua"], ["convb", "relub"], ["own"], ["sum"])
    ]
    assert [(edge.name, edge.shape, edge.source, edge.readers) for edge in graph.edges] == [
        *(("a", (2, 1, 8, 8), 0, (2,)), ("b", (2, 1, 8, 8), 1, (3,)), ("conva", (2, 4, 6, 6), 2, (4, 5))),
        *(("convb", (2, 4, 6, 6), 3, (5,)), ("own", (2, 3), 4, ()), ("sum", (2, 4, 6, 6), 5, ())),
    ]


def test_a_layer_that_others_watch_before_it_changes_stays_on_its_own() -> None:
    text = INPUT + "".join(
        f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" }}\n'
        for name, kind, bottom, top in (
            ("tanh", "TanH", "data", "x"),
            ("watch", "AbsVal", "x", "y"),
            ("relu", "ReLU", "x", "x"),
        )
    )
    graph = net_graph(build(text))
    assert [len(node.layers) for node in graph.nodes] == [1, 1, 1, 1]
    assert [edge.readers for edge in graph.edges if edge.name == "x"] == [(2, 3), ()]


def test_shared_weights_have_one_badge() -> None:
    graph = net_graph(build(TOWERS))
    (group,) = graph.groups
    assert (group.badge, group.names, group.nodes) == ("A", ("w", "bias"), (2, 3))
    shapes = list(flat(diagram(build(TOWERS))))
    assert sum(isinstance(shape, Text) and shape.text == "A" for shape in shapes) == 2
    assert sum(isinstance(shape, Curve) and shape.dashed for shape in shapes) == 1


@pytest.mark.parametrize("direction", ["down", "right"])
def test_shared_weights_of_different_depth_are_joined_around_other_boxes(direction: Direction) -> None:
    shared = 'param { name: "W" } inner_product_param { num_output: 6 bias_term: false }'
    ends = [("one", "a", "p"), ("two", "b", "q"), ("three", "q", "r"), ("four", "r", "s")]
    layers = [f'layer {{ name: "{n}" type: "InnerProduct" bottom: "{b}" top: "{t}" {shared} }}' for n, b, t in ends]
    head = 'layer { name: "in" type: "Input" top: "a" top: "z" input_param { shape { dim: 2 dim: 6 } } }\n'
    text = head + 'layer { name: "scale" type: "Power" bottom: "z" top: "b" }\n' + "\n".join(layers)
    drawing = diagram(Net(parse_net(text), "TRAIN", plan_only=True), direction)
    boxes = [shape.shapes[0] for shape in drawing.shapes if isinstance(shape, Group)]
    lines = [shape for shape in flat(drawing) if isinstance(shape, Curve) and shape.dashed]
    assert len(lines) == 3  # "one" stands a rank before "two", and so on
    for line in lines:
        for x, y in line.points[2:-2]:
            assert not any(b.x < x < b.x + b.width and b.y < y < b.y + b.height for b in boxes if isinstance(b, Box))


def flat(drawing: Drawing) -> Iterator[Box | Text | Curve]:
    for shape in drawing.shapes:
        if isinstance(shape, Group):
            yield from (part for part in shape.shapes if not isinstance(part, Group))
        else:
            yield shape


def random_net(seed: int) -> str:
    draws = random.Random(seed)
    text, tops = INPUT, ["data"]
    for number in range(draws.randint(3, 25)):
        first, second = draws.choice(tops[-3:]), draws.choice(tops)
        kind = draws.choice(["ReLU", "Power", "Eltwise", "Split"])
        bottoms = [first, second] if kind == "Eltwise" else [first]
        outs = [f"t{number}", f"u{number}"] if kind == "Split" else [f"t{number}"]
        lines = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in outs]
        text += f'layer {{ name: "layer{number}_{"n" * draws.randint(0, 60)}" type: "{kind}" {" ".join(lines)} }}\n'
        tops += outs
    return text


@pytest.mark.parametrize("direction", ["down", "right"])
@pytest.mark.parametrize("seed", range(6))
def test_a_drawing_holds_each_layer_once_and_nothing_outside(seed: int, direction: str) -> None:
    net = build(random_net(seed))
    drawing = diagram(net, "down" if direction == "down" else "right")
    groups = [shape for shape in drawing.shapes if isinstance(shape, Group)]
    assert sorted(int(group.key) for group in groups) == list(range(len(net.layers)))
    frames = []
    for group in groups:
        frame = next(part for part in reversed(group.shapes) if isinstance(part, Box) and part.line)
        frames.append(frame)
        for part in group.shapes:
            if isinstance(part, Text):
                assert frame.x < part.left and part.x <= frame.x + frame.width
                assert frame.y < part.y < frame.y + frame.height
    for shape in flat(drawing):
        points = shape.points if isinstance(shape, Curve) else [(shape.x, shape.y)]
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)
    earlier: set[tuple[float, float]] = set()
    for curve in (shape for shape in drawing.shapes if isinstance(shape, Curve)):
        x, y = curve.points[0]
        leaves = any(x == f.x + f.width if direction == "right" else y == f.y + f.height for f in frames)
        assert leaves or (x, y) in earlier  # of a blob with several readers
        earlier |= set(curve.points)


def test_svg_of_a_net_is_well_formed_and_escaped(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(f'name: "<i>&"\n{INPUT}'.replace('name: "data"', 'name: "</svg><script>"'), encoding="utf-8")
    svg = draw(path)
    texts = [found.text for found in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "</svg><script>" in texts and "<i>&" in texts and "data  2x1x8x8" in texts
    html = draw(path, "html")
    assert "<script>&" not in html and "</svg><script>" not in html and "<i>" not in html


def test_a_page_has_details_of_every_layer() -> None:
    html = draw(build(TOWERS), "html")
    keys = set(re.findall(r'data-key="(\d+)"', html))
    assert keys == {"0", "1", "2", "4", "6", "7"}
    assert keys | {""} == set(re.findall(r'data-details="(\d*)"', html))
    assert html.count("type: &quot;ReLU&quot;") == 2
    assert "4x1x3x3" in html and "w of conva" in html
    assert "Weight 0: values" not in html


def test_values_of_weights_are_shown_where_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(TOWERS, encoding="utf-8")
    with Net(path, "TRAIN") as net:
        net.save(tmp_path / "net.caffemodel")
    html = draw(path, "html", weights=tmp_path / "net.caffemodel")
    assert html.count("Weight 0: values") == 3
    assert "data:image/png;base64," in html
    with build(TOWERS) as net, pytest.raises(NetError, match=r"net.copy_from"):
        draw(net, "html", weights=tmp_path / "net.caffemodel")


def test_phases_choose_the_layers_and_broken_nets_say_what_is_wrong() -> None:
    text = TOWERS + 'layer { name: "seen" type: "AbsVal" bottom: "own" top: "seen" include { phase: TEST } }\n'
    definition = parse_net(text)
    assert "seen" not in draw(definition) and "seen" in draw(definition, phase="TEST")
    with pytest.raises(NetError, match="unknown layer type"):
        draw(parse_net(INPUT + 'layer { name: "x" type: "Relux" bottom: "data" top: "x" }'))


@pytest.mark.parametrize(
    ("format", "options", "words"),
    [
        ("pdf", {}, 'format is "pdf".*svg, html, png'),
        ("svg", {"scale": 3.0}, 'scale is given with the format "svg".*"png"'),
        ("html", {"dark": True}, 'dark is given with the format "html".*"png"'),
        ("png", {"weights": "w.caffemodel"}, 'weights is given with the format "png".*"html"'),
    ],
)
def test_what_would_have_no_effect_is_refused(format: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        draw(parse_net(TOWERS), format, **options)


def test_pictures_have_the_size_of_the_drawing() -> None:
    net = build(TOWERS)
    drawing = diagram(net)
    image = draw(net, "png", scale=0.5)
    assert image.size == (-(-drawing.width // 2), -(-drawing.height // 2))
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert draw(net, "png", scale=0.5, dark=True).getpixel((0, 0)) != (255, 255, 255)
