"""The diagram of a net as a page: a click on a box shows the settings, blobs and weights of its layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netforge.inspect.blob_pictures import weight_picture
from netforge.inspect.canvas_svg import to_svg
from netforge.inspect.diagram import Direction, diagram
from netforge.inspect.netgraph import LayerEntry, NetGraph, net_graph
from netforge.inspect.page import Html, code_block, details, element, facts, join, page, picture, table
from netforge.inspect.pictures import Array, png_bytes
from netforge.inspect.values import finite_values, value_histogram, value_rows
from netforge.inspect.wording import count_text, shape_text
from netforge.layers.base import Layer
from netforge.net import LayerSummary, Net
from netforge.schema.writing import write_text

FILTERS, INPUTS, SIDE = 24, 12, 128  # of each weight, so many are shown: a page holds the pictures of a whole net

STYLES = """
main { display: block; }
.net { gap: 16px; align-items: start; }
@media (min-width: 900px) {
  .net { display: grid; grid-template-columns: minmax(0, 1fr) minmax(320px, 34%); }
  .net > .side { position: sticky; top: 12px; max-height: calc(100vh - 24px); overflow: auto; }
}
@media (max-width: 899px) {
  .net > .side { position: fixed; left: 0; right: 0; bottom: 0; max-height: 55vh; overflow: auto; margin: 0;
    border-radius: 14px 14px 0 0; box-shadow: 0 -4px 20px #0004; }
  .net { padding-bottom: 55vh; }
  .net > .side:has(> [data-details=""]:not([hidden])) { display: none; }
}
.side .close { float: right; }
.net .scroll svg.drawing { width: auto; max-width: none; margin: 0 auto; }
.net .scroll.fitted svg.drawing { max-width: 100%; height: auto; }
svg.drawing g[data-key] { cursor: pointer; outline: none; }
svg.drawing g[data-key]:hover, svg.drawing g[data-key]:focus-visible { filter: drop-shadow(0 0 2px var(--accent)); }
svg.drawing g[data-key].chosen { filter: drop-shadow(0 0 1.5px var(--accent)) drop-shadow(0 0 4px var(--accent)); }
.side h3 { font-size: 16px; }
.side h3 span { font-weight: 400; color: var(--pale); }
"""

SCRIPT = """
(() => {
  const boxes = [...document.querySelectorAll("svg.drawing g[data-key]")];
  const parts = [...document.querySelectorAll("[data-details]")];
  const choose = (key) => {
    for (const box of boxes) {
      box.classList.toggle("chosen", box.dataset.key === key);
      box.setAttribute("aria-pressed", String(box.dataset.key === key));
    }
    for (const part of parts) part.hidden = part.dataset.details !== key;
  };
  for (const box of boxes) {
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "button");
    box.setAttribute("aria-label", box.querySelector("title").textContent);
    box.addEventListener("click", () => choose(box.dataset.key));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(box.dataset.key);
    });
  }
  for (const close of document.querySelectorAll(".side .close")) close.addEventListener("click", () => choose(""));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") choose(""); });
  const fit = document.getElementById("fit");
  fit.addEventListener("click", () => {
    const fitted = document.getElementById("net").classList.toggle("fitted");
    fit.setAttribute("aria-pressed", String(fitted));
  });
  choose("");
})();
"""


def diagram_page(net: Net, direction: Direction = "down") -> str:
    """The text of a self-contained HTML page with the diagram of a net, which may be built with plan_only.

    Weights that have values (those of a net that has run, or was given a file of weights) are shown as pictures and
    histograms.
    """
    graph = net_graph(net)
    entries = [entry for node in graph.nodes for entry in node.layers]
    weights = sum(entry.summary.weight_count for entry in entries)
    subtitle = f"phase {net.phase}, {len(entries)} layers, {count_text(weights, 'weight')}"
    drawing = Html(to_svg(diagram(net, direction, heading=False), embedded=True))
    fit = element("button", "Fit to the window", type="button", id="fit", class_="plain", aria_pressed="false")
    left = element(
        "section",
        element("div", fit, class_="tools"),
        element("div", drawing, class_="scroll", id="net"),
        class_="card",
    )
    side = element("section", _hint(net, graph), *_details(net, graph), class_="card side")
    main = element("div", left, side, class_="net")
    return page(net.name or "net", main, subtitle=subtitle, styles=STYLES, scripts=[SCRIPT])


def _hint(net: Net, graph: NetGraph) -> Html:
    """What stands beside the diagram before anything was clicked."""
    shared = [
        (f"weights {group.badge}", f"{', '.join(group.names)}: used by {', '.join(_names(graph, group.nodes))}")
        for group in graph.groups
    ]
    outputs = [(edge.name, shape_text(edge.shape)) for edge in graph.edges if not edge.readers]
    return element(
        "div",
        element("h2", "Click on a box"),
        element("p", "for the settings, blobs and weights of its layers; Escape closes them.", class_="note"),
        join([element("h3", "Outputs"), facts(outputs)]) if outputs else "",
        join([element("h3", "Shared weights"), facts(shared)]) if shared else "",
        data_details="",
    )


def _names(graph: NetGraph, nodes: tuple[int, ...]) -> list[str]:
    return [graph.nodes[node].layers[0].summary.name for node in nodes]


def _details(net: Net, graph: NetGraph) -> Iterator[Html]:
    for node in graph.nodes:
        yield element(
            "div",
            element("button", "Close", type="button", class_="close"),
            *(_layer(net, entry) for entry in node.layers),
            data_details=node.layers[0].number,
            hidden=True,
        )


def _layer(net: Net, entry: LayerEntry) -> Html:
    layer, summary = net.layers[entry.number], entry.summary
    place = layer.definition.place
    pairs = [(f"bottom {name}", shape_text(shape)) for name, shape in summary.bottoms]
    pairs += [(f"top {name}", shape_text(shape)) for name, shape in summary.tops]
    if summary.multiply_adds:
        pairs.append(("multiply-adds", f"{summary.multiply_adds:,}"))
    if place.line:
        pairs.append(("in the file", str(place)))
    return join(
        [
            element("h3", f"{summary.name} ", element("span", summary.type)),
            facts(pairs),
            _weights(net, layer, summary) if summary.weights else "",
            code_block(write_text(layer.definition.message).rstrip(), wrap=True),
        ]
    )


def _weights(net: Net, layer: Layer, summary: LayerSummary) -> Html:
    """A table of the weights, and what they look like where they have values."""
    rates = {(entry.layer, entry.index): entry.lr_mult for entry in net.learnable}
    specs = layer.definition.message.param
    rows, shown = [], []
    for index, weight in enumerate(summary.weights):
        name = specs[index].name if index < len(specs) else ""
        rate = rates.get((layer.name, index), specs[index].lr_mult if index < len(specs) else 1.0)
        learns = f"{rate:g}" if weight.learnable else "not learned"
        owner = f"{name} of {weight.shared_with}" if weight.shared_with else name
        rows.append((index, shape_text(weight.shape), f"{weight.count:,}", learns, owner))
        blob = layer.weights[index]
        if blob.data_storage.allocated and blob.count:
            values = np.asarray(net.device.to_host(blob.data))
            shown.append(details(f"Weight {index}: values", *_values(values), open_=index == 0))
    headings = ("weight", "shape", "count", "lr_mult", "name")
    return join([table(headings, rows, right=(2, 3)), *shown])


def _values(values: Array) -> Iterator[Html]:
    yield facts(value_rows(values))
    finite = finite_values(values)
    if finite.size:
        yield value_histogram(finite, label="how often which values occur")
    if values.ndim > 1 and max(values.shape) < values.size:  # a vector's histogram says more than its bars
        shown, caption = weight_picture(values, "RGB", filters=FILTERS, inputs=INPUTS, side=SIDE)
        yield picture(png_bytes(shown), "the weights as a picture", caption=caption)
